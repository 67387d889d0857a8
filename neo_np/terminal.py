"""What the commands share: arguments, errors and warnings as one line each, exit statuses, progress."""

import argparse
import builtins
import contextlib
import difflib
import math
import os
import re
import signal
import sys
import time
import warnings
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any, NoReturn

from neo_np.errors import NeoError

# BLAS reads these variables when NumPy is imported.
ONE_BLAS_THREAD = dict.fromkeys(["OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS", "OMP_NUM_THREADS", "VECLIB_MAXIMUM_THREADS"], "1")
DASHES = "\u2013\u2014\u2212"  # what word processors and web pages make of two hyphens
LEAST_SIMILARITY = 0.65  # of an unknown option and the one that is suggested, from 0 to 1 as difflib measures it

# What to do instead of options that other programs have, and none of the commands here.
ADVICE = dict.fromkeys(
    ["--device", "--dtype", "--cpu", "--gpu", "--cuda", "--fp16", "--bf16", "--half", "--compile"],
    "leave it out: NumPy computes in float32, on the CPU",
) | {"--version": "python -m neo_np --version prints the version"}


class OneLineParser(argparse.ArgumentParser):
    """A parser that takes no abbreviated options and prints each error as one line, as commands do.

    advice: {option of another program: what to do instead}, for options that do not exist here.
    """

    def __init__(self, advice: Mapping[str, str] | None = None, **settings: Any):
        super().__init__(allow_abbrev=False, **settings)
        self.advice = ADVICE | dict(advice or {})

    def parse_args(self, args: Any = None, namespace: Any = None) -> Any:
        """Return the arguments; leave with exit status 2 if there are some that the parser does not know."""
        if isinstance(args, str):
            self.error(f"the arguments must be a list of texts, and are one text: [{args!r:.40}]")
        # An option of a subcommand before its name: argparse would take the option's value for that name.
        first = next(iter(sys.argv[1:] if args is None else args), "").partition("=")[0]
        if self.owners(first) and first not in self._option_string_actions:
            self.error(f"{first} comes too early{self.right_place(first)}")
        known, others = self.parse_known_args(args, namespace)
        if others:
            self.error(f"unrecognized arguments: {' '.join(others)}{self.suggestion(others, known)}")
        return known

    def error(self, message: str) -> NoReturn:
        """Print what is wrong and leave with exit status 2."""
        if lacks_value := re.fullmatch(r"argument (--[\w-]+)\S*: expected one argument", message):
            message += f" (if it begins with a hyphen, write {lacks_value[1]}=-x)"
        for action in self.commands():
            first = f"the first word must be {' or '.join(action.choices)}"
            wrong = f"argument {action.metavar}: invalid choice: "
            if message == f"the following arguments are required: {action.metavar}":
                message = first
            elif message.startswith(wrong):
                message = f"{first}, and it is {message.removeprefix(wrong).partition(' (choose')[0]}"
        self.exit(2, f"error: {' '.join(message.split())} (--help shows the options)\n")

    def suggestion(self, others: Sequence[str], known: argparse.Namespace) -> str:
        """Return ": " and what was probably meant by arguments that the parser does not know, or ""."""
        # Of a text without quotes, the first word is the prompt and all others are unknown arguments.
        prompt = [known.prompt] if isinstance(getattr(known, "prompt", None), str) else []
        words = [*prompt, *others]
        options = [word.partition("=")[0] for word in others if word.startswith("-")]
        options += [word.partition("=")[0] for word in words if re.match(f"[{DASHES}]+\\w", word)]
        if not options:
            text = " ".join(words).strip("\u201c\u201d\u201e")  # what word processors make of quotes
            return f': put a text of several words in quotes, as in "{text}"' if prompt else ""
        names = option_names(self)
        if options[0] in names:
            return self.right_place(options[0])
        option = "--" + options[0].lower().replace("_", "-").lstrip(f"-{DASHES}")
        if option in self.advice and option not in names:
            return f": {self.advice[option]}"
        similar = most_similar(option, names)
        hyphens = ", with two hyphens" if options[0][0] in DASHES else ""
        return f": did you mean {similar}{hyphens}?" if similar else ""

    def right_place(self, option: str) -> str:
        """Return ": " and where an option belongs that was given in the wrong place."""
        owners = self.owners(option)
        return (
            f": {option} belongs to {', '.join(owners)}: write it after that word" if owners else ": options come before '--'"
        )

    def owners(self, option: str) -> list[str]:
        """Return the subcommands that have an option."""
        commands = [item for action in self.commands() for item in action.choices.items()]
        return [name for name, command in commands if option in command._option_string_actions]

    def commands(self) -> list[argparse._SubParsersAction]:
        """Return the actions that take the name of a subcommand."""
        return [action for action in self._actions if isinstance(action, argparse._SubParsersAction)]

    def given(self, arguments: Sequence[str]) -> list[str]:
        """Return the names of the arguments that were given, also of those whose value is the default."""
        # argparse gives defaults only to names that the namespace does not have yet.
        nothing = argparse.Namespace(**dict.fromkeys(vars(self.parse_args(arguments))))
        return [name for name, value in vars(self.parse_args(arguments, nothing)).items() if value not in (None, [])]


def option_names(parser):
    """Return the names of all options of a parser and of its subcommands."""
    names = []
    for action in parser._actions:
        names += action.option_strings
        if isinstance(action, argparse._SubParsersAction):
            names += [name for command in action.choices.values() for name in option_names(command)]
    return names


def most_similar(option: str, names: Sequence[str]) -> str:
    """Return the option that an unknown one was probably meant to be, or "" if none is similar."""
    related = [name for name in names if name.startswith(option) or option.startswith(f"{name}-")]
    if len(related) == 1:  # --max-new for --max-new-tokens, --seed-value for --seed
        return related[0]
    words = [name.lstrip("-") for name in names]  # the hyphens would make any two options similar
    close = difflib.get_close_matches(option.lstrip("-"), words, 1, cutoff=LEAST_SIMILARITY)
    return f"--{close[0]}" if close else ""


def checked(kind, fits, words):
    """Return a function that makes an int or a float of an argument, for `type=`; its complaint says what was expected."""

    def convert(text):
        try:
            value = kind(text)
        except ValueError:
            value = None
        if value is None or not fits(value):
            raise argparse.ArgumentTypeError(f"{text!r:.40} is not {words}")
        return value

    return convert


any_whole = checked(int, lambda value: True, "a whole number")
any_number = checked(float, lambda value: True, "a number")
positive = checked(int, lambda value: value > 0, "a whole number above 0")
whole = checked(int, lambda value: value >= 0, "a whole number, 0 or more")
number = checked(float, lambda value: 0 <= value < math.inf, "a number, 0 or more")
share = checked(float, lambda value: 0 <= value < 1, "a number from 0 to below 1")


def filled(text: str) -> str:
    """Return an argument that must not be empty, for `type=`; a variable of the shell that is not set gives an empty one."""
    if not text:
        raise argparse.ArgumentTypeError("it is empty: give a value, or leave it out")
    return text


def any_text(text: str) -> str:
    """Return an argument that is text, for `type=`.

    If the locale is not UTF-8, Python gives the bytes that it cannot decode as surrogates; they are decoded here.
    """
    if not re.search("[\ud800-\udfff]", text):
        return text
    try:
        return os.fsencode(text).decode("utf-8")
    except UnicodeError:
        raise argparse.ArgumentTypeError(f"{text!r:.40} is not UTF-8 text") from None


def path(text: str) -> str:
    """Return an argument that is a path, for `type=`; in --out=~/runs the shell leaves the ~ as it is."""
    return os.path.expanduser(filled(text))


def run_command(run: Callable[[], int], rename: Callable[[str], str] = str) -> int:
    """Call run() and return the exit status of the command: its own, 2 after an error, 130 after Ctrl-C.

    rename: changes the text of errors and warnings, so that they name the command's arguments.
    """
    raise_on_interrupt()
    sys.stdout = sys.stdout or open(os.devnull, "w")  # None if the shell has closed it
    sys.stderr = sys.stderr or open(os.devnull, "w")
    for stream in (sys.stdout, sys.stderr):
        set_errors(stream, "backslashreplace")  # a terminal that is not UTF-8 shows \u2019 instead of failing
    with warnings.catch_warnings():
        warnings.simplefilter("always")
        warnings.showwarning = lambda message, *_, **__: print(f"warning: {rename(str(message))}", file=sys.stderr)
        try:
            try:
                return run()
            finally:
                sys.stdout.flush()
        except NeoError as error:
            return report(rename(str(error)))
        except KeyboardInterrupt:
            return 130
        except SystemExit as end:  # raised by argparse, after its message; Jupyter would add advice of its own
            if not is_in_jupyter():
                raise
            return int(end.code or 0)
        except MemoryError:
            return report("the memory is exhausted: ask for less at a time, or use a smaller model.")
        except OSError as error:
            discard_output()
            if isinstance(error, BrokenPipeError):  # the reader has gone, as `| head` does
                return 0
            where = f"{error.filename} cannot be used" if error.filename else "the text cannot be written"
            return report(f"{where}: {error.strerror or error}.")


def is_in_jupyter() -> bool:
    """Return whether IPython, and so Jupyter, runs the command in its own process, as %run does."""
    return hasattr(builtins, "get_ipython")


def end_with(main: Callable[[], int]) -> None:
    """Run a command and end the process with its exit status; Jupyter would show a traceback below the command's error."""
    try:
        status: Any = main()
    except SystemExit as end:  # raised by argparse
        status = end.code
    if not is_in_jupyter():
        raise SystemExit(status)


def raise_on_interrupt() -> None:
    """Let Ctrl-C raise KeyboardInterrupt, if `neo_np/__init__.py` let it end the process during the imports."""
    if getattr(signal.getsignal(signal.SIGINT), "__module__", None) == "neo_np":
        signal.signal(signal.SIGINT, signal.default_int_handler)


def set_errors(stream: Any, errors: str, **settings: Any) -> None:
    """Set what a stream does with text that it cannot encode or decode. The streams of Jupyter take any text."""
    if hasattr(stream, "reconfigure"):
        stream.reconfigure(errors=errors, **settings)


def discard_output() -> None:
    """Send the rest of standard output nowhere: what Python flushes when it ends must not fail again."""
    with contextlib.suppress(OSError):  # a stream of Jupyter has no file
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


def restart_with(environment):
    """Replace this process by the same command with these variables, unless all are set already.

    BLAS reads its variables when NumPy is imported, so a command that is running already cannot change them. On Windows, which
    cannot replace a process, and in Jupyter, whose process also runs the user's notebook, the command runs without them.
    """
    if os.name == "posix" and not is_in_jupyter() and not all(name in os.environ for name in environment):
        if sys.stdout:  # None if the shell has closed it
            sys.stdout.flush()
        os.execve(sys.executable, sys.orig_argv, environment | dict(os.environ))  # what the user has set stays


def report(message: str) -> int:
    """Print an error as one line (lines of Python code in it joined by semicolons) and return the exit status for it."""
    sentence, *code = message.splitlines()
    with contextlib.suppress(OSError):  # a full disk takes no error either
        print(f"error: {sentence} {'; '.join(line.strip() for line in code)}".rstrip(), file=sys.stderr, flush=True)
    return 2


BAR_WIDTH, SECONDS_PER_LINE = 30, 10


@contextlib.contextmanager
def progress_bar(title: str) -> Iterator[Callable[[int, int], None]]:
    """Give a function (done, total) that shows progress on standard error.

    On a terminal it draws a bar, which is erased at the end, so that what is printed next begins on a clean line. Elsewhere,
    such as in a log file, it prints a line every ten seconds.
    """
    terminal, width = sys.stderr.isatty(), len(title) + BAR_WIDTH + len(" [] 100%")
    last_line = time.monotonic()

    def show(done: int, total: int) -> None:
        nonlocal last_line
        fraction = done / max(total, 1)
        if terminal:
            full = round(BAR_WIDTH * fraction)
            print(f"\r{title} [{'#' * full}{'.' * (BAR_WIDTH - full)}] {fraction:4.0%}", end="", file=sys.stderr, flush=True)
        elif (now := time.monotonic()) - last_line >= SECONDS_PER_LINE:
            last_line = now
            print(f"{title}: {fraction:.0%}", file=sys.stderr, flush=True)

    try:
        yield show
    finally:
        if terminal:
            print(f"\r{' ' * width}\r", end="", file=sys.stderr, flush=True)


def with_option_names(sentence: str, names: Mapping[str, str]) -> str:
    """Return a sentence with a command's options: with {"num_heads": "--heads"}, "num_heads is 0" becomes "--heads is 0".

    A name that is an ordinary word, such as "steps", is replaced only if the sentence begins with it: "steps is 0".
    """
    occurring = [name for name in names if name in sentence]  # a pattern of all names takes milliseconds to compile
    if not occurring:
        return sentence
    longest_first = sorted(occurring, key=len, reverse=True)
    terms = [rf"(?<![-.\w/\\'\"]){name}\b" if re.search("[_=]", name) else f"^{name}(?= )" for name in longest_first]
    return re.sub("|".join(terms), lambda found: names[found[0]], sentence)


@contextlib.contextmanager
def naming_options(names: Mapping[str, str]) -> Iterator[None]:
    """Name a command's options in errors, as `with_option_names` does."""
    try:
        yield
    except NeoError as error:
        raise NeoError(with_option_names(str(error), names)) from None
