"""pretokenize."""

import re

import regex

# GPT-2's own: English contractions, then runs of letters, of digits, of other characters (each with the
# one space before it), then runs of white space, which leave their last space to the word that follows.
PRE_TOKEN = regex.compile(r"'s|'t|'re|'ve|'m|'ll|'d| ?\p{L}+| ?\p{N}+| ?[^\s\p{L}\p{N}]+|\s+(?!\S)|\s+")
# What stands between spaces, with the one before it; and white space as above. Pre-tokens never cross these borders, and
# Python's `re` finds them faster than `regex` finds pre-tokens. (To it alone U+001C to U+001F are white space as well.)
SPACE, NO_SPACE = r"[^\S\x1c-\x1f]", r"[\S\x1c-\x1f]"
CHUNK = re.compile(rf" ?{NO_SPACE}+|{SPACE}+(?!{NO_SPACE})|{SPACE}+")
