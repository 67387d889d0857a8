"""The command `python -m neo_np.bench`: which works, on which model, against which peers; tables or JSON out."""

import contextlib
import dataclasses
import json
import tempfile
from pathlib import Path

from neo_np.bench.job import Job
from neo_np.bench.measure import machine
from neo_np.bench.plot import import_pyplot, plot
from neo_np.bench.report import heading, ratio, table
from neo_np.bench.rounds import check_peers, measure, versions
from neo_np.bench.training import neo_config
from neo_np.bench.works import LIMIT, NEO, PACKAGES, PLAIN, WORKS
from neo_np.checkpoint.loading import load_config
from neo_np.checkpoint.saving import save
from neo_np.errors import NeoError
from neo_np.folders.find import find_checkpoint
from neo_np.gpt_neo.params import random_params
from neo_np.model import Model
from neo_np.terminal import OneLineParser, number, positive, progress_bar, run_command
from neo_np.tokenizer.tokenizer import Tokenizer

GPT2_TABLES = "gpt-neo-125M"
SHAPES = {"125M": (12, 768, 12), "1.3B": (24, 2048, 16), "2.7B": (32, 2560, 20)}  # layers, channels, heads
TRAIN_SIZES = "layers hidden_size heads window_size vocab_size sequence_length batch_size steps".split()


def build_parser():
    """Return the parser of the command's arguments."""
    parser = OneLineParser(
        prog="python -m neo_np.bench",
        description="Measure how fast neo_np is on this machine, beside what the machine could do at best, and beside peers.",
        epilog="works: " + "; ".join(f"{name}: {work.about}" for name, work in WORKS.items()) + ".",
    )
    add = parser.add_argument
    add("works", nargs="*", metavar="WORK", help=f"{', '.join(WORKS)} (default: all, or all that the peers can do)")
    add("--against", nargs="+", default=[], choices=PACKAGES, metavar="PEER", help=f"measure peers too: {', '.join(PACKAGES)}")
    model = parser.add_mutually_exclusive_group()
    model.add_argument("--model", metavar="NAME", help="a folder, a name in weights/, or a hub name (default: tales-2M)")
    model.add_argument("--shape", choices=SHAPES, help="a model with random weights of this shape instead")
    add("--text", metavar="FILE", help="the text for the tokenizer (default: half a megabyte of Python's documentation)")
    add("--rounds", type=positive, default=9, metavar="N", help="turns of each side (default: 9)")
    add("--seconds", type=number, default=0.3, metavar="X", help="that a turn fills at least, but for train (default: 0.3)")
    add("--plot", metavar="FILE", help="draw what growth has found into a picture, such as growth.png")
    add("--json", action="store_true", help="print one JSON object with every round")

    add = parser.add_argument_group("the model of train").add_argument
    add("--layers", type=positive, default=4, metavar="N", help="blocks, global and local in turn (default: 4)")
    add("--hidden-size", type=positive, default=192, metavar="C", help="channels (default: 192)")
    add("--heads", type=positive, default=6, metavar="H", help="attention heads (default: 6)")
    add("--window-size", type=positive, default=64, metavar="N", help="tokens that a local layer sees (default: 64)")
    add("--vocab-size", type=positive, default=2048, metavar="V", help="tokens of the vocabulary (default: 2048)")
    add("--sequence-length", type=positive, default=256, metavar="T", help="tokens of a window (default: 256)")
    add("--batch-size", type=positive, default=16, metavar="B", help="windows of a step (default: 16)")
    add("--steps", type=positive, default=4, metavar="N", help="steps of a turn (default: 4)")
    return parser


def main(arguments=None):
    """Run the command and return its exit status: 0, 2 after an error, 130 after Ctrl-C."""
    return run_command(lambda: run(build_parser().parse_args(arguments)))


def run(args):
    """Measure one work after the other and print what is found; returns the exit status."""
    works = chosen_works(args)
    check(args, works)
    with contextlib.ExitStack() as at_end:
        folder = checkpoint_folder(args, works, at_end)
        job = Job(str(folder), args.seconds, args.text, train_sizes(args))
        job.text()  # a file that cannot be read is told at once
        facts = {"machine": machine(), "model": description(args, works, job), "peers": versions(args.against)}
        facts |= {"rounds": args.rounds, "works": {}}
        if not args.json:
            print("\n".join(heading(facts)), flush=True)
        for work in works:
            sides = [NEO, *args.against, LIMIT, PLAIN]
            with progress_bar(work) as progress:
                found = measure(work, job, [name for name in sides if name in WORKS[work].sides], args.rounds, progress)
            facts["works"][work] = {"unit": WORKS[work].unit, "cases": with_ratios(work, found)}
            if work == "growth" and args.plot:
                plot(found, WORKS[work].cases(job.config), job.config, args.plot)
            if not args.json:
                print("\n".join(table(work, found, job)), flush=True)
    if args.json:
        print(json.dumps(facts, indent=2))
    return 0


def train_sizes(args):
    """Return the sizes of the training that is measured."""
    return {name: getattr(args, name) for name in TRAIN_SIZES}


def chosen_works(args):
    """Return the works that were asked for: all where none is named, but with peers those that one of them can do."""
    for name in args.works:
        if name not in WORKS:
            raise NeoError(f"there is no work {name!r} to measure: choose from {', '.join(WORKS)}.")
    works = [name for name in WORKS if name in args.works or not args.works]
    for peer in args.against:
        able = [name for name in WORKS if peer in WORKS[name].sides]
        if not set(able) & set(works):
            raise NeoError(f"{peer} can do none of this: it can be measured in {', '.join(able)}.")
    if args.against and not args.works:
        works = [name for name in works if set(args.against) & set(WORKS[name].sides)]
    return works


def check(args, works):
    """Raise NeoError for what would fail only after minutes."""
    check_peers(args.against)
    if "train" in works:
        neo_config(train_sizes(args))
    if args.plot:
        if "growth" not in works:
            raise NeoError("--plot draws the work growth, and that is not among those to measure.")
        import_pyplot()
        if not Path(args.plot).absolute().parent.is_dir():
            raise NeoError(f"the picture {args.plot} cannot be written: there is no folder {Path(args.plot).parent}.")


def checkpoint_folder(args, works, at_end):
    """Return the folder to measure: the one named, or a temporary one with random weights, which goes when at_end closes."""
    wanted = any(WORKS[work].needs_weights for work in works)
    if not args.shape:
        return find_checkpoint(args.model, weights_wanted=wanted)
    tables = find_checkpoint(GPT2_TABLES, weights_wanted=False)
    if not wanted:
        return tables  # the tokenizer is the same for all shapes
    folder = Path(at_end.enter_context(tempfile.TemporaryDirectory(prefix="neo_np-"))) / args.shape
    layers, channels, heads = SHAPES[args.shape]
    config = dataclasses.replace(
        load_config(tables / "config.json"),
        num_layers=layers,
        hidden_size=channels,
        num_heads=heads,
        intermediate_size=None,
        attention_layers=[("global", "local")[layer % 2] for layer in range(layers)],
    )
    save(Model(config, random_params(config), Tokenizer.load(tables)), folder)
    return folder


def description(args, works, job):
    """Return what to say of the model, or None where nothing but training is measured."""
    if works == ["train"]:
        return None
    c, name = job.config, f"random weights in the shape {args.shape}" if args.shape else Path(job.folder).name
    sizes = f"{c.num_layers} layers, C={c.hidden_size}, {c.num_heads} heads, {c.vocab_size} tokens"
    return f"{name}: {sizes}, {c.max_position_embeddings} positions"


def with_ratios(work, found):
    """Return the cases with how many times as good ours is as each other side."""
    return {
        label: {name: entry | ({} if name == NEO else {"ratio": ratio(work, sides, name)}) for name, entry in sides.items()}
        for label, sides in found.items()
    }
