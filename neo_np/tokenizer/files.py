"""files."""

from neo_np.errors import NeoError
from neo_np.files import read_json
from neo_np.tokenizer.special_tokens import END_OF_TEXT


def _named(make, files, *tables):
    """Return make(*tables), with the files in front of what it finds wrong with the tables."""
    try:
        return make(*tables)
    except NeoError as error:
        raise NeoError(f"{', '.join(map(str, files))}: {error}") from None


def _check_vocab(vocab, file):
    """Return {token: id} as it is; raises NeoError where it is something else."""
    if not isinstance(vocab, dict) or not all(type(id) is int and id >= 0 for id in vocab.values()):
        raise NeoError(f"{file} is not a vocabulary: expected one JSON object {{token: id}} with ids from 0 on.")
    return vocab


def _read_merges(file):
    try:
        lines = file.read_text(encoding="utf-8").split("\n")
    except (OSError, UnicodeDecodeError) as error:
        raise NeoError(f"{file} cannot be read: {error}.") from None
    merges = []
    for number, line in enumerate(lines, start=1):
        pair = tuple(line.split(" "))
        if pair == ("",) or (number == 1 and line.startswith("#version")):
            continue
        if len(pair) != 2 or not all(pair):
            raise NeoError(f"{file}, line {number}: expected two tokens with one space between, found {line!r}.")
        merges.append(pair)
    return merges


def _read_added_tokens(folder):
    """Return ({special token: id}, {ordinary added token: id}, [the file that holds them, if there is one])."""
    config_file, old_file = folder / "tokenizer_config.json", folder / "added_tokens.json"
    config = read_json(config_file) if config_file.exists() else {}
    if isinstance(config, dict) and "added_tokens_decoder" in config:
        try:
            tokens = [{"id": int(id), **token} for id, token in config["added_tokens_decoder"].items()]
        except (AttributeError, TypeError, ValueError) as error:
            raise NeoError(f"{config_file}: added_tokens_decoder must be {{id: {{'content': token}}}}: {error}.") from None
        return *_split_added_tokens(tokens, config_file), [config_file]
    if old_file.exists():
        added = _check_vocab(read_json(old_file), old_file)
        special = {token: id for token, id in added.items() if token == END_OF_TEXT}
        return special, {token: id for token, id in added.items() if token not in special}, [old_file]
    return {}, {}, []


def _split_added_tokens(tokens, file):
    """Return ({special token: id}, {ordinary token: id}) from entries as tokenizer.json has them; refuses what trims text."""
    try:
        for token in tokens:
            for flag in ("single_word", "lstrip", "rstrip"):
                if token.get(flag, False):
                    raise NeoError(
                        f"{file}: the added token {token['content']!r} has {flag}, which GPT-Neo's tokenizer has not."
                    )
        special = {token["content"]: token["id"] for token in tokens if token.get("special")}
        plain = {token["content"]: token["id"] for token in tokens if not token.get("special")}
    except (KeyError, TypeError, AttributeError) as error:
        raise NeoError(f"{file} is not a byte-level BPE {file.name}: {error!r} while reading its added tokens.") from None
    if not all(isinstance(token, str) for token in [*special, *plain]):
        raise NeoError(f"{file} is not a vocabulary: an added token must be a text.")
    return _check_vocab(special, file), _check_vocab(plain, file)


def _read_tokenizer_json(file):
    """Return (vocab, merges, special_tokens, added_tokens) of a tokenizer.json, the format of Hugging Face tokenizers.

    The format can say far more than GPT-2's scheme; whatever would change the ids is refused by name.
    """
    whole = read_json(file)
    try:
        model, pre, post = whole["model"], whole["pre_tokenizer"] or {}, whole.get("post_processor") or {}
        adds_tokens = any("SpecialToken" in part for part in post.get("single") or [])
        expected = [
            ("model.type", model.get("type", "BPE"), "BPE"),
            ("model.dropout", model.get("dropout") or None, None),
            ("model.byte_fallback", model.get("byte_fallback", False), False),
            ("model.ignore_merges", model.get("ignore_merges", False), False),
            ("model.continuing_subword_prefix", model.get("continuing_subword_prefix") or "", ""),
            ("model.end_of_word_suffix", model.get("end_of_word_suffix") or "", ""),
            ("normalizer", whole.get("normalizer"), None),
            ("pre_tokenizer.type", pre.get("type"), "ByteLevel"),
            ("pre_tokenizer.add_prefix_space", pre.get("add_prefix_space", False), False),
            ("pre_tokenizer.use_regex", pre.get("use_regex", True), True),
            ("the adding of special tokens by post_processor", adds_tokens, False),
        ]
        vocab = _check_vocab(model["vocab"], file)
        merges = [tuple(pair.split(" ")) if isinstance(pair, str) else tuple(pair) for pair in model["merges"]]
    except (KeyError, TypeError, AttributeError) as error:
        raise NeoError(f"{file} is not a byte-level BPE tokenizer.json: {error!r} while reading it.") from None
    for what, found, wanted in expected:
        if found != wanted:
            raise NeoError(f"{file}: {what} is {found!r}, and GPT-Neo's tokenizer wants {wanted!r}.")
    if bad := next((pair for pair in merges if len(pair) != 2 or not all(isinstance(part, str) for part in pair)), None):
        raise NeoError(f"{file}: a merge must be a pair of tokens, found {bad!r}.")
    return vocab, merges, *_split_added_tokens(whole.get("added_tokens") or [], file)
