"""`Config`: the sizes and settings of a GPT-Neo model, as config.json has them."""

import dataclasses
import math
from dataclasses import FrozenInstanceError, dataclass, field
from typing import TYPE_CHECKING, Any, NoReturn

from neo_np.errors import NeoError
from neo_np.other_names import OtherNames, advice, no_attribute

ACTIVATION_NAMES = "gelu_new", "gelu", "relu", "silu"
# Other names in transformers for the same functions.
SAME_ACTIVATIONS = {
    "gelu_accurate": "gelu_new",
    "gelu_fast": "gelu_new",
    "gelu_python": "gelu",
    "gelu_python_tanh": "gelu_new",
    "gelu_pytorch_tanh": "gelu_new",
    "swish": "silu",
}
ATTENTION_KINDS = "global", "local"
CAUSAL_LM = "GPTNeoForCausalLM"
SIZES = (
    "vocab_size",
    "hidden_size",
    "num_layers",
    "num_heads",
    "max_position_embeddings",
    "window_size",
    "intermediate_size",
)
MOST_LAYERS = 10_000  # more would only exhaust the memory
DROPOUTS = "embed_dropout", "attention_dropout", "resid_dropout"
# transformers accepts a second name for these two.
OTHER_NAMES = {"num_hidden_layers": "num_layers", "num_attention_heads": "num_heads"}


@dataclass(frozen=True)
class Config(metaclass=OtherNames):
    """The shape of a GPT-Neo model, under the names of its config.json.

    attention_layers: "global" or "local" for each layer. window_size: the number of tokens that a local layer sees.
    intermediate_size: F; None means 4 * hidden_size. eos_token_id: an int, a list of int, or None.
    bos_token_id, eos_token_id: as the file has them; they may be outside the vocabulary (see start_id, eos_token_ids).
    other: the other entries of config.json, kept for saving. Training reads the dropouts and initializer_range.
    Raises NeoError if the entries do not describe a GPT-Neo.
    """

    vocab_size: int
    hidden_size: int
    num_layers: int
    num_heads: int
    max_position_embeddings: int
    attention_layers: tuple[str, ...] | list[str]
    window_size: int = 256
    intermediate_size: int = None  # type: ignore[assignment]  # None becomes 4 * hidden_size
    activation_function: str = "gelu_new"
    layer_norm_epsilon: float = 1e-5
    tie_word_embeddings: bool = True
    bos_token_id: int | None = 50256
    eos_token_id: int | list[int] | None = 50256
    other: dict[str, Any] = field(default_factory=dict, repr=False)

    def __post_init__(self) -> None:
        if not isinstance(self.attention_layers, list | tuple):
            raise NeoError(f"attention_layers is {self.attention_layers!r}, and it must be a list.")
        object.__setattr__(self, "attention_layers", tuple(self.attention_layers))
        if self.intermediate_size is None and isinstance(self.hidden_size, int):
            object.__setattr__(self, "intermediate_size", 4 * self.hidden_size)
        if isinstance(name := self.activation_function, str):
            object.__setattr__(self, "activation_function", SAME_ACTIVATIONS.get(name, name))
        self._check_layers()
        self._check_settings()
        self._check_ids()

    def _check_layers(self) -> None:
        for name in SIZES:
            if name != "window_size" or self.window_size != 0 or "local" in self.attention_layers:  # else it is not used
                check_size(name, getattr(self, name))
        if self.hidden_size % self.num_heads:
            raise NeoError(
                f"hidden_size {self.hidden_size} is not divisible by num_heads {self.num_heads}: "
                "each head gets an equal share of the channels."
            )
        for kind in self.attention_layers:
            if kind not in ATTENTION_KINDS:
                raise NeoError(f"attention type {kind!r} is unknown: GPT-Neo has 'global' and 'local' layers.")
        if len(self.attention_layers) != self.num_layers:
            raise NeoError(
                f"attention_layers has {len(self.attention_layers)} entries, and num_layers is {self.num_layers}: "
                "each layer needs one."
            )

    def _check_settings(self) -> None:
        name = self.activation_function
        if not isinstance(name, str) or name not in ACTIVATION_NAMES:
            raise NeoError(f"activation_function is {name!r}, and neo_np knows {', '.join(ACTIVATION_NAMES)}.")
        eps = self.layer_norm_epsilon
        if not is_number(eps) or not 0 < eps < 1:
            raise NeoError(f"layer_norm_epsilon is {eps!r}, and it must be a small number above 0, such as 1e-05.")
        if not isinstance(self.tie_word_embeddings, bool):
            raise NeoError(f"tie_word_embeddings is {self.tie_word_embeddings!r}, and it must be true or false.")
        for name in DROPOUTS:
            rate = self.other.get(name, 0.0)
            if not is_number(rate) or not 0 <= rate <= 1:
                raise NeoError(f"{name} is {rate!r:.40}, and it must be a number from 0 to 1.")
        std = self.other.get("initializer_range", 0.02)
        if not is_number(std):
            raise NeoError(f"initializer_range is {std!r:.40}, and it must be a number such as 0.02.")

    def _check_ids(self) -> None:
        eos = self.eos_token_id if isinstance(self.eos_token_id, list) else [self.eos_token_id]
        for name, ids in (("bos_token_id", [self.bos_token_id]), ("eos_token_id", eos)):
            for id in ids:
                if id is not None and type(id) is not int:
                    raise NeoError(f"{name} is {id!r}, and it must be a token id, a whole number.")

    if not TYPE_CHECKING:

        def __getattr__(self, name):
            """Raise AttributeError with the name to use."""
            raise no_attribute("config", "a Config", name, dir(self))

    @property
    def head_size(self) -> int:
        """D, the channels of one head."""
        return self.hidden_size // self.num_heads

    @property
    def start_id(self) -> int | None:
        """The id that an empty text begins with: bos_token_id, or None if the vocabulary does not have it."""
        id = self.bos_token_id
        return id if id is not None and 0 <= id < self.vocab_size else None

    @property
    def eos_token_ids(self) -> list[int]:
        """The ids that end a text. An id outside the vocabulary cannot occur, so it is not among them."""
        ids = self.eos_token_id if isinstance(self.eos_token_id, list) else [self.eos_token_id]
        return [id for id in ids if id is not None and 0 <= id < self.vocab_size]

    def window(self, layer: int) -> int | None:
        """Return the number of tokens that the queries of a layer see: None (global: all) or `window_size` (local)."""
        return self.window_size if self.attention_layers[layer] == "local" else None

    @classmethod
    def from_dict(cls, entries: dict[str, Any]) -> "Config":
        """Read the entries of a config.json; raises NeoError naming the one that is missing or wrong."""
        entries = {OTHER_NAMES.get(name, name): value for name, value in entries.items()}
        model_type = entries.pop("model_type", "gpt_neo")
        if model_type != "gpt_neo":
            raise NeoError(f"model_type is {model_type!r}, and neo_np runs only 'gpt_neo'.")
        types = entries.pop("attention_types", None)
        fields = {f.name: f for f in dataclasses.fields(cls) if f.name != "other"}
        for name, f in fields.items():
            if name not in entries and f.default is dataclasses.MISSING and not (name == "attention_layers" and types):
                raise NeoError(f"the entry {name!r} is missing.")
        if types is not None:
            check_size("num_layers", entries["num_layers"])  # before the next line makes a list of this length
            layers = expand_attention_types(types, entries["num_layers"])
            if entries.setdefault("attention_layers", layers) != layers:
                raise NeoError(
                    f"attention_layers {entries['attention_layers']} and attention_types {types} contradict each other."
                )
        known = {name: value for name, value in entries.items() if name in fields}
        return cls(**known, other={name: value for name, value in entries.items() if name not in fields})

    def to_dict(self) -> dict[str, Any]:
        """Return the entries for a config.json, as transformers reads them."""
        known = {f.name: getattr(self, f.name) for f in dataclasses.fields(self) if f.name != "other"}
        layers = known["attention_layers"] = list(self.attention_layers)
        # A model with another head, such as a classifier's, was loaded without it.
        known["architectures"] = [CAUSAL_LM]
        return {"model_type": "gpt_neo", "attention_types": [[layers, 1]], **self.other, **known}


def refuse_to_change(config: Config, name: str, value: object) -> NoReturn:
    """Raise FrozenInstanceError with what to do instead of setting an entry of a config."""
    hint = advice("assign", name) or advice("config", "update")
    raise FrozenInstanceError(f"a Config does not change: {name!r} cannot be set.{hint}")


Config.__setattr__ = refuse_to_change  # type: ignore[method-assign,assignment]  # dataclasses would not say what to do


def check_size(name: str, value: object) -> None:
    """Raise NeoError if a size is no whole number above 0, or too large for any model."""
    if type(value) is not int or not 0 < value < 2**31:
        raise NeoError(f"{name} is {value!r:.40}, and it must be a whole number above 0 (and below 2^31).")
    if name == "num_layers" and value > MOST_LAYERS:
        raise NeoError(f"num_layers is {value}, and neo_np takes up to {MOST_LAYERS} layers.")


def is_number(value: object) -> bool:
    """Return whether a value is an int or a finite float."""
    return isinstance(value, int | float) and not isinstance(value, bool) and (isinstance(value, int) or math.isfinite(value))


def expand_attention_types(types: Any, num_layers: int) -> list[str]:
    """Return one name for each layer: [[["global", "local"], 2]] -> ["global", "local", "global", "local"]."""
    try:
        total = sum(len(kinds) * times for kinds, times in types)
        if total == num_layers:
            return [kind for kinds, times in types for _ in range(times) for kind in kinds]
    except (TypeError, ValueError):
        raise NeoError(
            f"attention_types is {types!r}, and it must look like [[['global', 'local'], 6]]: kinds, and how often."
        ) from None
    raise NeoError(f"attention_types {types!r} name {total} layers, and num_layers is {num_layers!r}.")
