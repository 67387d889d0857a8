"""The command `python -m neo_np.generate`: its arguments, and what it prints."""

import argparse
import json
import random
import sys
import time
from collections.abc import Iterable, Sequence
from dataclasses import replace

import numpy as np

from neo_np.checkpoint.loading import load_for_text
from neo_np.errors import NeoError
from neo_np.generate.api import finished_sequences, generate_steps, text_pieces
from neo_np.generate.arguments import (
    DEFAULTS,
    FIELDS,
    add_generation_arguments,
    add_model_arguments,
    advice,
    given_options,
    name_arguments,
    read_input,
)
from neo_np.generate.options import Options, read_options, without_none
from neo_np.generate.prompts import Prompt, read_prompt
from neo_np.generate.record import Record
from neo_np.generate.sequence import GeneratedSequence, Step, start_sequences
from neo_np.gpt_neo.forward import softmax
from neo_np.gpt_neo.loss import log_softmax
from neo_np.model import Model
from neo_np.terminal import BAR_WIDTH, OneLineParser, any_text, progress_bar, report, run_command, set_errors
from neo_np.tokenizer.tokenizer import Tokenizer

TO_FILE = "the text is printed: > FILE at the end of the line writes it into a file"
TOP_TOKENS = 5  # shown by --show-probs

EXAMPLES = """examples:
  python -m neo_np.generate "Once upon a time" --max-new-tokens 50 --seed 0
  python -m neo_np.generate "The king" --greedy --show-probs
"""


def build_parser() -> OneLineParser:
    """Return the parser of the command's arguments. Options of `generate` have their names and meanings in `Options`."""
    parser = OneLineParser(
        prog="python -m neo_np.generate",
        description="Continue a text with a GPT-Neo model. By default, tokens are drawn at random.",
        epilog=EXAMPLES,
        formatter_class=argparse.RawDescriptionHelpFormatter,
        advice=advice() | dict.fromkeys(["--o", "--out", "--output", "--output-file"], TO_FILE),
    )
    add_model_arguments(parser)
    add_generation_arguments(parser, new_tokens=DEFAULTS["default_new_tokens"])
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


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command and return its exit status: 0, 2 after an error, 130 after Ctrl-C."""
    return run_command(lambda: run(build_parser().parse_args(arguments)), rename=name_arguments)


def run(args: argparse.Namespace) -> int:
    """Load the model and generate, as the arguments say; return the exit status."""
    if args.interactive and (args.prompt or args.json):
        raise NeoError("--interactive asks for prompts and prints text: leave out the prompt and --json.")
    example = 'python -m neo_np.generate "Once upon a time", or use --interactive'
    prompt = None if args.interactive else read_input(args.prompt, example)
    began = time.perf_counter()
    model = load_for_text(args.model, args.tokenizer)
    loading = time.perf_counter() - began
    assert model.tokenizer is not None  # `load_for_text` refuses others
    options = generation_options(model, model.tokenizer, args)
    if args.show_probs and (args.json or options.num_beams > 1 or options.num_return_sequences > 1):
        raise NeoError("--show-probs follows one text: leave out --json, --num-beams and --num-return-sequences.")
    write = Writer(model, model.tokenizer, options, args)
    return interact(write) if prompt is None else write(prompt, loading)


def generation_options(model: Model, tokenizer: Tokenizer, args: argparse.Namespace) -> Options:
    """Return the `Options` that the arguments ask for.

    What the arguments do not say comes from the checkpoint's generation_config, then from the command's defaults.
    """
    given, from_file = given_options(tokenizer, args), without_none(model.generation_config)
    given["assistant_model"] = load_for_text(args.assistant_model) if args.assistant_model else None
    beams = given["num_beams"] or from_file.get("num_beams")
    greedy = args.greedy or (isinstance(beams, int) and beams > 1) or from_file.get("do_sample") is False
    given["do_sample"] = args.sample or not greedy
    for name, value in DEFAULTS.items():
        needs_sampling = FIELDS[name].metadata["needs"] != ""
        if given.get(name) is None and name not in from_file and (given["do_sample"] or not needs_sampling):
            given[name] = value
    return read_options(given, model.generation_config, model.config)


def interact(write: "Writer") -> int:
    """Ask for prompts and continue each, until the input ends; return the exit status."""
    if sys.stdin is None:
        raise NeoError("--interactive reads prompts from standard input, and it is closed.")
    try:
        import readline  # noqa: F401  it gives input() line editing and history, if the system has it
    except ImportError:
        pass
    # A pipe may bring Windows text: a byte order mark and "\r" go. Bytes that are not text are an error for their line only.
    encoding = {} if sys.stdin.isatty() else {"encoding": "utf-8-sig"}
    set_errors(sys.stdin, "surrogateescape", newline=None, **encoding)
    if sys.stdin.isatty():
        print("Type the beginning of a text. Ctrl-C stops a text, Ctrl-D ends.", file=sys.stderr)
    while True:
        try:
            prompt = input("> ")
        except (EOFError, KeyboardInterrupt):
            print()
            return 0
        if prompt:
            try:
                write(any_text(prompt))
            except (NeoError, argparse.ArgumentTypeError) as error:
                report(name_arguments(str(error)))


class Writer:
    """Continues prompts and prints the results, in the way that the arguments ask for."""

    def __init__(self, model: Model, tokenizer: Tokenizer, options: Options, args: argparse.Namespace):
        self.model, self.tokenizer, self.options, self.args = model, tokenizer, options, args

    def __call__(self, text: str, loading: float = 0.0) -> int:
        """Continue one prompt, print the result, and return the exit status. After Ctrl-C, print the text so far.

        loading: the seconds that loading the model took.
        """
        options = with_seed(self.options)
        prompt = read_prompt(self.model, text, options.bos_token_id)
        several = options.num_beams > 1 or options.num_return_sequences > 1
        streaming = not (self.args.json or self.args.show_probs or several)
        sequences: list[GeneratedSequence] = []
        status, record = 0, Record(loading)
        try:
            if options.num_beams > 1:
                with progress_bar("searching") as progress:
                    sequences = finished_sequences(self.model, [prompt], options, progress)
            else:
                sequences = start_sequences(self.model, [prompt], options, options.num_return_sequences)
                steps = record.watch(generate_steps(self.model, sequences, options))
                if streaming:
                    print_stream(text_pieces(prompt, steps))
                elif self.args.show_probs:
                    for step in steps:
                        print_step(self.tokenizer, step)
                else:
                    total = sum(sequence.max_length - len(prompt.ids) for sequence in sequences)
                    with progress_bar("writing") as progress:
                        for number, _ in enumerate(steps, start=1):
                            progress(number, total)
        except KeyboardInterrupt:
            status = 130
            for sequence in sequences:
                keep_complete_tokens(sequence, len(record.log_probs[sequence]), self.tokenizer)
        record.end()
        if self.args.json:
            print_json(self.model, self.tokenizer, prompt, sequences, options, record, interrupted=status != 0)
        elif not streaming:
            print_texts([text + sequence.text for sequence in sequences])
        if self.args.stats:
            print(record.summary(len(prompt.ids), sequences, options), file=sys.stderr)
        return status


def with_seed(options: Options) -> Options:
    """Return the options with a seed, so that --stats and --json can name it."""
    needs_seed = options.do_sample and options.seed is None
    return replace(options, seed=random.getrandbits(32)) if needs_seed else options


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
    print(json.dumps(result, indent=2, ensure_ascii="utf" not in (sys.stdout.encoding or "").lower()))


def beam_log_probs(model: Model, sequence: GeneratedSequence) -> list[float] | None:
    """Return the model's log-probability of each new token, from one pass over the finished text.

    None if the text is longer than the model has positions.
    """
    if len(sequence.ids) > model.config.max_position_embeddings + 1:
        return None
    logits = model.logits(sequence.ids[:-1], logits_to_keep=len(sequence.new_ids))
    return log_softmax(logits)[np.arange(len(sequence.new_ids)), sequence.new_ids].tolist()
