"""The command `python -m neo_np.exercises`: grading the files of students."""

import argparse
import sys
from collections.abc import Sequence

from neo_np.errors import NeoError
from neo_np.exercises.grading.grader import chosen_exercises, find_files, grade_all, notes_on_choice, read_submission
from neo_np.exercises.grading.report import as_csv, as_json, as_table, registry_line
from neo_np.exercises.registry import load_registry
from neo_np.terminal import OneLineParser, filled, path, positive, progress_bar, run_command, whole

DESCRIPTION = "For teachers of the course in notebooks/: grade the files of students. See notebooks/GRADING.md."

GRADE = """Grade the exercises in notebooks or scripts, and name the mistakes. Only the functions of the exercises are run, with
the imports, constants and helpers that they use; each in a process of its own, with limits of time and memory. This is no
sandbox: run the files of people whom you do not trust in a container or a virtual machine."""

EXAMPLES = """examples:
  python -m neo_np.exercises grade 05_one_head.ipynb
  python -m neo_np.exercises grade submissions --only 05 --jobs 4 --csv
"""


def build_parser() -> OneLineParser:
    """Return the parser of the command's arguments."""
    raw = argparse.RawDescriptionHelpFormatter
    parser = OneLineParser(prog="python -m neo_np.exercises", description=DESCRIPTION, epilog=EXAMPLES, formatter_class=raw)
    commands = parser.add_subparsers(dest="command", required=True, metavar="grade")
    grade = commands.add_parser(
        "grade", help="grade the files of students", description=GRADE, epilog=EXAMPLES, formatter_class=raw
    )
    add = grade.add_argument
    add("files", nargs="+", type=filled, metavar="FILE", help="a .ipynb or .py file, or a folder of them")
    add(
        "--only",
        action="append",
        type=filled,
        default=[],
        metavar="NAMES",
        help="exercises or numbers of notebooks, separated by commas (default: what at least one FILE answers)",
    )
    add("--seed", type=whole, metavar="N", help="check on more random cases, made from this number (default: none)")
    add(
        "--registry",
        type=path,
        action="append",
        default=[],
        metavar="FILE",
        help="your file of solutions and exercises (default: none)",
    )
    add("--jobs", type=positive, default=1, metavar="N", help="processes at the same time (default: 1)")
    form = grade.add_mutually_exclusive_group()
    form.add_argument("--json", action="store_true", help="print one JSON object (default: a table)")
    form.add_argument(
        "--csv", action="store_true", help="print lines of file,exercise,points,mistake,seconds (default: a table)"
    )
    return parser


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command and return its exit status: 0, 2 after an error, 130 after Ctrl-C."""
    return run_command(lambda: run(build_parser().parse_args(arguments)))


def run(args: argparse.Namespace) -> int:
    """Grade the files and print the result as the arguments say; return the exit status."""
    for file in args.registry:
        load_registry(file)
    submissions = [read_submission(file) for file in find_files(args.files)]
    only = [name.strip() for names in args.only for name in names.split(",") if name.strip()]
    only = [name.zfill(2) if name.isdigit() else name for name in only]
    if args.only and not only:
        raise NeoError("--only has no name: give names of exercises or numbers of notebooks, such as --only 05.")
    exercises = chosen_exercises(only, submissions)
    notes = [] if only else notes_on_choice(exercises, submissions)
    with progress_bar("grading") as progress:
        grades = grade_all(submissions, exercises, args.seed, args.jobs, progress)
    if args.csv:
        notes += [f"{submission.file}: {note}" for submission in submissions for note in submission.notes]
        print(registry_line(), file=sys.stderr)
        print(as_csv(grades), end="")
    else:
        print(as_json(submissions, grades) if args.json else as_table(submissions, grades))
    for note in notes:
        print(f"note: {note}", file=sys.stderr)
    return 0
