"""Run `python -m neo_np`: it shows the commands of the package, or its version."""

import shlex
import sys
from argparse import RawDescriptionHelpFormatter

from neo_np import __version__
from neo_np.terminal import OneLineParser, end_with, run_command

COMMANDS = {
    "generate": "continue a text",
    "explain": "write one HTML page that shows a whole run",
    "train": "train a model on text files",
    "evaluate": "measure how well a model predicts texts, and what its heads look at",
    "bench": "measure how fast the models run on this machine",
    "exercises": "grade answers to the exercises of the course",
}


def run() -> int:
    """Show the commands; a command that is written with a space gets an error with its right form."""
    lines = [f"  python -m neo_np.{name:<10} {purpose}" for name, purpose in COMMANDS.items()]
    parser = OneLineParser(
        prog="python -m neo_np",
        usage="python -m neo_np.COMMAND ...",
        description="GPT-Neo in NumPy. Each command shows its options with --help:\n\n" + "\n".join(lines),
        formatter_class=RawDescriptionHelpFormatter,
    )
    parser.add_argument("--version", action="version", version=f"neo_np {__version__}")
    given = sys.argv[1:]
    if given and not given[0].startswith("-"):
        name, rest = (given[0], given[1:]) if given[0] in COMMANDS else ("generate", given)
        parser.error(f"write the command with a dot: {shlex.join(['python', '-m', f'neo_np.{name}', *rest])}")
    parser.parse_args(given)
    parser.print_help()
    return 0


end_with(lambda: run_command(run))
