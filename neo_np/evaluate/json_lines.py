"""The files of the tasks: one JSON object on each line, checked."""

import io
import json
import os
from collections.abc import Callable
from typing import Any

from neo_np.errors import NeoError
from neo_np.files import read_text


def read_texts(file: str | os.PathLike) -> list[str]:
    """Return the texts of a file with lines {"text": "..."}; raises NeoError naming the first wrong line."""
    wanted = '{"text": "..."}, the text not empty'
    return [entry["text"] for entry in read_json_lines(file, wanted, lambda entry: is_text(entry["text"]) and entry["text"])]


def read_questions(file: str | os.PathLike) -> list[dict]:
    """Return the multiple-choice questions of a file as dicts; raises NeoError naming the first wrong line."""
    wanted = '{"context": "...", "choices": ["...", ...], "label": 0}, the label an index of choices, no choice empty'
    return read_json_lines(file, wanted, is_question)


def is_question(entry: Any) -> bool:
    """Return whether an object is a question as `evaluate_choices` takes it."""
    choices, label = entry["choices"], entry["label"]
    right = isinstance(choices, list) and all(is_text(choice) and choice for choice in choices)
    return right and type(label) is int and 0 <= label < len(choices) and is_text(entry["context"])


def is_text(value: Any) -> bool:
    """Return whether a value is a str that can be written as UTF-8."""
    if not isinstance(value, str):
        return False
    try:
        value.encode("utf-8")
    except UnicodeEncodeError:  # half of a surrogate pair, as in "\ud83d"
        return False
    return True


def read_json_lines(file: str | os.PathLike, wanted: str, is_right: Callable[[Any], Any]) -> list[dict]:
    """Return the objects of a file with one JSON object on each line. Empty lines are skipped.

    Raises NeoError with the file, the line and the text `wanted` for the first object that is not right, and if there is none.
    """
    found = []
    for number, line in enumerate(io.StringIO(read_text(file), newline=None), start=1):  # line ends of every system
        if line.strip():
            found.append(read_json_line(line, f"{file}, line {number}", wanted, is_right))
    if not found:
        raise NeoError(f"{file} is empty: each line should be {wanted}.")
    return found


def read_json_line(line: str, where: str, wanted: str, is_right: Callable[[Any], Any]) -> dict:
    """Return the object of one line; raises NeoError if it is not right."""
    try:
        value = json.loads(line)
    except (ValueError, RecursionError) as error:
        raise NeoError(f"{where} is not JSON ({error}): it should be {wanted}.") from None
    try:
        right = is_right(value)
    except (KeyError, TypeError, IndexError):  # not an object, or one without a key
        right = False
    if not right:
        raise NeoError(f"{where} should be {wanted}; it is {line.strip():.60}")
    return value
