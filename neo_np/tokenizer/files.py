"""Reading and writing the tokenizer of a checkpoint folder.

- tokenizer.json has everything; `tokenizer_json.py`.
- If there is none, vocab.json and merges.txt have the tables; `tables.py`.
- tokenizer_config.json, in older checkpoints special_tokens_map.json and added_tokens.json, have added tokens, the roles of
  special tokens, and settings; `tokenizer_config.py`.
"""

from pathlib import Path
from typing import NamedTuple

from neo_np.errors import NeoError
from neo_np.files import is_there
from neo_np.folders.find import TOKENIZER_FILES
from neo_np.tokenizer.settings import Settings
from neo_np.tokenizer.special_tokens import END_OF_TEXT, AddedToken
from neo_np.tokenizer.tables import MERGES, VOCAB, Tables, read_tables, write_tables
from neo_np.tokenizer.tokenizer_config import CONFIG, read_added_tokens, read_config, read_settings, write_config
from neo_np.tokenizer.tokenizer_json import read_tokenizer_json, write_tokenizer_json

TOKENIZER_JSON = "tokenizer.json"


class Found(NamedTuple):
    """The arguments of `Tokenizer`, as the files of a folder give them."""

    vocab: dict[str, int]
    merges: list[tuple[str, str]]
    special_tokens: dict[str, int]
    added_tokens: dict[str, int]
    settings: Settings


def read_tokenizer(folder: Path) -> Found:
    """Return what the files of a folder say; raises NeoError naming the file that is missing or damaged."""
    missing = [name for name in (VOCAB, MERGES) if not is_there(folder / name)]
    if is_there(folder / TOKENIZER_JSON):
        tables = read_tokenizer_json(folder / TOKENIZER_JSON)
    elif not missing:
        tables = read_tables(folder)
    else:
        raise NeoError(
            f"{folder} holds no tokenizer ({' and '.join(missing)} missing, and no {TOKENIZER_JSON}): copy the files "
            "there, or load the model with tokenizer=FOLDER to take them from another checkpoint."
        )
    config = {**tables.entries, **read_config(folder)}
    tokens, roles = read_added_tokens(config, folder, tables)
    settings = read_settings(config, folder / CONFIG, tables, tokens, roles)
    special = {token.content: token.id for token in tokens if token.special}
    ordinary = {token.content: token.id for token in tokens if not token.special}
    return Found(tables.vocab, tables.merges, special, ordinary, settings)


def write_tokenizer(
    folder: Path, vocab: dict[str, int], merges: list[tuple[str, str]], tokens: list[AddedToken], settings: Settings
) -> None:
    """Write vocab.json and merges.txt into a folder, and tokenizer_config.json unless all is as in GPT-2.

    Files of another tokenizer in the folder are replaced or deleted. Raises NeoError for a tokenizer.json, which would
    contradict the new files and may be somebody's only copy.
    """
    if is_there(folder / TOKENIZER_JSON):
        raise NeoError(f"{folder} holds {TOKENIZER_JSON}, which would contradict the files saved there: choose another folder.")
    for name in TOKENIZER_FILES:
        (folder / name).unlink(missing_ok=True)
    write_tables(folder, vocab, merges)
    if settings == Settings() and [(token.content, token.special) for token in tokens] == [(END_OF_TEXT, True)]:
        return
    if not write_config(folder / CONFIG, settings, tokens):
        around = settings.before, settings.after
        write_tokenizer_json(folder / TOKENIZER_JSON, Tables(vocab, merges, tokens, settings.add_prefix_space, around))
