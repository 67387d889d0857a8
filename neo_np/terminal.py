"""What the commands share: arguments, errors and warnings as one line each, the ways in which a command can end."""

import argparse
import difflib
import math
import os
import re
import sys
import warnings
from contextlib import contextmanager

from neo_np.errors import NeoError


class OneLineParser(argparse.ArgumentParser):
    """A parser that takes no abbreviated options and prints each error as one line, as commands do."""

    def __init__(self, **settings):
        super().__init__(allow_abbrev=False, **settings)

    def error(self, message):
        """Print what is wrong, with the option that was probably meant, and leave with exit status 2."""
        self.exit(2, f"error: {' '.join(message.split())}{self.suggestion(message)} (--help shows the options)\n")

    def suggestion(self, message):
        """Return ": did you mean --seed?" if the message is about an unknown option that resembles one of this parser's."""
        unknown = re.match(r"unrecognized arguments: (--[\w-]+)", message)
        close = unknown and difflib.get_close_matches(unknown[1].lower().replace("_", "-"), option_names(self), 1)
        return f": did you mean {close[0]}?" if close else ""


def option_names(parser):
    """Return the names of all options of a parser and of its subcommands."""
    names = []
    for action in parser._actions:
        names += action.option_strings
        if isinstance(action, argparse._SubParsersAction):
            names += [name for command in action.choices.values() for name in option_names(command)]
    return names


def checked(kind, fits, words):
    """Return a function that makes an int or a float of an argument, for `type=`; its complaint says what was expected."""

    def convert(text):
        try:
            value = kind(text)
        except ValueError:
            value = None
        if value is None or not fits(value):
            raise argparse.ArgumentTypeError(f"{text!r} is not {words}")
        return value

    return convert


positive = checked(int, lambda value: value > 0, "a whole number above 0")
whole = checked(int, lambda value: value >= 0, "a whole number, 0 or more")
number = checked(float, lambda value: 0 <= value < math.inf, "a number, 0 or more")
share = checked(float, lambda value: 0 <= value < 1, "a number from 0 to below 1")


def run_command(run):
    """Call run() and return the exit status of the command: its own, 2 after an error, 130 after Ctrl-C."""
    sys.stdout = sys.stdout or open(os.devnull, "w")  # None where the shell has closed it
    sys.stderr = sys.stderr or open(os.devnull, "w")
    for stream in (sys.stdout, sys.stderr):
        stream.reconfigure(errors="backslashreplace")  # a terminal that is not UTF-8 shows \\u2019 and does not fail
    with warnings.catch_warnings():
        warnings.simplefilter("always")
        warnings.showwarning = lambda message, *_, **__: print(f"warning: {message}", file=sys.stderr)
        try:
            try:
                return run()
            finally:
                sys.stdout.flush()
        except NeoError as error:
            return report(error)
        except KeyboardInterrupt:
            return 130
        except OSError as error:
            # What Python flushes on its way out must not fail again.
            os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
            if isinstance(error, BrokenPipeError):  # the reader has gone, as `| head` does
                return 0
            return report(NeoError(f"the text cannot be written: {error.strerror}."))


def restart_with(environment):
    """Replace this process by the same command with these variables, unless all are set already. Windows runs without them.

    BLAS reads its variables when NumPy is imported, so a command that is running already cannot change them.
    """
    if os.name == "posix" and not all(name in os.environ for name in environment):
        sys.stdout.flush()
        os.execve(sys.executable, sys.orig_argv, environment | dict(os.environ))


def report(error):
    """Print an error as one line (Python lines in it joined by semicolons) and return the exit status for it."""
    sentence, *code = str(error).splitlines()
    print(f"error: {sentence} {'; '.join(line.strip() for line in code)}".rstrip(), file=sys.stderr)
    return 2


BAR_WIDTH = 30


@contextmanager
def progress_bar(title):
    """Give a function (done, total) that draws a bar on standard error, or None if that is no terminal.

    At the end the bar is erased, so that what is printed next begins on a clean line.
    """
    shown, width = sys.stderr.isatty(), len(title) + BAR_WIDTH + len(" [] 100%")

    def show(done, total):
        filled = round(BAR_WIDTH * done / max(total, 1))
        print(
            f"\r{title} [{'#' * filled}{'.' * (BAR_WIDTH - filled)}] {done / max(total, 1):4.0%}",
            end="",
            file=sys.stderr,
            flush=True,
        )

    try:
        yield show if shown else None
    finally:
        if shown:
            print(f"\r{' ' * width}\r", end="", file=sys.stderr, flush=True)


@contextmanager
def naming_options(names):
    """Name a command's options in errors: with {"num_heads": "--heads"}, "num_heads is 0" becomes "--heads is 0".

    A name that is an ordinary word, such as "steps", is replaced only if the sentence begins with it: "steps is 0".
    """
    try:
        yield
    except NeoError as error:
        terms = [rf"(?<![-.\w/\\]){name}\b" if "_" in name else f"^{name}(?= is )" for name in names]
        sentence = re.sub("|".join(terms), lambda found: names[found[0]], str(error))
        raise NeoError(sentence) from None
