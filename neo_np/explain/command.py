"""The command `python -m neo_np.explain`: one run of a model as an HTML file."""

import argparse
import math
import os
from collections.abc import Sequence
from pathlib import Path
from typing import cast

from neo_np.checkpoint.loading import load_config, load_for_text
from neo_np.errors import NeoError, warn
from neo_np.explain.page import OPENING, PANELS, THEMES, read_opening
from neo_np.explain.run import ABOUT, SMALL_MODEL, Explanation, explain
from neo_np.folders.find import CONFIG, find_checkpoint
from neo_np.generate.arguments import (
    add_generation_arguments,
    add_model_arguments,
    advice,
    argument_of,
    given_options,
    name_arguments,
    one_text_only,
    read_input,
)
from neo_np.gpt_neo.params import parameter_shapes
from neo_np.terminal import (
    ONE_BLAS_THREAD,
    OneLineParser,
    any_text,
    filled,
    path,
    progress_bar,
    restart_with,
    run_command,
    with_option_names,
)
from neo_np.tokenizer.tokenizer import Tokenizer

EXAMPLES = """examples:
  python -m neo_np.explain "Once upon a time there was a" --out run.html
  python -m neo_np.explain "Once upon a time" --continuation " there was a king" --open attention,layer=1,head=0
"""
# Options that change nothing if the continuation is given.
ONLY_FOR_NEW_TEXT = "max_new_tokens", "max_length", "stop_strings", "cut_stop_string", "seed"
PAGE_ARGUMENTS = {"open": "--open", "continuation": "--continuation"}


def build_parser() -> OneLineParser:
    """Return the parser of the command's arguments."""
    parser = OneLineParser(
        prog="python -m neo_np.explain",
        description="Write one HTML file that shows a run of a GPT-Neo model: where it looked, and why it chose each token.",
        epilog=EXAMPLES,
        formatter_class=argparse.RawDescriptionHelpFormatter,
        advice=advice() | one_text_only("a page explains one text, chosen token by token, so leave it out"),
    )
    add_model_arguments(parser)
    add = parser.add_argument_group("the page").add_argument
    add("--out", type=path, metavar="FILE", default="run.html", help="the file to write (default: run.html)")
    add("--force", action="store_true", help="write the file even if it is there already")
    add(
        "--continuation",
        type=any_text,
        metavar="TEXT",
        help="explain this continuation of the prompt instead of generating one; a new word begins with a space, as in "
        "' there was'; '' explains the prompt only",
    )
    add("--theme", choices=THEMES, default="auto", help="colours: those of the system, or always light or dark (default: auto)")
    add(
        "--open",
        type=filled,
        metavar="PANEL",
        help=f"what shows first: {', '.join(PANELS)}; then, separated by commas, {OPENING}",
    )
    add(
        "--ablate",
        action=argparse.BooleanOptionalAction,
        help="run the model without each head (default: below 10 million parameters)",
    )
    add("--timings", action="store_true", help="show how long each part took")
    add_generation_arguments(parser, new_tokens=f"as many as make about {ABOUT} tokens with the prompt", seed=0, one_text=True)
    return parser


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command and return its exit status: 0, 2 after an error, 130 after Ctrl-C."""
    return run_command(lambda: run(build_parser().parse_args(arguments)), rename=name_page_arguments)


def name_page_arguments(message: str) -> str:
    """Return a message with the names of arguments: --open for open, --max-new-tokens for max_new_tokens."""
    return with_option_names(name_arguments(message), PAGE_ARGUMENTS)


def main_in_new_environment() -> int:
    """Run the command; for a small model, in a process whose BLAS uses one thread."""
    if is_small(build_parser().parse_args().model):
        restart_with(ONE_BLAS_THREAD)  # its threads would only wait for each other
    return main()


def is_small(name: str | None) -> bool:
    """Return whether a checkpoint has few parameters, from its config.json only. False if it cannot be read."""
    try:
        config = load_config(find_checkpoint(name) / CONFIG)
    except NeoError:
        return False  # loading the model will report it
    return sum(map(math.prod, parameter_shapes(config).values())) < SMALL_MODEL


def run(args: argparse.Namespace) -> int:
    """Load the model, explain, and write the page, as the arguments say; return the exit status."""
    check_output(Path(args.out), args.force)
    read_opening(args.open, args.timings)
    prompt = read_input(args.prompt, 'python -m neo_np.explain "Once upon a time"')
    model = load_for_text(args.model, args.tokenizer)
    tokenizer = cast(Tokenizer, model.tokenizer)  # `load_for_text` refuses others
    options = given_options(tokenizer, args) | {"do_sample": not args.greedy}
    with progress_bar("explaining") as progress:
        page = explain(
            model,
            prompt,
            args.continuation,
            args.out,
            args.theme,
            args.open,
            args.ablate,
            args.timings,
            progress=progress,
            **options,
        )
    for name in ONLY_FOR_NEW_TEXT:
        if args.continuation is not None and getattr(args, name) is not None:
            warn(f"{argument_of(name)} changes nothing here: the --continuation is given.")
    print(summary(page, Path(args.out)))
    return 0


def check_output(file: Path, force: bool) -> None:
    """Raise NeoError if the file is there already or is no ordinary file, or if its folder is not there."""
    if file.is_dir() or file.is_fifo():  # writing into a pipe would wait for a reader
        raise NeoError(f"{file} is {'a folder' if file.is_dir() else 'a pipe'}: name a file, as in --out run.html.")
    if file.exists() and not force:
        raise NeoError(f"{file} is there already: choose another --out, or overwrite it with --force.")
    if not file.parent.is_dir():
        raise NeoError(f"the folder {file.parent} does not exist: create it, or choose another --out.")
    if not os.access(file if file.exists() else file.parent, os.W_OK):
        raise NeoError(f"{file} cannot be written: permission denied. Choose another --out.")


def summary(page: Explanation, file: Path) -> str:
    """Return one line about what was written."""
    return f"{file}: {len(page.data['ids'])} tokens, {file.stat().st_size / 1e6:.1f} MB. Open it in a browser."
