r"""Pre-tokenization: cut a text into words, so that no token crosses the border of a word.

>>> PRE_TOKEN.findall("I'll say 20%!")
['I', "'ll", ' say', ' 20', '%!']

Course: notebook 02.
"""

import re

import regex

# The pattern of GPT-2: English contractions; then letters, digits or other characters, each with at most one space before;
# then white space. The lookahead (?!\S) leaves the last space of a run to the word after it.
PRE_TOKEN = regex.compile(r"'s|'t|'re|'ve|'m|'ll|'d| ?\p{L}+| ?\p{N}+| ?[^\s\p{L}\p{N}]+|\s+(?!\S)|\s+")

# Faster: Python's `re` first cuts the text at white space into chunks, and a chunk is one or more whole words. `\s` of `re`
# also matches U+001C to U+001F, which are not white space in Unicode, hence the classes.
SPACE, NO_SPACE = r"[^\S\x1c-\x1f]", r"[\S\x1c-\x1f]"
CHUNK = re.compile(rf" ?{NO_SPACE}+|{SPACE}+(?!{NO_SPACE})|{SPACE}+")
