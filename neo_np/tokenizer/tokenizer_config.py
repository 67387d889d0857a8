"""tokenizer_config.json and the older files beside it: added tokens, their roles, and settings, as transformers reads them."""

from collections.abc import Collection
from pathlib import Path
from typing import Any

from neo_np.errors import NeoError, warn
from neo_np.files import is_there, read_entries, read_json, read_text, write_json
from neo_np.folders.find import MORE_TEMPLATES
from neo_np.tokenizer.settings import GPT2_ROLES, Settings
from neo_np.tokenizer.special_tokens import AddedToken
from neo_np.tokenizer.tables import Tables, check_vocab

CONFIG, CHAT_TEMPLATE = "tokenizer_config.json", "chat_template.jinja"
OLD_ROLES, OLD_ADDED = "special_tokens_map.json", "added_tokens.json"
DECODER = "added_tokens_decoder"
PREFIX_SPACE, SPLIT, ADD_BOS, ADD_EOS = "add_prefix_space", "split_special_tokens", "add_bos_token", "add_eos_token"
ROLES = "bos_token", "eos_token", "unk_token", "sep_token", "pad_token", "cls_token", "mask_token"
EXTRA = "extra_special_tokens", "additional_special_tokens"  # the second is the older name
NAMED = "model_specific_special_tokens"  # how transformers 5 saves `extra_special_tokens` that have names
CLASSES_WITHOUT_ROLES = "PreTrainedTokenizerFast", "TokenizersBackend"  # any other class has GPT-2's roles

# The classes of transformers whose tokens are as here.
CLASSES = None, "GPT2Tokenizer", "GPT2TokenizerFast", "CodeGenTokenizer", "CodeGenTokenizerFast", *CLASSES_WITHOUT_ROLES

Entries = dict[str, Any]


def read_config(folder: Path) -> Entries:
    """Return the entries of tokenizer_config.json, with those of special_tokens_map.json and chat_template.jinja.

    A role in special_tokens_map.json wins. But if tokenizer_config.json has `added_tokens_decoder`, that file does not count.
    """
    config = read_optional(folder / CONFIG)
    if (name := config.get("tokenizer_class")) not in CLASSES:
        warn(
            f"{folder / CONFIG}: tokenizer_class is {name!r:.40}, and neo_np reads it like GPT2Tokenizer: in transformers, the "
            "tokens may be others."
        )
    if templates := read_chat_templates(folder):
        config["chat_template"] = templates
    if DECODER in config:
        return config
    old = read_optional(folder / OLD_ROLES)
    read_roles(old, folder / OLD_ROLES)  # only to find what is wrong in this file and to name it
    read_extra_tokens(old, folder / OLD_ROLES)
    return old | config | {name: value for name, value in old.items() if name not in EXTRA}


def read_chat_templates(folder: Path) -> str | list[dict[str, str]]:
    """Return the chat templates that have files of their own, as tokenizer_config.json has one or several of them."""
    files = {"default": folder / CHAT_TEMPLATE} if is_there(folder / CHAT_TEMPLATE) else {}
    files |= {file.stem: file for file in sorted((folder / MORE_TEMPLATES).glob("*.jinja"))}
    texts = {name: read_text(file) for name, file in files.items()}
    return texts["default"] if set(texts) == {"default"} else [{"name": name, "template": text} for name, text in texts.items()]


def read_optional(file: Path) -> Entries:
    """Return the entries of a JSON file, none if there is no such file."""
    return read_entries(file) if is_there(file) else {}


def read_added_tokens(config: Entries, folder: Path, tables: Tables) -> tuple[list[AddedToken], dict[str, str]]:
    """Return (added tokens, {role: special token}) from all files of a folder.

    A token with a role is special. A token with a role and without an id gets the next free id, as in transformers.
    """
    file = folder / CONFIG
    roles, extra = read_roles(config, file), read_extra_tokens(config, file)
    tokens = {token.content: token for token in tables.added}
    if DECODER in config:
        tokens |= read_decoder(config[DECODER], file)
    elif is_there(folder / OLD_ADDED):
        tokens |= read_old_added_tokens(folder / OLD_ADDED, [entry["content"] for entry in [*roles.values(), *extra]])
    roles = with_default_roles(roles, config, known=tables.vocab.keys() | tokens.keys())
    listed = set(tokens)
    for entry in unique([*roles.values(), *extra]):
        content = entry["content"]
        if content not in listed:
            id = tables.vocab[content] if content in tables.vocab else free_id(content, tables.vocab, tokens)
            tokens[content] = AddedToken.from_entry(entry | {"special": True}, id, file)
    names = {role: entry["content"] for role, entry in roles.items()}
    for name in names.values():
        tokens[name] = tokens[name]._replace(special=True)
    return [token for token in tokens.values() if token.content], names


def with_default_roles(roles: dict[str, Entries], config: Entries, known: Collection[str]) -> dict[str, Entries]:
    """Return the roles with those of GPT-2 that the files do not mention, in the order of ROLES."""
    if config.get("tokenizer_class") in CLASSES_WITHOUT_ROLES:
        return roles
    missing = {role: token for role, token in GPT2_ROLES.items() if role not in config and token in known}
    roles = roles | {role: {"content": token} for role, token in missing.items()}
    return {role: roles[role] for role in [*ROLES, *roles] if role in roles}


def free_id(content: str, vocab: dict[str, int], tokens: dict[str, AddedToken]) -> int:
    """Return the id of a token that is in no file: the one that it has got already, or the next."""
    ids = [*vocab.values(), *(token.id for token in tokens.values())]
    return tokens[content].id if content in tokens else 1 + max(ids, default=-1)


def unique(entries: list[Entries]) -> list[Entries]:
    """Return the entries without repetitions, in order; as dicts, they cannot be in a set."""
    return [entry for place, entry in enumerate(entries) if entry not in entries[:place]]


def read_roles(config: Entries, file: Path) -> dict[str, Entries]:
    """Return {role: the entry of its token}, in the order in which transformers gives new tokens their ids.

    Roles are those of ROLES, any other entry "..._token" that is a token, and the entries of EXTRA and NAMED by name.
    """
    roles = {role: config[role] for role in ROLES if config.get(role)}
    others = {name: value for name, value in config.items() if name.endswith("_token") and isinstance(value, str | dict)}
    roles |= {name: value for name, value in others.items() if name not in ROLES and value}
    for extra in map(config.get, (*EXTRA, NAMED)):
        roles |= extra if isinstance(extra, dict) else {}
    return {role: token_entry(value, f"{file}: {role}") for role, value in roles.items()}


def read_extra_tokens(config: Entries, file: Path) -> list[Entries]:
    """Return the entries of the special tokens that have no role."""
    extra = [config[name] for name in EXTRA if config.get(name) and not isinstance(config[name], dict)]
    if extra and not isinstance(extra[0], list):
        raise NeoError(f"{file}: {EXTRA[0]} must be a list of tokens, and is {extra[0]!r:.60}.")
    return [token_entry(value, f"{file}: {EXTRA[0]}") for value in extra[0]] if extra else []


def token_entry(value: Any, where: str) -> Entries:
    """Return the entry {"content": token, ...} of a token, which is written as a text or as such an entry."""
    entry = {"content": value} if isinstance(value, str) else value
    if not isinstance(entry, dict) or not isinstance(entry.get("content"), str):
        raise NeoError(f"{where} must be a token or an object with its 'content', and is {value!r:.60}.")
    return entry


def read_decoder(entries: Any, file: Path) -> dict[str, AddedToken]:
    """Return the tokens of `added_tokens_decoder`, which is {id: entry}."""
    try:
        by_id = {int(id): entry for id, entry in entries.items()}
    except (AttributeError, ValueError) as error:
        raise NeoError(f"{file}: {DECODER} must be {{id: {{'content': token}}}}: {error}.") from None
    tokens = [AddedToken.from_entry(entry, id, file) for id, entry in by_id.items()]
    return {token.content: token for token in tokens}


def read_old_added_tokens(file: Path, special: Collection[str]) -> dict[str, AddedToken]:
    """Return the tokens of added_tokens.json, which is {token: id} and does not say which of them are special."""
    vocab = check_vocab(read_json(file), file)
    return {token: AddedToken(token, id, token in special, normalized=token not in special) for token, id in vocab.items()}


def read_settings(config: Entries, file: Path, tables: Tables, tokens: list[AddedToken], roles: dict[str, str]) -> Settings:
    """Return the settings of a tokenizer from its configuration, its added tokens and their roles."""

    def read_flag(name: str, default: bool = False) -> bool:
        value = config.get(name)
        if value is not None and not isinstance(value, bool):
            raise NeoError(f"{file}: {name} is {value!r:.40}, expected true or false.")
        return default if value is None else value

    def if_added(setting: str, role: str) -> tuple[int, ...]:
        return tuple(token.id for token in tokens if token.content == roles.get(role)) if read_flag(setting) else ()

    prefix_space = tables.add_prefix_space
    if config.get("tokenizer_class") not in CLASSES_WITHOUT_ROLES:  # those follow tokenizer.json
        prefix_space = read_flag(PREFIX_SPACE, default=prefix_space)
    before, after = tables.around or (if_added(ADD_BOS, "bos_token"), if_added(ADD_EOS, "eos_token"))
    flags = {token.content: token.flags for token in tokens if token.flags}
    return Settings(roles, flags, prefix_space, read_flag(SPLIT), before, after, config)


def write_config(file: Path, settings: Settings, tokens: list[AddedToken]) -> bool:
    """Write tokenizer_config.json; return whether it can say which ids are put around a text, only bos and eos.

    Entries that mean nothing here are written as they were read.
    """
    ids = {token.content: token.id for token in tokens}
    roles = {role: token for role, token in settings.roles.items() if token in ids}
    bos, eos = (ids.get(roles.get(role, "")) for role in ("bos_token", "eos_token"))
    is_enough = settings.before in ((), (bos,)) and settings.after in ((), (eos,))
    flags = {
        PREFIX_SPACE: settings.add_prefix_space,
        SPLIT: settings.split_special_tokens,
        ADD_BOS: is_enough and settings.before != (),
        ADD_EOS: is_enough and settings.after != (),
    }
    extra = {name: value for name in EXTRA if isinstance(value := settings.entries.get(name), list)}
    write_json(
        file,
        settings.entries
        | {name: value for name, value in flags.items() if value or name in settings.entries}
        | {name: [token_entry(token, name)["content"] for token in tokens] for name, tokens in extra.items()}
        | dict.fromkeys(GPT2_ROLES)  # null, because a role that is missing would be <|endoftext|>
        | roles
        | {"tokenizer_class": "GPT2Tokenizer"}
        | {DECODER: {token.id: token.to_entry() for token in tokens}},
    )
    return is_enough
