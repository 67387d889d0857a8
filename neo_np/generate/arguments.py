"""The arguments of the commands that generate: the prompt, the checkpoint, and the options of `generate`."""

import argparse
import re
import sys
from collections.abc import Sequence
from dataclasses import fields
from typing import Any

from neo_np.errors import NeoError, warn
from neo_np.files import decode_chunks, unreadable
from neo_np.folders.find import DEFAULT_CHECKPOINT
from neo_np.generate.options import Options
from neo_np.terminal import any_number, any_text, any_whole, filled, with_option_names
from neo_np.tokenizer.tokenizer import Tokenizer

# The commands' own defaults: with those of `generate`, the text is short and repeats itself.
DEFAULTS: dict[str, int | float] = {"default_new_tokens": 200, "temperature": 0.9, "top_p": 0.95}
FIELDS = {field.name: field for field in fields(Options)}

# Options that have another name as argument, or another form.
ARGUMENTS = {
    "stop_strings": "--stop",
    "cut_stop_string": "--cut-stop",
    "bad_words_ids": "--bad-word",
    "do_sample=True": "--sample",
    "do_sample=False": "--greedy",
    "slide=True": "--slide",
    "an assistant_model": "--assistant-model",
    "tokenizer=FOLDER": "--tokenizer FOLDER",
}
GREEDY, MORE_TEXTS, LENGTH, MODEL = (
    f"did you mean {name}?" for name in ("--greedy", "--num-return-sequences", "--max-new-tokens", "--model")
)
PROMPT = "the prompt has no option: give it in quotes"
# What to do instead of options of other programs, if it is not the argument with the most similar name.
ADVICE = {
    "--do-sample": "did you mean --sample?",
    "--no-sample": GREEDY,
    "--no-do-sample": GREEDY,
    "--deterministic": GREEDY,
    "--n": MORE_TEXTS,
    "--num-samples": MORE_TEXTS,
    "--length": LENGTH,
    "--tokens": LENGTH,
    "--n-predict": LENGTH,
    "--checkpoint": MODEL,
    "--model-name-or-path": MODEL,
    "--eos": "did you mean --eos-token-id?",
    "--prompt": PROMPT,
    "--text": PROMPT,
    "--stream": "leave it out: text is always printed while it is generated",
    "--m": MODEL,
    "--t": "did you mean --temperature?",
}


def add_model_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the prompt and the checkpoint."""
    add = parser.add_argument
    add("prompt", nargs="?", type=any_text, help="the text to continue, in quotes (default, and with '-': standard input)")
    add(
        "--model",
        type=filled,
        metavar="NAME",
        help=f"a folder, a name in weights/, or a hub name such as EleutherAI/gpt-neo-125M (default: {DEFAULT_CHECKPOINT})",
    )
    help = "the checkpoint that the tokenizer comes from (default: that of --model)"
    add("--tokenizer", type=filled, metavar="NAME", help=help)


def add_generation_arguments(
    parser: argparse.ArgumentParser, new_tokens: float | str, seed: int | None = None, one_text: bool = False
) -> None:
    """Add the options of `generate`. new_tokens, seed: the command's defaults, for --help.

    one_text: leave out the options for which `one_text_only` gives a reason.
    """
    group = parser.add_argument_group("length and end")
    add_option(group, "max_new_tokens", any_whole, "N", default=new_tokens)
    add_option(group, "max_length", any_whole, "N", default="no limit")
    add_option(group, "min_new_tokens", any_whole, "N", default="no limit")
    add_option(group, "min_length", any_whole, "N")
    add = group.add_argument
    add(
        "--stop",
        dest="stop_strings",
        type=any_text,
        action="append",
        metavar="TEXT",
        help="end after this text; may be given several times (default: none)",
    )
    add("--cut-stop", dest="cut_stop_string", action="store_true", default=None, help="leave the --stop text out")
    add(
        "--eos-token-id",
        type=any_whole,
        action="append",
        metavar="ID",
        help="a token id that ends the text; may be given several times (default: the model's own)",
    )
    if not one_text:
        add_option(group, "slide", action="store_true")

    group = parser.add_argument_group("choice of tokens")
    add = group.add_mutually_exclusive_group().add_argument
    add("--greedy", action="store_true", help="always take the most likely token")
    add("--sample", action="store_true", help=f"draw at random (the default{'' if one_text else ' without --num-beams'})")
    add_option(group, "temperature", any_number, "X", default=DEFAULTS["temperature"])
    add_option(group, "top_k", any_whole, "K")
    add_option(group, "top_p", any_number, "P", default=DEFAULTS["top_p"])
    add_option(group, "min_p", any_number, "P", default="off")
    add_option(group, "typical_p", any_number, "P")
    add_option(group, "seed", any_whole, "N", default="another one each time" if seed is None else seed)
    add_option(group, "repetition_penalty", any_number, "X")
    add_option(group, "no_repeat_ngram_size", any_whole, "N")
    add = group.add_argument
    add(
        "--bad-word",
        dest="bad_words",
        type=any_text,
        action="append",
        metavar="TEXT",
        help="never write this word, in the tokens it is usually spelled with; may be given several times (default: none)",
    )

    if not one_text:
        add_beams_and_drafts(parser)


def add_beams_and_drafts(parser: argparse.ArgumentParser) -> None:
    """Add the options for several texts, and those of speculative decoding."""
    group = parser.add_argument_group("several texts")
    add_option(group, "num_return_sequences", any_whole, "N")
    add_option(group, "num_beams", any_whole, "N")
    add_option(group, "length_penalty", any_number, "X")
    add_option(group, "early_stopping", choices=["true", "false", "never"], default="false")

    group = parser.add_argument_group("speculative decoding (the same text, often faster)")
    add_option(group, "prompt_lookup_num_tokens", any_whole, "K", default="off")
    add_option(group, "assistant_model", filled, "NAME", default="none")
    add_option(group, "num_assistant_tokens", any_whole, "K")


def one_text_only(reason: str) -> dict[str, str]:
    """Return the advice for a command that explains one text, token by token: {an option that it lacks: the reason}."""
    with_more = argparse.ArgumentParser(add_help=False)
    add_beams_and_drafts(with_more)
    lacking = [name for action in with_more._actions for name in action.option_strings]
    return dict.fromkeys([argument_of("slide"), *lacking], reason)


def add_option(
    group: Any, name: str, kind: Any = None, metavar: str | None = None, default: Any = None, **settings: Any
) -> None:
    """Add the argument for one option of `generate`. `default` is only for --help: an argument not given is None."""
    default = FIELDS[name].default if default is None else default
    shown = "" if default is None or isinstance(default, bool) else f" (default: {default})"
    if kind:
        settings |= {"type": kind, "metavar": metavar}
    meaning = name_arguments(FIELDS[name].metadata["meaning"])
    group.add_argument(argument_of(name), default=None, help=meaning + shown, **settings)


def argument_of(name: str) -> str:
    """Return the argument for an option of `generate`: --max-new-tokens for max_new_tokens."""
    return ARGUMENTS.get(name, "--" + name.replace("_", "-"))


ARGUMENT_NAMES = {name: argument_of(name) for name in FIELDS} | ARGUMENTS


def advice() -> dict[str, str]:
    """Return what to do instead of an option that is not an argument of the commands."""
    only_python = {argument_of(name): f"it exists only in Python: model.generate(prompt, {name}=...)" for name in FIELDS}
    return only_python | ADVICE


def name_arguments(message: str) -> str:
    """Return a message of `generate` with the names of arguments instead of those of options.

    A message about generation_config.json keeps them: they are the names in that file.
    """
    if message.startswith("generation_config.json"):
        return message
    return with_option_names(message, ARGUMENT_NAMES)


def read_input(prompt: str | None, example: str) -> str:
    """Return the prompt from the arguments or from standard input, without the line end that `echo` adds.

    Both may be Windows text: a byte order mark goes, and line ends become line feeds.
    example: how to give one, for the error message.
    """
    if prompt is not None and prompt != "-":
        return without_windows_marks(prompt)
    if sys.stdin is None or (prompt is None and sys.stdin.isatty()):
        raise NeoError(f"no prompt: give one, as in {example}.")
    try:
        data = sys.stdin.buffer.read()
    except OSError as error:
        raise unreadable("standard input", error) from None
    return without_windows_marks("".join(decode_chunks([data], "standard input"))).removesuffix("\n")


def without_windows_marks(text: str) -> str:
    """Return a text without a byte order mark, its line ends as line feeds.

    A carriage return at the end goes too: the shell's "$(cat FILE)" removes only the line feed of the last line end.
    """
    return text.removeprefix("\ufeff").replace("\r\n", "\n").removesuffix("\r")


def given_options(tokenizer: Tokenizer, args: argparse.Namespace) -> dict[str, Any]:
    """Return {name: value} of the options of `generate` in the arguments; None if an argument was not given.

    The assistant_model is still a name.
    """
    given = {name: value for name, value in vars(args).items() if name in FIELDS}
    if stop := next((stop for stop in args.stop_strings or () if re.search(r"\\[nrt]", stop)), None):
        warn(f"--stop {stop} has a backslash and a letter: for a line break, bash and zsh take --stop $'\\n'.")
    if "early_stopping" in given:
        given["early_stopping"] = {"true": True, "false": False}.get(args.early_stopping, args.early_stopping)
    given["bad_words_ids"] = spellings(tokenizer, args.bad_words) if args.bad_words else None
    return given


def spellings(tokenizer: Tokenizer, words: Sequence[str]) -> list[list[int]]:
    """Return the token ids of each word, at the beginning of a text and after a space."""
    if "" in words:
        raise NeoError("--bad-word is empty: give the word that must not be written.")
    return [tokenizer.encode(text, add_special_tokens=False) for word in words for text in (word, " " + word)]
