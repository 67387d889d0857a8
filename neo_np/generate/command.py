"""The command `python -m neo_np.generate`: its arguments, and what it prints."""

import argparse
import json
import random
import sys
import time
from collections.abc import Iterable, Sequence
from dataclasses import fields
from typing import Any

import numpy as np

from neo_np.checkpoint.loading import load
from neo_np.errors import NeoError
from neo_np.files import decode_chunks
from neo_np.folders.find import DEFAULT_CHECKPOINT
from neo_np.generate.api import finished_sequences, generate_steps, text_pieces
from neo_np.generate.options import Options, read_options, without_none
from neo_np.generate.prompts import Prompt, read_prompt
from neo_np.generate.record import Record
from neo_np.generate.sequence import GeneratedSequence, Step, start_sequences
from neo_np.gpt_neo.forward import softmax
from neo_np.gpt_neo.loss import log_softmax
from neo_np.model import Model
from neo_np.terminal import BAR_WIDTH, OneLineParser, report, run_command
from neo_np.tokenizer.tokenizer import Tokenizer

# The command's own defaults; those of `generate` give dull text.
NEW_TOKENS = 200
DEFAULTS = {"default_new_tokens": NEW_TOKENS, "temperature": 0.8, "top_p": 0.95}
FIELDS = {field.name: field for field in fields(Options)}
TOP_TOKENS = 5  # shown by --show-probs

DESCRIPTION = "Continue a text with a GPT-Neo model. By default, tokens are drawn at random."
EXAMPLES = """examples:
  python -m neo_np.generate "Once upon a time" --max-new-tokens 50 --seed 0
  python -m neo_np.generate "The king" --greedy --show-probs
"""


def build_parser() -> OneLineParser:
    """Return the parser of the command's arguments. Options of `generate` have their names and meanings in `Options`."""
    parser = OneLineParser(
        prog="python -m neo_np.generate",
        description=DESCRIPTION,
        epilog=EXAMPLES,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    add_model_arguments(parser)
    add_generation_arguments(parser, new_tokens=NEW_TOKENS)

    add = parser.add_argument_group("output").add_argument
    add("--interactive", action="store_true", help="ask for one prompt after the other; Ctrl-C stops a text, Ctrl-D ends")
    add(
        "--show-probs",
        action="store_true",
        help="show the five most likely tokens at each step, with their probabilities after all options",
    )
    add("--json", action="store_true", help="print one JSON object: texts, ids, log-probabilities of the model, times")
    add("--stats", action="store_true", help="print tokens per second and the seed on standard error")
    return parser


def add_model_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the prompt and the checkpoint."""
    add = parser.add_argument
    add("prompt", nargs="?", help="the text to continue, in quotes (default, and with '-': standard input)")
    add(
        "--model",
        metavar="NAME",
        help=f"a folder, a name in weights/, or a hub name such as EleutherAI/gpt-neo-125M (default: {DEFAULT_CHECKPOINT})",
    )
    add("--tokenizer", metavar="NAME", help="the checkpoint that the tokenizer comes from (default: that of --model)")


def add_generation_arguments(parser: argparse.ArgumentParser, new_tokens: int | str, seed: int | None = None) -> None:
    """Add the options of `generate`. new_tokens, seed: the command's defaults, for --help."""
    group = parser.add_argument_group("length and end")
    add_option(group, "max_new_tokens", int, "N", default=new_tokens)
    add_option(group, "max_length", int, "N")
    add_option(group, "min_new_tokens", int, "N")
    add_option(group, "min_length", int, "N")
    add = group.add_argument
    add("--stop", dest="stop_strings", action="append", metavar="TEXT", help="end after this text (repeat for more than one)")
    add("--cut-stop", dest="cut_stop_string", action="store_true", default=None, help="leave the --stop text out")
    add_option(group, "eos_token_id", int, "ID", action="append")
    add_option(group, "slide", action="store_true")

    group = parser.add_argument_group("choice of tokens")
    add = group.add_mutually_exclusive_group().add_argument
    add("--greedy", action="store_true", help="always take the most likely token")
    add("--sample", action="store_true", help="draw at random (the default without --num-beams)")
    add_option(group, "temperature", float, "X", default=DEFAULTS["temperature"])
    add_option(group, "top_k", int, "K")
    add_option(group, "top_p", float, "P", default=DEFAULTS["top_p"])
    add_option(group, "min_p", float, "P")
    add_option(group, "typical_p", float, "P")
    add_option(group, "seed", int, "N", default=seed)
    add_option(group, "repetition_penalty", float, "X")
    add_option(group, "no_repeat_ngram_size", int, "N")
    add = group.add_argument
    add(
        "--bad-word",
        dest="bad_words",
        action="append",
        metavar="TEXT",
        help="never write this word, in the tokens it is usually spelled with (repeat for more than one)",
    )

    group = parser.add_argument_group("several texts")
    add_option(group, "num_return_sequences", int, "N")
    add_option(group, "num_beams", int, "N")
    add_option(group, "length_penalty", float, "X")
    add_option(group, "early_stopping", choices=["true", "false", "never"])

    group = parser.add_argument_group("speculative decoding (the same text, often faster)")
    add_option(group, "prompt_lookup_num_tokens", int, "K")
    add_option(group, "assistant_model", str, "NAME")
    add_option(group, "num_assistant_tokens", int, "K")


def add_option(
    group: Any, name: str, kind: Any = None, metavar: str | None = None, default: Any = None, **settings: Any
) -> None:
    """Add the argument for one option of `generate`. `default` is shown in --help, and applied in `generation_options`."""
    default = FIELDS[name].default if default is None else default
    shown = "" if default is None or isinstance(default, bool) else f" (default: {default})"
    if kind:
        settings |= {"type": kind, "metavar": metavar}
    argument = "--" + name.replace("_", "-")
    group.add_argument(argument, default=None, help=FIELDS[name].metadata["meaning"] + shown, **settings)


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command and return its exit status: 0, 2 after an error, 130 after Ctrl-C."""
    return run_command(lambda: run(build_parser().parse_args(arguments)))


def run(args: argparse.Namespace) -> int:
    """Load the model and generate, as the arguments say; return the exit status."""
    if args.interactive and (args.prompt or args.json):
        raise NeoError("--interactive asks for prompts and prints text: leave out the prompt and --json.")
    prompt = (
        None if args.interactive else read_input(args.prompt, 'python -m neo_np.generate "Once upon a time", or --interactive')
    )
    began = time.perf_counter()
    model = load(args.model, args.tokenizer)
    loading = time.perf_counter() - began
    return interact(model, args) if prompt is None else write(model, prompt, args, loading)


def read_input(prompt: str | None, example: str) -> str:
    """Return the prompt from the arguments or from standard input, without the line end that `echo` adds.

    Standard input may be Windows text: a byte order mark goes, and line ends become line feeds.
    example: how to give one, for the error message.
    """
    if prompt not in (None, "-"):
        return prompt
    if sys.stdin is None or (prompt is None and sys.stdin.isatty()):
        raise NeoError(f"no prompt: give one, as in {example}.")
    text = "".join(decode_chunks([sys.stdin.buffer.read()], "standard input"))
    return text.replace("\r\n", "\n").removesuffix("\n")


def interact(model: Model, args: argparse.Namespace) -> int:
    """Ask for prompts and continue each, until the input ends; return the exit status."""
    if sys.stdin is None:
        raise NeoError("--interactive reads prompts from standard input, and it is closed.")
    try:
        import readline  # noqa: F401  it gives input() line editing and history, if the system has it
    except ImportError:
        pass
    if sys.stdin.isatty():
        print("Type the beginning of a text. Ctrl-C stops a text, Ctrl-D ends.", file=sys.stderr)
    # A pipe may bring Windows text: a byte order mark and "\r" go. Bytes that are not text are an error for their line only.
    encoding = sys.stdin.encoding if sys.stdin.isatty() else "utf-8-sig"
    sys.stdin.reconfigure(  # type: ignore[union-attr]
        encoding=encoding, errors="surrogateescape", newline=None
    )
    while True:
        try:
            prompt = input("> ")
        except (EOFError, KeyboardInterrupt):
            print()
            return 0
        if prompt:
            try:
                write(model, prompt, args)
            except NeoError as error:
                report(error)


def generation_options(model: Model, tokenizer: Tokenizer, args: argparse.Namespace) -> Options:
    """Return the `Options` that the arguments ask for.

    What the arguments leave open comes from the checkpoint's generation_config, then from the command's defaults.
    """
    given = given_options(tokenizer, args)
    from_file = without_none(model.generation_config)
    beams = given["num_beams"] or from_file.get("num_beams", 1)
    given["do_sample"] = args.sample or not (args.greedy or beams > 1)
    if given["do_sample"] and args.seed is None:
        given["seed"] = random.getrandbits(32)  # so that --stats and --json can name it
    for name, value in DEFAULTS.items():
        needs_sampling = FIELDS[name].metadata["needs"] != ""
        if given.get(name) is None and name not in from_file and (given["do_sample"] or not needs_sampling):
            given[name] = value
    return read_options(given, model.generation_config, model.config)


def given_options(tokenizer: Tokenizer, args: argparse.Namespace) -> dict[str, Any]:
    """Return {name: value} of the options of `generate` in the arguments; None if an argument was not given."""
    given = {name: value for name, value in vars(args).items() if name in FIELDS}
    given["assistant_model"] = load(args.assistant_model) if args.assistant_model else None
    given["early_stopping"] = {"true": True, "false": False}.get(args.early_stopping, args.early_stopping)
    given["bad_words_ids"] = spellings(tokenizer, args.bad_words) if args.bad_words else None
    return given


def spellings(tokenizer: Tokenizer, words: Sequence[str]) -> list[list[int]]:
    """Return the token ids of each word, at the beginning of a text and after a space."""
    if "" in words:
        raise NeoError("--bad-word is empty: give the word that must not be written.")
    return [tokenizer.encode(text, add_special_tokens=False) for word in words for text in (word, " " + word)]


def write(model: Model, text: str, args: argparse.Namespace, loading: float = 0.0) -> int:
    """Continue one prompt, print the result in the way the arguments ask for, and return the exit status.

    After Ctrl-C it prints the text there is.
    """
    tokenizer = model.tokenizer
    assert tokenizer is not None  # `load` gives every model one
    options = generation_options(model, tokenizer, args)
    prompt = read_prompt(model, text, options.bos_token_id)
    beams = options.num_beams > 1
    if args.show_probs and (args.json or beams or options.num_return_sequences > 1):
        raise NeoError("--show-probs follows one text: leave out --json, --num-beams and --num-return-sequences.")
    streaming = not (args.json or args.show_probs or beams or options.num_return_sequences > 1)
    sequences: list[GeneratedSequence] = []
    status, record = 0, Record(loading)
    try:
        if beams:
            sequences = finished_sequences(model, [prompt], options)
        else:
            sequences = start_sequences(model, [prompt], options, options.num_return_sequences)
            steps = record.watch(generate_steps(model, sequences, options))
            if streaming:
                print_stream(text_pieces(prompt, steps))
            for step in steps:
                if args.show_probs:
                    print_step(tokenizer, step)
    except KeyboardInterrupt:
        status = 130
        for sequence in sequences:
            keep_complete_tokens(sequence, len(record.log_probs[sequence]), tokenizer)
    record.end()
    if args.json:
        print_json(model, tokenizer, prompt, sequences, options, record, interrupted=status != 0)
    elif not streaming:
        print_texts([text + sequence.text for sequence in sequences])
    if args.stats:
        print(record.summary(len(prompt.ids), sequences, options), file=sys.stderr)
    return status


def keep_complete_tokens(sequence: GeneratedSequence, count: int, tokenizer: Tokenizer) -> None:
    """Remove a token that was interrupted, and make the text of an unfinished sequence complete."""
    if len(sequence.new_ids) > count:
        del sequence.ids[len(sequence.prompt.ids) + count :]
        sequence.finished = False
    if not sequence.finished:
        sequence.text = tokenizer.decode(sequence.new_ids, skip_special_tokens=True)


def print_stream(pieces: Iterable[str]) -> None:
    """Print pieces of text when they come, and end the line even if an error ends the text."""
    try:
        for piece in pieces:
            print(piece, end="", flush=True)
    finally:
        print(flush=True)


def print_step(tokenizer: Tokenizer, step: Step) -> None:
    """Print the most likely tokens after all options, each with its probability as a bar; mark the chosen one."""
    probabilities = softmax(step.scores)
    shown = np.argsort(-probabilities, kind="stable")[:TOP_TOKENS].tolist()
    if step.token not in shown:
        shown.append(step.token)
    arrow, block = "▶█" if can_print("▶█") else ">#"
    for token in shown:
        if probabilities[token] > 0:
            mark = arrow if token == step.token else " "
            bar = block * max(1, round(BAR_WIDTH * float(probabilities[token])))
            print(f"{mark} {tokenizer.token_string(token)!r:<18} {probabilities[token]:6.1%} {bar}")
    print(flush=True)


def can_print(text: str) -> bool:
    """Return whether the encoding of standard output has these characters."""
    try:
        text.encode(sys.stdout.encoding or "ascii")
    except UnicodeEncodeError:
        return False
    return True


def print_texts(texts: Sequence[str]) -> None:
    """Print one text, or several under numbered lines."""
    for number, text in enumerate(texts, start=1):
        if len(texts) > 1:
            print(f"--- {number} of {len(texts)} ---")
        print(text)


def print_json(
    model: Model,
    tokenizer: Tokenizer,
    prompt: Prompt,
    sequences: Sequence[GeneratedSequence],
    options: Options,
    record: Record,
    interrupted: bool,
) -> None:
    """Print the texts and all that is known about them as one JSON object."""
    log_probs = beam_log_probs if options.num_beams > 1 else lambda model, sequence: record.log_probs[sequence]
    result = {
        "model": repr(model),
        "prompt": prompt.text,
        "prompt_ids": prompt.ids,
        "seed": options.seed if options.do_sample else None,
        "sequences": [
            {
                "text": f"{prompt.text}{sequence.text}",
                "ids": sequence.new_ids,
                "tokens": tokenizer.token_strings(sequence.new_ids),
                "log_probabilities": log_probs(model, sequence),
            }
            for sequence in sequences
        ],
        "seconds": record.seconds(),
        "interrupted": interrupted,
    }
    print(json.dumps(result, indent=2, ensure_ascii="utf" not in sys.stdout.encoding.lower()))


def beam_log_probs(model: Model, sequence: GeneratedSequence) -> list[float] | None:
    """Return the model's log-probability of each new token, from one pass over the finished text.

    None if the text is longer than the model has positions.
    """
    if len(sequence.ids) > model.config.max_position_embeddings + 1:
        return None
    logits = model.logits(sequence.ids[:-1], logits_to_keep=len(sequence.new_ids))
    return log_softmax(logits)[np.arange(len(sequence.new_ids)), sequence.new_ids].tolist()
