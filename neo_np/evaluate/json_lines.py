"""json_lines."""

import json

from neo_np.errors import NeoError


def read_texts(file):
    """Read the JSON lines {"text": "..."} of a LAMBADA-style file and return the texts; raises NeoError naming the line."""
    wanted = '{"text": "..."}, the text not empty'
    return [line["text"] for line in read_json_lines(file, wanted, lambda line: is_text(line["text"]) and line["text"])]


def read_questions(file):
    """Read the JSON lines of a multiple-choice file and return them as dicts; raises NeoError naming the line."""
    wanted = '{"context": "...", "choices": ["...", ...], "label": 0}, the label an index of choices, no choice empty'
    return read_json_lines(file, wanted, is_question)


def is_question(line):
    """Return whether an object is a question as `evaluate_choices` wants it."""
    choices, label = line["choices"], line["label"]
    right = isinstance(choices, list) and all(is_text(choice) and choice for choice in choices)
    return right and type(label) is int and 0 <= label < len(choices) and is_text(line["context"])


def is_text(value):
    """Return whether a value is a str that UTF-8 can hold."""
    try:
        return isinstance(value, str) and value.encode("utf-8") is not None
    except UnicodeEncodeError:  # half of a pair, as in "\ud83d"
        return False


def read_json_lines(file, wanted, is_right):
    """Return the objects of a file, one JSON object a line, each of them right; empty lines are passed over.

    Raises NeoError with file and line, and with the sentence `wanted`, for the first that is not, and for no line at all.
    """
    found = []
    try:
        with open(file, encoding="utf-8-sig") as lines:
            for number, line in enumerate(lines, start=1):
                if line.strip():
                    found.append(read_json_line(line, f"{file}, line {number}", wanted, is_right))
    except (OSError, UnicodeDecodeError) as error:
        raise NeoError(f"{file} cannot be read as UTF-8 text: {error}.") from None
    if not found:
        raise NeoError(f"{file} is empty: each line should be {wanted}.")
    return found


def read_json_line(line, where, wanted, is_right):
    """Return the object of one line."""
    try:
        value = json.loads(line)
    except (ValueError, RecursionError) as error:
        raise NeoError(f"{where} is not JSON ({error}): it should be {wanted}.") from None
    try:
        right = is_right(value)
    except (KeyError, TypeError, IndexError):  # no object, or one that lacks a key
        right = False
    if not right:
        raise NeoError(f"{where} should be {wanted}; it is {line.strip():.60}")
    return value
