"""The command `python -m neo_np.train`: from text files to a checkpoint, and what a run shows on its way."""

import argparse
import dataclasses
import os
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from neo_np.checkpoint.loading import load_for_text
from neo_np.errors import NeoError, warn
from neo_np.files import for_shell
from neo_np.folders.find import find_checkpoint
from neo_np.gpt_neo.params import random_params, sinusoids
from neo_np.model import Model
from neo_np.terminal import OneLineParser, naming_options, progress_bar, restart_with, run_command
from neo_np.tokenizer.corpus import read_pieces, text_files
from neo_np.tokenizer.special_tokens import END_OF_TEXT
from neo_np.tokenizer.tokenizer import Tokenizer
from neo_np.train.arguments import (
    HELD_OUT,
    INTERVALS,
    NEW_MODEL,
    all_option_names,
    as_options,
    build_parser,
    ignored_options,
    new_config,
    training_options,
)
from neo_np.train.data import load_tokens, tokenize_files
from neo_np.train.environment import ENVIRONMENT
from neo_np.train.folder import first_arguments, new_run_folder
from neo_np.train.lock import locked
from neo_np.train.log import Log
from neo_np.train.memory import check_memory
from neo_np.train.runs import Intervals, checkpoints, newest_sentence, resume, save_step
from neo_np.train.signals import stopping_on_signals
from neo_np.train.trainer import Interrupted, Trainer
from neo_np.train.validation import validate, validation_windows

TRAIN, VALID = "train.npy", "valid.npy"
SHOW_EVERY = 10  # steps
VALIDATION_WINDOWS = 128
SAMPLE_LENGTH = 60  # tokens


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command and return its exit status: 0, 2 after an error, 130 after Ctrl-C (which saves)."""
    return run_command(lambda: run(build_parser(), sys.argv[1:] if arguments is None else arguments))


def main_in_new_environment() -> int:
    """Run the command in a process that has `ENVIRONMENT` from its start: BLAS reads it only then."""
    restart_with(ENVIRONMENT)
    return main()


def run(parser: OneLineParser, arguments: Sequence[str]) -> int:
    """Train as the arguments say; return the exit status."""
    args = parser.parse_args(arguments)
    if not args.resume:
        return start_run(args, {"directory": working_directory(), "arguments": list(arguments)})
    check_alone(parser.given(arguments))
    folder = Path(args.resume)
    if checkpoints(folder):
        return resume_run(folder)
    args, origin = first_arguments(parser, folder)
    return start_run(args, origin)


def start_run(args: argparse.Namespace, origin: dict[str, Any]) -> int:
    """Start a new run; return the exit status. origin: see `locked`."""
    if not args.out or not args.text:
        raise NeoError("give the text and the folder of the run, as in python -m neo_np.train TEXT --out FOLDER.")
    folder = Path(args.out)
    files, valid_files = text_files(args.text), text_files(args.valid) if args.valid else []
    with naming_options(all_option_names(args)):
        intervals = Intervals(**{name: getattr(args, name) for name in INTERVALS})
    with new_run_folder(folder, origin) as was_killed:
        if was_killed:
            print(f"the run in {folder} was stopped before its first checkpoint: it starts from the beginning", file=sys.stderr)
        trainer, valid_tokens = prepare(args, folder, files, valid_files)
        for sentence in ignored_options(args):
            warn(sentence)
        return train(trainer, valid_tokens, folder, intervals, Log(folder))


def working_directory() -> str:
    """Return the folder in which the command was started."""
    try:
        return os.getcwd()
    except OSError:
        raise NeoError("the current folder does not exist any more: change to another one (cd).") from None


def check_alone(given: Sequence[str]) -> None:
    """Raise NeoError if other arguments were given beside --resume."""
    if others := [name for name in given if name != "resume"]:
        names = ", ".join("the text" if name == "text" else as_options([name]) for name in others)
        raise NeoError(f"--resume continues with the run's own text and options: leave out {names}.")


def resume_run(folder: Path) -> int:
    """Continue a run; return the exit status."""
    with locked(folder):
        tokens, valid_tokens = load_texts(folder)
        trainer, intervals = resume(folder, tokens)
        if trainer.step == trainer.options.steps:
            raise NeoError(
                f"the run in {folder} is complete. To train its last checkpoint further, start a new run with --init."
            )
        check_memory(trainer.model.config, trainer.options)
        check_ids(trainer.model, tokens, valid_tokens)
        return train(trainer, valid_tokens, folder, intervals, Log(folder, trainer.step))


def prepare(
    args: argparse.Namespace, folder: Path, files: Sequence[Path], valid_files: Sequence[Path]
) -> tuple[Trainer, np.ndarray]:
    """Return the `Trainer` of a new run and the tokens to validate on; writes the token files into the folder."""
    model = start_model(args, files)
    with naming_options(all_option_names(args)):
        options = training_options(args, model.config)
    check_memory(model.config, options)
    sample(model, args.sample_prompt, length=1, seed=0)  # a prompt that cannot be continued is refused at once
    for name, of_files in {TRAIN: files, VALID: valid_files}.items():
        if of_files:
            with progress_bar(f"tokenizing {name}") as progress:
                tokenize_files(of_files, model.tokenizer, folder / name, progress=progress)
    tokens, valid_tokens = load_texts(folder)
    if len(tokens) <= options.sequence_length:
        raise NeoError(
            f"the text has {len(tokens)} tokens to train on, and a window takes {options.sequence_length + 1}: give more "
            "text, or a shorter --sequence-length."
        )
    if valid_files and len(valid_tokens) <= options.sequence_length:
        raise NeoError(f"the text of --valid has {len(valid_tokens)} tokens: give more than {options.sequence_length}.")
    check_ids(model, tokens, valid_tokens)
    return Trainer(model, tokens, options), valid_tokens


def start_model(args: argparse.Namespace, files: Sequence[Path]) -> Model:
    """Return the model that a run begins with: the checkpoint of --init, or one with random weights."""
    if args.init:
        if given := [name for name in NEW_MODEL if getattr(args, name)]:
            raise NeoError(f"--init takes model and tokenizer as they are: leave out {as_options(given)}.")
        model = load_for_text(args.init)
    else:
        model = new_model(args, files)
    if args.dropout is not None:
        rates = dict.fromkeys(["embed_dropout", "attention_dropout", "resid_dropout"], args.dropout)
        model.config = dataclasses.replace(model.config, other=model.config.other | rates)
    return model


def new_model(args: argparse.Namespace, files: Sequence[Path]) -> Model:
    """Return a model with random weights, and a tokenizer that learns from the files unless --tokenizer names another."""
    with naming_options(all_option_names(args)):
        config = new_config(args)
        check_memory(config, training_options(args, config))  # learning the tokenizer takes time: mistakes are found before
        if not args.tokenizer:
            tokenizer = Tokenizer.train(pieces_to_learn_from(files), config.vocab_size)
    if args.tokenizer:
        tokenizer = Tokenizer.load(find_checkpoint(args.tokenizer, weights_wanted=False))
    end = tokenizer.special_tokens.get(END_OF_TEXT)
    config = dataclasses.replace(config, vocab_size=max(tokenizer.id_to_token) + 1, bos_token_id=end, eos_token_id=end)
    params = random_params(config, args.seed)
    if args.sinusoidal_positions:
        params.wpe.weight[:] = sinusoids(*params.wpe.weight.shape)
    return Model(config, params, tokenizer)


def pieces_to_learn_from(files: Sequence[Path]) -> Iterator[str]:
    """Yield the text of all files; say so when the first piece is asked for, after the arguments have been checked."""
    print(f"learning the tokenizer from {len(files)} files ...", file=sys.stderr)
    for file in files:
        yield from (piece for piece, _ in read_pieces(file))


def load_texts(folder: Path) -> tuple[np.ndarray, np.ndarray]:
    """Return the tokens of a run to train on and those to validate on, both mapped into memory."""
    tokens = load_tokens(folder / TRAIN)
    if (folder / VALID).exists():
        return tokens, load_tokens(folder / VALID)
    kept = len(tokens) - int(HELD_OUT * len(tokens))
    return tokens[:kept], tokens[kept:]


def check_ids(model: Model, *texts: np.ndarray) -> None:
    """Raise NeoError if a token file has an id that the model does not have."""
    for tokens in texts:
        if len(tokens) and tokens.max() >= model.config.vocab_size:
            raise NeoError(
                f"the token files have the id {tokens.max()}, and the model has {model.config.vocab_size} tokens: the files "
                "are damaged, or the text has a special token that the model does not know."
            )


def train(trainer: Trainer, valid_tokens: np.ndarray, folder: Path, intervals: Intervals, log: Log) -> int:
    """Make the remaining steps; whatever stops them, save first. Returns the exit status."""
    windows = validation_windows(valid_tokens, trainer.options.sequence_length + 1, VALIDATION_WINDOWS)

    def save() -> Path:
        trainer.check()
        return save_step(trainer, folder, intervals)

    how_to_continue = f"Continue with python -m neo_np.train --resume {for_shell(folder)}"
    try:
        with stopping_on_signals(trainer.stop):
            try:
                show_beginning(trainer, windows)
                make_steps(trainer, windows, intervals, log, save)
            except Interrupted:
                path = save()
                print(f"stopped; saved {path}. {how_to_continue}", flush=True)
                return 130
            except OSError:  # nothing can be printed: with `| tee`, Ctrl-C ends the reader too
                save()
                raise
    except KeyboardInterrupt:
        print(f"stopped at once, without saving. {newest_sentence(folder)} {how_to_continue}", file=sys.stderr)
        return 130
    except NeoError as error:
        raise NeoError(f"{error} {newest_sentence(folder)}") from None
    except MemoryError:
        raise NeoError(
            f"the memory is exhausted: use a smaller --micro-batch-size or fewer --threads. {newest_sentence(folder)}"
        ) from None
    path = checkpoints(folder)[trainer.step]
    print(f'done: {path}. Try python -m neo_np.generate --model {for_shell(path)} "Once upon a time"')
    return 0


def show_beginning(trainer: Trainer, windows: np.ndarray) -> None:
    """Print what is going to be trained."""
    o = trainer.options
    print(f"{trainer.model}, {len(trainer.tokens):,} tokens, {o.threads} threads; step {trainer.step} of {o.steps}", flush=True)
    if not len(windows):
        print("no validation: the last part of the text, which is held out, is shorter than a window", flush=True)


def make_steps(trainer: Trainer, windows: np.ndarray, intervals: Intervals, log: Log, save: Callable[[], Path]) -> None:
    """Make the remaining steps; show, log and save in between."""
    o, began, first = trainer.options, time.perf_counter(), trainer.step

    def due(every: int) -> bool:
        return trainer.step == o.steps or trainer.step % every == 0

    save()  # the beginning of a new run
    while trainer.step < o.steps:
        entry = trainer.train_step()
        log.write(entry)
        if due(SHOW_EVERY) or trainer.step == first + 1:
            left = (time.perf_counter() - began) / (trainer.step - first) * (o.steps - trainer.step)
            print(line_of(entry, o.steps, left), flush=True)
        if due(intervals.validate_every) or due(intervals.sample_every):
            trainer.check()
        if due(intervals.validate_every) and len(windows):
            show_validation(trainer.model, windows, trainer.step, log)
        if due(intervals.sample_every):
            show_sample(trainer.model, intervals.sample_prompt, trainer.step, log)
        if due(intervals.save_every):
            save()


def show_validation(model: Model, windows: np.ndarray, step: int, log: Log) -> None:
    """Print and log the loss on windows that the model was not trained on."""
    result = validate(model, windows)
    log.write({"step": step} | result)
    print(
        f"validation: loss {result['valid_loss']:.4f} nats per token, {result['bits_per_byte']:.4f} bits per byte", flush=True
    )


def sample(model: Model, prompt: str, length: int, seed: int) -> str:
    """Return the prompt with `length` new tokens: one text, whatever the checkpoint's own settings ask for."""
    one = {"num_return_sequences": 1, "num_beams": 1}
    return model.generate(prompt, max_new_tokens=length, do_sample=True, seed=seed, slide=True, **one)


def show_sample(model: Model, prompt: str, step: int, log: Log) -> None:
    """Print and log a text that the model writes."""
    text = sample(model, prompt, SAMPLE_LENGTH, step)
    log.write({"step": step, "sample": text})
    print(f"sample: {text}", flush=True)


def line_of(entry: dict, total: int, left: float) -> str:
    """Return the line that is shown for a step. total: the steps of the run. left: seconds until the end."""
    return (
        f"step {entry['step']:>{len(str(total))}}/{total}  loss {entry['loss']:.4f}  smoothed {entry['smoothed_loss']:.4f}  "
        f"{entry['tokens_per_second']:,.0f} tokens/s  rate {entry['learning_rate']:.2e}  norm {entry['norm']:.2f}  "
        f"left {time_text(left)}"
    )


def time_text(seconds: float) -> str:
    """Return a time as a person would say it: 5 s, 12 min, 1 h 05 min."""
    if seconds < 60:
        return f"{seconds:.0f} s"
    minutes = round(seconds / 60)
    return f"{minutes} min" if minutes < 60 else f"{minutes // 60} h {minutes % 60:02} min"
