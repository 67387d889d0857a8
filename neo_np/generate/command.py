"""The command `python -m neo_np.generate`: arguments in, text out, errors as one line."""

import json
import random
import sys
import time

import numpy as np

from neo_np.checkpoint.loading import load
from neo_np.errors import NeoError
from neo_np.generate.api import finished_sequences, generate_steps
from neo_np.generate.options import Options, read_options
from neo_np.generate.prompts import read_prompt
from neo_np.generate.sequence import start_sequences
from neo_np.generate.stop_strings import new_text, pieces
from neo_np.gpt_neo.forward import softmax
from neo_np.gpt_neo.loss import log_softmax
from neo_np.terminal import OneLineParser, report, run_command

STORY_LENGTH, DEFAULT_TEMPERATURE, DEFAULT_TOP_P = 200, 0.8, 0.95
BAR_WIDTH = 30
LIKELIEST = 5


def build_parser():
    """Return the parser of the command's arguments."""
    parser = OneLineParser(
        prog="python -m neo_np.generate",
        description="Continue a text with a GPT-Neo model. "
        "By default tokens are drawn at random "
        f"(temperature {DEFAULT_TEMPERATURE}, top-k {Options.top_k}, top-p {DEFAULT_TOP_P}).",
        epilog="Without a prompt, or with '-', the prompt is read from standard input.",
    )
    add = parser.add_argument
    add("prompt", nargs="?", help="the text to continue; '-' reads it from standard input")
    add(
        "--model",
        metavar="NAME",
        help="a folder, a name in weights/, or a hub name such as EleutherAI/gpt-neo-125M (default: tales-2M)",
    )
    add("--tokenizer", metavar="NAME", help="take the tokenizer from another checkpoint")

    length = parser.add_argument_group("length")
    add = length.add_argument
    add(
        "--max-new-tokens",
        type=int,
        metavar="N",
        help=f"tokens to write (default: {STORY_LENGTH}, or what the model has room for)",
    )
    add("--max-length", type=int, metavar="N", help="the same, prompt included")
    add("--min-new-tokens", type=int, metavar="N", help="let no end token come before so many")
    add("--min-length", type=int, metavar="N", help="the same, prompt included")
    add("--stop", action="append", metavar="TEXT", help="end when this text has been written (may be given several times)")
    add("--cut-stop", action="store_true", help="leave the stop text out")
    add(
        "--eos-token-id",
        type=int,
        action="append",
        metavar="ID",
        help="end at this token instead of the model's own (several times)",
    )
    add("--slide", action="store_true", help="go on past the model's last position, remembering the last tokens alone")

    choice = parser.add_argument_group("choice of tokens")
    add = choice.add_argument
    how = choice.add_mutually_exclusive_group()
    how.add_argument("--greedy", action="store_true", help="always take the likeliest token")
    how.add_argument("--sample", action="store_true", help="draw at random (the default but for beams)")
    add("--temperature", type=float, metavar="X", help="below 1 more predictable, above 1 wilder")
    add("--top-k", type=int, metavar="K", help="draw from the K likeliest tokens alone (0: from all)")
    add("--top-p", type=float, metavar="P", help="draw from the likeliest tokens that make up P together")
    add("--min-p", type=float, metavar="P", help="draw from tokens with at least P times the probability of the likeliest")
    add("--typical-p", type=float, metavar="P", help="draw from the most typical tokens that make up P together")
    add("--seed", type=int, metavar="N", help="make the random choices repeatable")
    add("--num-return-sequences", type=int, metavar="N", help="write N texts")
    add("--num-beams", type=int, metavar="N", help="beam search with N beams")
    add("--length-penalty", type=float, metavar="X", help="above 0 beam search likes longer texts, below 0 shorter ones")
    add("--early-stopping", choices=["true", "false", "never"], help="when beam search is content")

    faster = parser.add_argument_group("speculative decoding (the same text, sooner)")
    add = faster.add_argument
    add("--prompt-lookup-num-tokens", type=int, metavar="K", help="guess up to K tokens from what the text has said before")
    add("--assistant-model", metavar="NAME", help="let this smaller model with the same tokenizer guess")
    add("--num-assistant-tokens", type=int, metavar="K", help="how many tokens it guesses at a time (default: 5)")

    rules = parser.add_argument_group("rules")
    add = rules.add_argument
    add("--repetition-penalty", type=float, metavar="X", help="above 1 makes tokens that were used less likely")
    add("--no-repeat-ngram-size", type=int, metavar="N", help="never write a run of N tokens twice")
    add(
        "--bad-word",
        action="append",
        metavar="TEXT",
        help="never write this word in the tokens it is usually spelled with (several times)",
    )

    output = parser.add_argument_group("output")
    add = output.add_argument
    add("--interactive", action="store_true", help="ask for one prompt after the other; Ctrl-C stops a text, Ctrl-D ends")
    add(
        "--show-probs",
        action="store_true",
        help="show after each token the five likeliest, with the probabilities it was chosen by (after all options)",
    )
    add("--json", action="store_true", help="print one JSON object: texts, ids, log-probabilities by the model alone, timings")
    add("--stats", action="store_true", help="print tokens per second and the seed on standard error")
    return parser


def main(arguments=None):
    """Run the command and return its exit status: 0, 2 after an error, 130 after Ctrl-C."""
    return run_command(lambda: run(build_parser().parse_args(arguments)))


def run(args):
    """Load the model and write, as the arguments say; returns the exit status."""
    if args.interactive and (args.prompt or args.json):
        raise NeoError("--interactive asks for its prompts and prints text: give neither a prompt nor --json with it.")
    if args.show_probs and (args.json or (args.num_beams or 1) > 1 or (args.num_return_sequences or 1) > 1):
        raise NeoError(
            "--show-probs follows one text as it is written: leave --json, --num-beams and --num-return-sequences out."
        )
    prompt = None if args.interactive else read_input(args)
    began = time.perf_counter()
    model = load(args.model, args.tokenizer)
    loading = time.perf_counter() - began
    return interact(model, args) if args.interactive else write(model, prompt, args, loading)


def read_input(args):
    """Return the prompt from the argument or from standard input, without the line end that `echo` adds."""
    if args.prompt not in (None, "-"):
        return args.prompt
    if sys.stdin is None or (args.prompt is None and sys.stdin.isatty()):
        raise NeoError('no prompt: give one, as in python -m neo_np.generate "Once upon a time", or use --interactive.')
    try:
        text = sys.stdin.buffer.read().decode("utf-8")
    except UnicodeDecodeError as error:
        raise NeoError(f"standard input is not UTF-8 text (byte {error.start}): convert it first.") from None
    return text.removesuffix("\n").removesuffix("\r")


def interact(model, args):
    """Ask for prompts and continue each, until the input ends; returns the exit status."""
    if sys.stdin is None:
        raise NeoError("--interactive reads prompts from standard input, and it is closed.")
    try:
        import readline  # noqa: F401  gives input() line editing and history where the system has it
    except ImportError:
        pass
    sys.stdin.reconfigure(errors="surrogateescape")  # bytes that are no text get an error of their own, line by line
    if sys.stdin.isatty():
        print("Type how a text begins. Ctrl-C stops the writing, Ctrl-D ends.", file=sys.stderr)
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


def generation_options(model, args):
    """Return the `Options` that the arguments ask for."""
    names = (
        "max_new_tokens max_length min_new_tokens min_length temperature top_k top_p min_p typical_p num_return_sequences "
        "num_beams length_penalty repetition_penalty no_repeat_ngram_size slide eos_token_id prompt_lookup_num_tokens "
        "num_assistant_tokens"
    )
    given = {name: getattr(args, name) for name in names.split()}
    given["assistant_model"] = args.assistant_model and load(args.assistant_model)
    given |= {"stop_strings": args.stop, "cut_stop_string": args.cut_stop, "default_new_tokens": STORY_LENGTH}
    given["do_sample"] = args.sample or not (args.greedy or (args.num_beams or 1) > 1)
    given["seed"] = random.getrandbits(32) if args.seed is None else args.seed
    defaults = {"temperature": DEFAULT_TEMPERATURE, "top_p": DEFAULT_TOP_P} if given["do_sample"] else {}
    for name, value in defaults.items():
        if given[name] is None and name not in model.generation_config:
            given[name] = value
    if args.early_stopping:
        given["early_stopping"] = {"true": True, "false": False, "never": "never"}[args.early_stopping]
    if args.bad_word:
        if "" in args.bad_word:
            raise NeoError("--bad-word is empty: give the word that must not be written.")
        # A word is one sequence of tokens at the beginning of a text and another after a space.
        given["bad_words_ids"] = [model.tokenizer.encode(text) for word in args.bad_word for text in (word, " " + word)]
    return read_options(given, model.generation_config, model.config)


def write(model, prompt, args, loading=0.0):
    """Continue one prompt, print it in the way the arguments ask for, and return the exit status.

    Ctrl-C ends the writing; what there is by then is printed all the same.
    """
    _, ids = read_prompt(model, prompt)
    options = generation_options(model, args)
    beams, record = options.num_beams > 1, Record(loading)
    sequences = [] if beams else start_sequences(model, [ids], options, options.num_return_sequences)
    streaming = not (args.json or args.show_probs or beams or len(sequences) > 1)
    status = 0
    try:
        if beams:
            sequences = finished_sequences(model, [ids], options)
        steps = () if beams else record.watch(generate_steps(model, sequences, options))
        if streaming:
            print_stream(pieces(model.tokenizer, prompt, steps, options))
        for step in steps:
            if args.show_probs:
                print_step(model.tokenizer, step)
    except KeyboardInterrupt:
        status = 130
        for sequence in sequences:  # take off a token that was only half done
            del sequence.ids[sequence.prompt_length + len(sequence.log_probs) :]
    record.ended = time.perf_counter()
    texts = [prompt + new_text(model.tokenizer, sequence, options) for sequence in sequences]
    if args.json:
        print_json(model, prompt, ids, texts, sequences, options, record, interrupted=status != 0)
    elif not streaming:
        print_texts(texts)
    if args.stats:
        print(record.summary(len(ids), sequences, options), file=sys.stderr)
    return status


class Record:
    """Notes down while a text is written: when each token came, and its log-probability by the model alone."""

    def __init__(self, loading):
        self.loading = loading
        self.began = self.ended = time.perf_counter()
        self.times = []

    def watch(self, steps):
        """Yield the steps unchanged."""
        for step in steps:
            self.times.append(time.perf_counter())
            step.sequence.log_probs.append(float(log_softmax(step.logits)[step.token]))
            yield step

    def timings(self):
        """Return seconds: loading, prefill (until the first token was there), decode (from then on)."""
        first = self.times[0] if self.times else self.ended
        named = {"load": self.loading, "prefill": first - self.began, "decode": self.ended - first}
        return {name: round(seconds, 4) for name, seconds in named.items()}

    def summary(self, prompt_length, sequences, options):
        """Return one line with tokens per second; beam search has no first token to tell prefill from decode by."""
        written = sum(len(sequence.new_ids) for sequence in sequences)
        seconds = self.timings()
        rest = [f"load {seconds['load']:.2f} s"] if self.loading else []
        rest += [f"seed {options.seed}"] if options.do_sample else []
        guessed, accepted = (sum(getattr(s, name) for s in sequences) for name in ("guessed", "accepted"))
        rest += [f"{accepted} of {guessed} guesses accepted"] if options.is_speculative else []
        if not self.times:
            return "; ".join([f"{written} tokens in {self.ended - self.began:.2f} s (beam search)", *rest])
        prefill = prompt_length * len(sequences) / max(seconds["prefill"], 1e-9)
        decode = (written - len(sequences)) / max(seconds["decode"], 1e-9)
        speeds = [
            f"prefill {prompt_length} tokens, {prefill:.0f} tokens/s",
            f"decode {written} tokens, {decode:.0f} tokens/s",
        ]
        return "; ".join([*speeds, *rest])


def print_stream(pieces):
    """Print pieces of text as they come, and end the line however the text ends."""
    try:
        for piece in pieces:
            print(piece, end="", flush=True)
    finally:
        print(flush=True)


def print_step(tokenizer, step):
    """Print the likeliest tokens after the rules, each with its probability as a bar, the chosen one marked."""
    probabilities = softmax(step.scores)
    likeliest = np.argsort(-probabilities, kind="stable")[:LIKELIEST].tolist()
    shown = likeliest if step.token in likeliest else [*likeliest, step.token]
    solid = can_print("▶█")
    for token in shown:
        if probabilities[token] == 0:
            continue
        mark = (">", "▶")[solid] if token == step.token else " "
        bar = ("#", "█")[solid] * max(1, round(BAR_WIDTH * float(probabilities[token])))
        print(f"{mark} {tokenizer.token_string(token)!r:<18} {probabilities[token]:6.1%} {bar}")
    print(flush=True)


def can_print(text):
    """Return whether the terminal's encoding has these characters."""
    try:
        text.encode(sys.stdout.encoding or "ascii")
    except UnicodeEncodeError:
        return False
    return True


def print_texts(texts):
    """Print one text, or several under numbered lines."""
    for number, text in enumerate(texts, start=1):
        if len(texts) > 1:
            print(f"--- {number} of {len(texts)} ---")
        print(text)


def print_json(model, prompt, ids, texts, sequences, options, record, interrupted):
    """Print all there is to know about the texts as one JSON object."""
    whole = {
        "model": repr(model),
        "prompt": prompt,
        "prompt_ids": ids,
        "seed": options.seed if options.do_sample else None,
        "sequences": [
            {
                "text": text,
                "ids": sequence.new_ids,
                "tokens": model.tokenizer.token_strings(sequence.new_ids),
                "log_probabilities": log_probabilities(model, sequence) if options.num_beams > 1 else sequence.log_probs,
            }
            for text, sequence in zip(texts, sequences)
        ],
        "seconds": record.timings(),
        "interrupted": interrupted,
    }
    print(json.dumps(whole, indent=2, ensure_ascii="utf" not in sys.stdout.encoding.lower()))


def log_probabilities(model, sequence):
    """Return the model's log-probability of each generated token, from one pass over the finished text.

    None where the text is longer than the model has positions.
    """
    if len(sequence.ids) > model.config.max_position_embeddings + 1:
        return None
    logits = model.logits(sequence.ids[:-1], logits_to_keep=len(sequence.new_ids))
    return log_softmax(logits)[np.arange(len(sequence.new_ids)), sequence.new_ids].tolist()
