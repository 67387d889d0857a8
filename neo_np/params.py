"""`Config` and `Params`: what a checkpoint holds, as plain named data."""

import dataclasses
from dataclasses import dataclass, field

import numpy as np

from neo_np.errors import NeoError
from neo_np.layers import activation

ATTENTION_KINDS = "global", "local"
# transformers knows these two by a second name as well.
OTHER_NAMES = {"num_hidden_layers": "num_layers", "num_attention_heads": "num_heads"}


@dataclass(frozen=True)
class Config:
    """The shape of a GPT-Neo model, under the names of its config.json.

    attention_layers: "global" or "local" for each layer; window_size: tokens that a local layer sees.
    intermediate_size: F; None in the file means 4 * hidden_size. eos_token_id: an int, a list of int, or None.
    other: entries of config.json that play no part here, kept for saving.
    Raises NeoError where the numbers make no model.
    """

    vocab_size: int
    hidden_size: int
    num_layers: int
    num_heads: int
    max_position_embeddings: int
    attention_layers: tuple
    window_size: int = 256
    intermediate_size: int | None = None
    activation_function: str = "gelu_new"
    layer_norm_epsilon: float = 1e-5
    tie_word_embeddings: bool = True
    bos_token_id: int | None = 50256
    eos_token_id: int | list | None = 50256
    other: dict = field(default_factory=dict, repr=False)

    def __post_init__(self):
        if not isinstance(self.attention_layers, list | tuple):
            raise NeoError(f"attention_layers is {self.attention_layers!r}, and it must be a list.")
        object.__setattr__(self, "attention_layers", tuple(self.attention_layers))
        if self.intermediate_size is None and isinstance(self.hidden_size, int):
            object.__setattr__(self, "intermediate_size", 4 * self.hidden_size)
        self._check()

    def _check(self):
        sizes = "vocab_size hidden_size num_layers num_heads max_position_embeddings window_size intermediate_size"
        for name in sizes.split():
            value = getattr(self, name)
            if type(value) is not int or not 0 < value < 2**31:
                raise NeoError(f"{name} is {value!r:.40}, and it must be a whole number above 0 (and below 2^31).")
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
                f"the attention types name {len(self.attention_layers)} layers, and num_layers is {self.num_layers}."
            )
        activation(self.activation_function)
        eps = self.layer_norm_epsilon
        if isinstance(eps, bool) or not isinstance(eps, int | float) or not 0 < eps < 1:
            raise NeoError(f"layer_norm_epsilon is {eps!r}, and it must be a small number above 0, such as 1e-05.")
        if not isinstance(self.tie_word_embeddings, bool):
            raise NeoError(f"tie_word_embeddings is {self.tie_word_embeddings!r}, and it must be true or false.")
        for name, ids in (("bos_token_id", [self.bos_token_id]), ("eos_token_id", self.eos_token_ids)):
            for id in ids:
                if id is not None and (type(id) is not int or not 0 <= id < self.vocab_size):
                    raise NeoError(f"{name} is {id!r}, and it must be a token id below vocab_size {self.vocab_size}.")

    @property
    def head_size(self):
        """D, the channels of one head."""
        return self.hidden_size // self.num_heads

    @property
    def eos_token_ids(self):
        """The ids that end a text, as a list."""
        if self.eos_token_id is None:
            return []
        return self.eos_token_id if isinstance(self.eos_token_id, list) else [self.eos_token_id]

    def window(self, layer):
        """Return what a layer's attention is limited to: None (global) or `window_size` (local)."""
        return self.window_size if self.attention_layers[layer] == "local" else None

    @classmethod
    def from_dict(cls, entries):
        """Read the entries of a config.json; raises NeoError naming the one that is missing or wrong."""
        entries = {OTHER_NAMES.get(name, name): value for name, value in entries.items()}
        model_type = entries.pop("model_type", "gpt_neo")
        if model_type != "gpt_neo":
            raise NeoError(f"model_type is {model_type!r}, and neo_np runs 'gpt_neo' alone.")
        types = entries.pop("attention_types", None)
        fields = {f.name: f for f in dataclasses.fields(cls) if f.name != "other"}
        for name, f in fields.items():
            if name not in entries and f.default is dataclasses.MISSING and not (name == "attention_layers" and types):
                raise NeoError(f"the entry {name!r} is missing.")
        if types is not None:
            layers = expand_attention_types(types, entries["num_layers"])
            if entries.setdefault("attention_layers", layers) != layers:
                raise NeoError(
                    f"attention_layers {entries['attention_layers']} and attention_types {types} contradict each other."
                )
        known = {name: value for name, value in entries.items() if name in fields}
        return cls(**known, other={name: value for name, value in entries.items() if name not in fields})

    def to_dict(self):
        """Return the entries for a config.json, as transformers reads them."""
        known = {f.name: getattr(self, f.name) for f in dataclasses.fields(self) if f.name != "other"}
        layers = known["attention_layers"] = list(self.attention_layers)
        return {
            "model_type": "gpt_neo",
            "architectures": ["GPTNeoForCausalLM"],
            "attention_types": [[layers, 1]],
            **self.other,
            **known,
        }


def expand_attention_types(types, num_layers):
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


class Params:
    """The weights as a tree under the checkpoint's own names: params.h[3].attn.attention.q_proj.weight is an array.

    named: {"h.3.attn.attention.q_proj.weight": array, ...}. The tree holds the arrays themselves, no copies.
    """

    def __init__(self, named):
        branches = {}
        for name, array in named.items():
            head, _, rest = name.partition(".")
            if rest:
                branches.setdefault(head, {})[rest] = array
            else:
                setattr(self, head, array)
        for head, inner in branches.items():
            tree = Params(inner)
            numbered = all(name.isdigit() for name in vars(tree))
            setattr(self, head, [getattr(tree, str(i)) for i in range(len(vars(tree)))] if numbered else tree)

    def flat(self):
        """Return {full name: array} again, in the order of the tree."""
        named = {}
        for name, inner in vars(self).items():
            branches = {f"{name}.{i}": tree for i, tree in enumerate(inner)} if isinstance(inner, list) else {name: inner}
            for prefix, branch in branches.items():
                if isinstance(branch, Params):
                    named |= {f"{prefix}.{rest}": array for rest, array in branch.flat().items()}
                else:
                    named[prefix] = branch
        return named

    def __repr__(self):
        return f"Params({', '.join(vars(self))}; {count(self):,} numbers)"


def count(params):
    """Return how many numbers the arrays of a tree hold."""
    return sum(array.size for array in params.flat().values())


def parameter_shapes(config):
    """Return {name: shape} of every array that a model of this config has, tied output embedding left out."""
    V, P, C, F = config.vocab_size, config.max_position_embeddings, config.hidden_size, config.intermediate_size
    shapes = {"wte.weight": (V, C), "wpe.weight": (P, C)}
    for layer in range(config.num_layers):
        of_layer = {
            "ln_1.weight": (C,),
            "ln_1.bias": (C,),
            "attn.attention.q_proj.weight": (C, C),
            "attn.attention.k_proj.weight": (C, C),
            "attn.attention.v_proj.weight": (C, C),
            "attn.attention.out_proj.weight": (C, C),
            "attn.attention.out_proj.bias": (C,),
            "ln_2.weight": (C,),
            "ln_2.bias": (C,),
            "mlp.c_fc.weight": (F, C),
            "mlp.c_fc.bias": (F,),
            "mlp.c_proj.weight": (C, F),
            "mlp.c_proj.bias": (C,),
        }
        shapes |= {f"h.{layer}.{name}": shape for name, shape in of_layer.items()}
    shapes |= {"ln_f.weight": (C,), "ln_f.bias": (C,)}
    if not config.tie_word_embeddings:
        shapes["lm_head.weight"] = (V, C)
    return shapes


def random_params(config, seed=0):
    """Return the params of a model that has not learnt anything, float32: what training from nothing begins with.

    Weights are normal with standard deviation `initializer_range` (0.02, as GPT-Neo's config has it), biases 0, gains 1.
    """
    rng, std = np.random.default_rng(seed), config.other.get("initializer_range", 0.02)
    named = {}
    for name, shape in parameter_shapes(config).items():
        if len(shape) > 1:
            named[name] = rng.standard_normal(shape, np.float32)
            named[name] *= std
        else:
            named[name] = np.full(shape, 0.0 if name.endswith("bias") else 1.0, np.float32)
    return Params(named)
