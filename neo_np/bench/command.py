"""The command `python -m neo_np.bench`: which benchmarks, on which model, beside which peers; tables or JSON out."""

import argparse
import contextlib
import dataclasses
import difflib
import json
import math
import tempfile
from pathlib import Path

from neo_np.bench.backends.neo import given_text
from neo_np.bench.backends.training import neo_config, neo_options
from neo_np.bench.benchmarks import BENCHMARKS, NEO, PEERS, PLAIN, ROOFLINE
from neo_np.bench.estimate import duration, total_seconds
from neo_np.bench.job import Job
from neo_np.bench.machine import machine
from neo_np.bench.plot import check_picture, plot
from neo_np.bench.report import case_rows, heading, ratio, table_head
from neo_np.bench.rounds import ANSWER_LIMIT, check_peers, measure, versions
from neo_np.checkpoint.loading import load_config
from neo_np.checkpoint.saving import save
from neo_np.errors import NeoError, warn
from neo_np.folders.find import DEFAULT_CHECKPOINT, find_checkpoint
from neo_np.gpt_neo.params import random_params
from neo_np.model import Model
from neo_np.terminal import OneLineParser, checked, filled, naming_options, number, path, positive, run_command
from neo_np.tokenizer.tokenizer import Tokenizer
from neo_np.train.arguments import OPTION_NAMES
from neo_np.train.memory import check_memory

GPT2_TABLES = "gpt-neo-125M"
SHAPES = {"125M": (12, 768, 12), "1.3B": (24, 2048, 16), "2.7B": (32, 2560, 20)}  # layers, channels, heads
TRAIN_SIZES = "layers hidden_size heads window_size vocab_size sequence_length batch_size steps".split()
USE_TEXT = "tokenizer", "speculative"
above_zero = checked(float, lambda value: 0 < value < math.inf, "a number above 0")
EXAMPLES = """
examples:
  python -m neo_np.bench prefill decode --shape 125M --against transformers
  python -m neo_np.bench growth --shape 125M --plot growth.png
"""


def build_parser() -> OneLineParser:
    """Return the parser of the command's arguments."""
    parser = OneLineParser(
        prog="python -m neo_np.bench",
        description="Measure how fast neo_np is on this machine, beside the limits of the machine and beside other libraries.",
        epilog="benchmarks:\n" + "\n".join(f"  {name:<12} {b.about}" for name, b in BENCHMARKS.items()) + "\n" + EXAMPLES,
        formatter_class=argparse.RawDescriptionHelpFormatter,
        advice={"--threads": "set the variable OPENBLAS_NUM_THREADS before the command"},
    )
    add = parser.add_argument
    add("benchmarks", nargs="*", metavar="BENCHMARK", help="what to measure (default: all, or all that the peers can do)")
    add("--against", nargs="+", default=[], metavar="PEER", help=f"measure peers too: {', '.join(PEERS)} (default: none)")
    model = parser.add_mutually_exclusive_group()
    model.add_argument(
        "--model",
        type=filled,
        metavar="NAME",
        help=f"a folder, a name in weights/, or a hub name (default: {DEFAULT_CHECKPOINT})",
    )
    model.add_argument("--shape", choices=list(SHAPES), help="a model with random weights of this shape instead")
    add(
        "--text",
        type=path,
        metavar="FILE",
        help="the text for tokenizer and speculative (default: part of Python's documentation)",
    )
    add("--rounds", type=positive, default=5, metavar="N", help="measurements of each backend in each case (default: 5)")
    add("--seconds", type=number, default=0.3, metavar="X", help="repeat a call for X seconds in each round (default: 0.3)")
    add(
        "--peer-seconds",
        type=above_zero,
        default=60.0,
        metavar="X",
        help="a peer takes no further round of a case X seconds after its first answer, and is stopped if one answer takes "
        f"{ANSWER_LIMIT} times as long (default: 60)",
    )
    add(
        "--plot",
        type=path,
        metavar="FILE",
        help="draw the result of growth as a picture, such as growth.png (default: no picture)",
    )
    add("--json", action="store_true", help="print one JSON object with every round (default: tables)")

    add = parser.add_argument_group("the model of train").add_argument
    add("--layers", type=positive, default=4, metavar="N", help="blocks, global and local alternately (default: 4)")
    add("--hidden-size", type=positive, default=192, metavar="C", help="channels (default: 192)")
    add("--heads", type=positive, default=6, metavar="H", help="attention heads (default: 6)")
    add("--window-size", type=positive, default=64, metavar="N", help="tokens that a local layer sees (default: 64)")
    add("--vocab-size", type=positive, default=2048, metavar="V", help="tokens of the vocabulary (default: 2048)")
    add("--sequence-length", type=positive, default=256, metavar="T", help="tokens of a window (default: 256)")
    add("--batch-size", type=positive, default=16, metavar="B", help="windows of a step (default: 16)")
    add("--steps", type=positive, default=4, metavar="N", help="steps of a measurement (default: 4)")
    return parser


def main(arguments: list[str] | None = None) -> int:
    """Run the command and return its exit status: 0, 2 after an error, 130 after Ctrl-C."""
    return run_command(lambda: run(build_parser().parse_args(arguments)))


def run(args: argparse.Namespace) -> int:
    """Measure one benchmark after the other and print the results; returns the exit status."""
    check_names(args)
    plan = chosen_benchmarks(args)
    check_before_measuring(args, plan)
    warn_of_ignored_options(args, plan)
    with contextlib.ExitStack() as at_end:
        job = Job(str(checkpoint_folder(args, plan, at_end)), args.seconds, args.text, train_sizes(args))
        check_text(job, plan)
        facts: dict = {"machine": machine(), "model": description(args, plan, job), "peers": versions(args.against)}
        facts |= {"rounds": args.rounds, "benchmarks": {}}
        if not args.json:
            takes = duration(total_seconds(plan, job, args.rounds, args.peer_seconds))
            print("\n".join([*heading(facts), f"takes:   about {takes}; Ctrl-C stops it and keeps the rows"]), flush=True)
        try:
            for name, backends in plan.items():
                facts["benchmarks"][name] = {"unit": BENCHMARKS[name].unit, "cases": {}}
                run_benchmark(name, backends, job, args, facts["benchmarks"][name]["cases"])
        finally:  # also after Ctrl-C or an error
            if args.json:
                print(json.dumps(facts, indent=2))
    return 0


def run_benchmark(name: str, backends: list[str], job: Job, args: argparse.Namespace, cases: dict) -> None:
    """Measure a benchmark, add its cases to `cases`, and print the rows of each case when it is done."""
    if not args.json:
        print("\n".join(table_head(name, backends)), flush=True)
    for label, entries in measure(name, job, backends, args.rounds, args.peer_seconds):
        cases[label] = with_ratios(name, entries)
        if entries and not args.json:
            print("\n".join(case_rows(name, label, entries, job)), flush=True)
    if name == "growth" and args.plot:
        plot(cases, BENCHMARKS[name].cases(job.config), job.config, args.plot)


def with_ratios(name: str, entries: dict[str, dict]) -> dict[str, dict]:
    """Return the entries of a case with `ratio`: 2 if neo_np is twice as good as this backend."""
    comparable = [backend for backend, entry in entries.items() if entry["rounds"] and backend != NEO and NEO in entries]
    return {
        backend: entry | ({"ratio": ratio(name, entries, backend)} if backend in comparable else {})
        for backend, entry in entries.items()
    }


def check_names(args: argparse.Namespace) -> None:
    """Raise NeoError for a benchmark or a peer that does not exist."""
    for kind, wanted, known in (("benchmark", args.benchmarks, BENCHMARKS), ("peer", args.against, PEERS)):
        for name in wanted:
            if name not in known:
                close = difflib.get_close_matches(name, known, 1)
                hint = f"did you mean {close[0]!r}?" if close else f"choose from {', '.join(known)}."
                if kind == "peer" and name in BENCHMARKS:
                    hint = "it is a benchmark, and benchmarks come before --against."
                raise NeoError(f"there is no {kind} {name!r}: {hint}")


def chosen_benchmarks(args: argparse.Namespace) -> dict[str, list[str]]:
    """Return {benchmark: its backends}: those named, else all; with peers, those that one of the peers can do.

    Raises NeoError for a peer that can do none of them.
    """
    names = [name for name in BENCHMARKS if name in args.benchmarks or not args.benchmarks]
    for peer in args.against:
        able = [name for name in BENCHMARKS if peer in BENCHMARKS[name].backends]
        if not set(able) & set(names):
            raise NeoError(f"{peer} can do none of these benchmarks: it can do {', '.join(able)}.")
    if args.against and not args.benchmarks:
        names = [name for name in names if set(args.against) & set(BENCHMARKS[name].backends)]
    wanted = [NEO, *dict.fromkeys(args.against), ROOFLINE, PLAIN]
    return {name: [backend for backend in wanted if backend in BENCHMARKS[name].backends] for name in names}


def check_before_measuring(args: argparse.Namespace, plan: dict[str, list[str]]) -> None:
    """Raise NeoError for what would fail only after minutes."""
    check_peers(args.against)
    if "train" in plan:
        sizes = train_sizes(args)
        with naming_options({size: f"--{size.replace('_', '-')}" for size in sizes} | OPTION_NAMES):
            check_memory(neo_config(sizes), neo_options(sizes))
    if args.plot:
        if "growth" not in plan:
            raise NeoError("--plot draws the benchmark growth, which is not among those to measure.")
        check_picture(args.plot)


def warn_of_ignored_options(args: argparse.Namespace, plan: dict[str, list[str]]) -> None:
    """Warn of options that were given and change nothing in this run."""
    parser = build_parser()
    uses = {"text": USE_TEXT, "peer_seconds": ("--against",), **{size: ("train",) for size in TRAIN_SIZES}}
    used = {*plan, "--against"} if args.against else set(plan)
    for name, users in uses.items():
        if getattr(args, name) != parser.get_default(name) and not used & set(users):
            warn(f"--{name.replace('_', '-')} changes nothing here: it needs {' or '.join(users)}.")


def check_text(job: Job, plan: dict[str, list[str]]) -> None:
    """Raise NeoError if the text that was named cannot be read or is too short."""
    if job.text_file and set(USE_TEXT) & set(plan):
        job.text()
    if job.text_file and "speculative" in plan:
        given_text(job, Tokenizer.load(job.folder))


def train_sizes(args: argparse.Namespace) -> dict[str, int]:
    """Return the sizes of the model that `train` measures."""
    return {name: getattr(args, name) for name in TRAIN_SIZES}


def checkpoint_folder(args: argparse.Namespace, plan: dict[str, list[str]], at_end: contextlib.ExitStack) -> Path:
    """Return the folder to measure: the one named, or one with random weights, which is removed when at_end closes."""
    needs_weights = any(BENCHMARKS[name].needs_weights for name in plan)
    if not args.shape:
        return find_checkpoint(args.model, weights_wanted=needs_weights)
    tables = find_checkpoint(GPT2_TABLES, weights_wanted=False)
    if not needs_weights:
        return tables  # the tokenizer is the same for all shapes
    folder = Path(at_end.enter_context(tempfile.TemporaryDirectory(prefix="neo_np-"))) / args.shape
    layers, channels, heads = SHAPES[args.shape]
    config = dataclasses.replace(
        load_config(tables / "config.json"),
        num_layers=layers,
        hidden_size=channels,
        num_heads=heads,
        intermediate_size=4 * channels,
        attention_layers=[("global", "local")[layer % 2] for layer in range(layers)],
    )
    save(Model(config, random_params(config), Tokenizer.load(tables)), folder)
    return folder


def description(args: argparse.Namespace, plan: dict[str, list[str]], job: Job) -> str | None:
    """Return a line about the model, or None if only training is measured."""
    if list(plan) == ["train"]:
        return None
    c, name = job.config, f"random weights in the shape {args.shape}" if args.shape else Path(job.folder).name
    sizes = f"{c.num_layers} layers, C={c.hidden_size}, {c.num_heads} heads, {c.vocab_size} tokens"
    return f"{name}: {sizes}, {c.max_position_embeddings} positions"
