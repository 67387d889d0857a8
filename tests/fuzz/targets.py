"""What is damaged: for each kind of file, how it is made, and how neo_np uses it.

`use` raises NeoError if neo_np refuses the files; any other exception is a mistake in neo_np.
"""

import contextlib
import io
import json
import os
import random
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from helpers import byte_tokenizer, random_model
from safetensors.numpy import load_file, save_file

import neo_np
from neo_np import Model, NeoError, Tokenizer
from neo_np.evaluate.json_lines import read_questions, read_texts
from neo_np.evaluate.tasks import evaluate_choices, evaluate_lambada
from neo_np.evaluate.text import evaluate_text
from neo_np.exercises import record
from neo_np.tokenizer.corpus import documents, text_files
from neo_np.train import command
from neo_np.train.data import tokenize_files
from neo_np.train.trainer import Trainer

TEXT = "The king's 3 ducks saw a <|endoftext|>größe 🙂\n\n tail."
WORDS = "the king and queen went to a big old house of cats".split()


@dataclass(frozen=True)
class Target:
    """make(folder) writes the files; use(folder, seed) does with them what users do; weight: how often it is chosen."""

    make: Callable[[Path], None]
    use: Callable[[Path, int], None]
    weight: int


def small_model(tokenizer: Tokenizer) -> Model:
    """Return a model that has room for every token of the tokenizer and for two more."""
    sizes = {"hidden_size": 4, "num_heads": 2, "max_position_embeddings": 16, "intermediate_size": 4}
    return random_model(vocab_size=max(tokenizer.id_to_token) + 3, tokenizer=tokenizer, eos_token_id=256, **sizes)


def words(seed: int = 0) -> str:
    """Return some text."""
    return " ".join(random.Random(seed).choices(WORDS, k=300))


def make_checkpoint(folder: Path) -> None:
    """Write a checkpoint with every file that one can have, except for tokenizer.json and shards."""
    learned = Tokenizer.train(words(), 280)
    end = learned.vocab["<|endoftext|>"]
    tokenizer = Tokenizer(learned.vocab, learned.merges, {"<|endoftext|>": end, "<|sep|>": 280}, {"duck": 281})
    model = small_model(tokenizer)
    model.generation_config = {
        "do_sample": True,
        "temperature": 0.9,
        "top_k": 5,
        "eos_token_id": [end, 256],
        "bad_words_ids": [[3]],
    }
    model.generation_config |= {"repetition_penalty": 1.1, "stop_strings": ["zz"], "num_beams": 2, "length_penalty": 0.5}
    neo_np.save(model, folder)
    (folder / "special_tokens_map.json").write_text('{"bos_token": "<|endoftext|>", "pad_token": {"content": "<|sep|>"}}')
    (folder / "added_tokens.json").write_text('{"<|sep|>": 280, "duck": 281}')
    edit(
        folder / "config.json", max_new_tokens=3, resid_dropout=0.1, initializer_range=0.02, architectures=["GPTNeoForCausalLM"]
    )


def make_sharded_checkpoint(folder: Path) -> None:
    """Write a checkpoint in half precision, in two shards, with a tokenizer.json."""
    neo_np.save(small_model(byte_tokenizer()), folder)
    tensors = load_file(folder / "model.safetensors")
    names = {name: f"model-0000{1 + i % 2}-of-00002.safetensors" for i, name in enumerate(tensors)}
    for shard in sorted(set(names.values())):
        save_file({name: tensors[name].astype("f2") for name in names if names[name] == shard}, folder / shard)
    (folder / "model.safetensors").unlink()
    (folder / "model.safetensors.index.json").write_text(json.dumps({"metadata": {}, "weight_map": names}))
    flags = {"single_word": False, "lstrip": False, "rstrip": False, "normalized": False, "special": True}
    byte_level = {"type": "ByteLevel", "add_prefix_space": False, "trim_offsets": True, "use_regex": True}
    whole = {
        "version": "1.0",
        "added_tokens": [{"id": 256, "content": "<|endoftext|>", **flags}],
        "normalizer": None,
        "pre_tokenizer": byte_level,
        "post_processor": byte_level,
        "decoder": byte_level,
        "model": {"type": "BPE", "vocab": json.loads((folder / "vocab.json").read_text()), "merges": [["a", "b"], "c d"]},
    }
    whole["model"]["vocab"] |= {"ab": 257, "cd": 258}
    (folder / "tokenizer.json").write_text(json.dumps(whole))
    for name in ("vocab.json", "merges.txt"):
        (folder / name).unlink()


def edit(file: Path, **entries: object) -> None:
    """Add entries to a JSON file."""
    file.write_text(json.dumps(json.loads(file.read_text()) | entries))


def use_checkpoint(folder: Path, seed: int) -> None:
    """Load a checkpoint, compute, write, save and load again."""
    model = neo_np.load(folder)
    if model.tokenizer:
        model.tokenizer.decode(model.tokenizer.encode(TEXT), skip_special_tokens=True)
    model.logits([1, 2, 3])
    model.loss([1, 2, 3])
    neo_np.save(model, folder.with_name("again"))
    neo_np.load(folder.with_name("again"))
    for options in ({}, {"num_beams": 1, "num_return_sequences": 1, "seed": seed}):
        with contextlib.suppress(NeoError):
            model.generate([1, 2], max_new_tokens=3, **options)
    "".join(model.stream("a king", max_new_tokens=3, num_beams=1, num_return_sequences=1))


def make_cache(folder: Path) -> None:
    """Write a Hugging Face cache with one repository."""
    repository = folder / "models--someone--mine"
    make_checkpoint(repository / "snapshots" / "0123abc")
    (repository / "refs").mkdir()
    (repository / "refs" / "main").write_text("0123abc")


def use_cache(folder: Path, seed: int) -> None:
    """Load a checkpoint by the name of its repository."""
    os.environ["HF_HUB_CACHE"] = str(folder)
    sys.modules["huggingface_hub"] = None  # nothing is downloaded
    neo_np.load("someone/mine").generate([1, 2], max_new_tokens=2, num_beams=1, num_return_sequences=1)


def make_run(folder: Path) -> None:
    """Write the folder of a training run that was stopped after two steps, with its text beside."""
    folder.mkdir()
    (folder / "texts").mkdir()
    (folder / "texts" / "words.txt").write_text(words())
    options = """--layers 1 --hidden-size 4 --heads 2 --positions 8 --vocab-size 260 --sequence-length 4 --batch-size 2
    --dropout 0.1 --threads 1 --steps 5 --validate-every 9 --sample-every 9 --save-every 1 --keep 2""".split()
    quietly(
        command.main, [str(folder / "texts"), "--valid", str(folder / "texts"), "--out", str(folder / "run"), *options], steps=2
    )


def use_run(folder: Path, seed: int) -> None:
    """Resume a run for a step, and start another from its text or its newest checkpoint."""
    run = folder / "run"
    with contextlib.suppress(NeoError):
        quietly(command.main, ["--resume", str(run)], steps=1)
    newest = max(run.glob("step-*"), default=run)
    beginning = (
        ["--init", str(newest)] if seed % 2 else ["--layers", "1", "--hidden-size", "4", "--heads", "2", "--vocab-size", "260"]
    )
    options = ["--steps", "1", "--threads", "1", "--batch-size", "1", "--sequence-length", "3", *beginning]
    quietly(command.main, [str(folder / "texts"), "--out", str(folder / "new"), *options], steps=1)


def quietly(main: Callable[[list[str]], int], arguments: list[str], steps: int) -> None:
    """Call the training command without its output, and stop it after some steps, as Ctrl-C does. An error is a NeoError."""
    original, made = Trainer.train_step, []
    command.SAMPLE_LENGTH = 2

    def train_step(trainer):
        entry = original(trainer)
        made.append(entry)
        if len(made) == steps:
            trainer.stop.set()
        return entry

    Trainer.train_step, errors = train_step, io.TextIOWrapper(io.BytesIO())
    try:
        with contextlib.redirect_stdout(io.TextIOWrapper(io.BytesIO())), contextlib.redirect_stderr(errors):
            status = main(arguments)
    finally:
        Trainer.train_step = original
    if status == 2:
        errors.seek(0)
        raise NeoError(errors.read())


def make_texts(folder: Path) -> None:
    """Write two text files."""
    folder.mkdir()
    (folder / "one.txt").write_text(f"{words()}\n<|endoftext|>\n{TEXT}")
    (folder / "two.txt").write_text(words(1))


def use_texts(folder: Path, seed: int) -> None:
    """Evaluate texts, tokenize them for training, and learn a tokenizer from them."""
    files = text_files(folder)
    texts = [text for file in files for text in documents(file)]
    evaluate_text(MODEL, texts[:2])
    tokenize_files(files, MODEL.tokenizer, folder / "train.npy", processes=1)
    Tokenizer.train(texts, 262)


def make_questions(folder: Path) -> None:
    """Write the two kinds of files of JSON lines that `evaluate` reads."""
    folder.mkdir()
    lines = [json.dumps({"text": text}) for text in ("the big cat", "a king of cats")]
    (folder / "lambada.jsonl").write_text("\n".join(lines) + "\n")
    questions = [
        {"context": "the", "choices": ["cat", "big house"], "label": 1},
        {"context": "a", "choices": ["b"], "label": 0},
    ]
    (folder / "choices.jsonl").write_text("\n".join(map(json.dumps, questions)))


def use_questions(folder: Path, seed: int) -> None:
    """Evaluate last words and multiple choice."""
    with contextlib.suppress(NeoError):
        evaluate_lambada(MODEL, read_texts(folder / "lambada.jsonl"))
    evaluate_choices(MODEL, read_questions(folder / "choices.jsonl"))


def make_progress(folder: Path) -> None:
    """Write the record of somebody who does the exercises."""
    folder.mkdir()
    exercises = {"softmax": {"state": "passed", "ran": True, "hints": 2}, "embed": {"state": "tried"}}
    (folder / ".progress.json").write_text(json.dumps({"exercises": exercises, "guesses": {"05.2": {"guess": 3}}}))
    (folder / ".answers").mkdir()
    (folder / ".answers" / "softmax.py").write_text("def softmax(x):\n    return x\n")


def use_progress(folder: Path, seed: int) -> None:
    """Read the record, and add to it."""
    os.environ["NEO_NP_PROGRESS"] = str(folder / ".progress.json")
    record.read_answers()
    record.exercise_record("softmax")
    record.update("exercises", "softmax", state="tried")


MODEL = small_model(byte_tokenizer())
TARGETS = {
    "checkpoint": Target(make_checkpoint, use_checkpoint, 8),
    "sharded checkpoint": Target(make_sharded_checkpoint, use_checkpoint, 4),
    "cache": Target(make_cache, use_cache, 1),
    "run": Target(make_run, use_run, 6),
    "texts": Target(make_texts, use_texts, 2),
    "questions": Target(make_questions, use_questions, 2),
    "progress": Target(make_progress, use_progress, 1),
}
