"""What the files of a checkpoint say about its tokenizer besides the tables."""

from dataclasses import dataclass, field
from typing import Any

from neo_np.tokenizer.special_tokens import END_OF_TEXT

GPT2_ROLES = {"bos_token": END_OF_TEXT, "eos_token": END_OF_TEXT, "unk_token": END_OF_TEXT}


@dataclass(frozen=True)
class Settings:
    """The settings of a tokenizer; the defaults are GPT-2's, which GPT-Neo uses.

    roles: {role: special token}; the roles are "bos_token", "eos_token", "pad_token", ... as transformers calls them.
    flags: {added token: {flag: value}} for the flags of `AddedToken` that are not as usual.
    add_prefix_space: `encode` puts a space before text that does not begin with one, also after an added token.
    split_special_tokens: `encode` treats special tokens as ordinary text.
    before, after: ids that `encode` puts around a text, such as bos and eos.
    entries: the entries of tokenizer_config.json; `save` writes those that mean nothing here as they were read.
    """

    roles: dict[str, str] = field(default_factory=GPT2_ROLES.copy)
    flags: dict[str, dict[str, bool]] = field(default_factory=dict)
    add_prefix_space: bool = False
    split_special_tokens: bool = False
    before: tuple[int, ...] = ()
    after: tuple[int, ...] = ()
    entries: dict[str, Any] = field(default_factory=dict)
