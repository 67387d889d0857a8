"""`Params`: the weights of a model, as a tree of named arrays."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from neo_np.gpt_neo.config import Config
from neo_np.other_names import no_attribute


class Params:
    """The weights as a tree with the names of the checkpoint: params.h[3].attn.attention.q_proj.weight is an array.

    named: {"h.3.attn.attention.q_proj.weight": array, ...}. The tree holds these arrays, not copies.
    """

    if TYPE_CHECKING:  # the names come from the checkpoint

        def __getattr__(self, name: str) -> Any:
            """Return a subtree, a list of them, or an array."""

    else:

        def __getattr__(self, name):
            """Raise AttributeError with the name to use."""
            raise no_attribute("params", "Params", name, vars(self))

    def __init__(self, named: dict[str, np.ndarray]):
        branches: dict[str, dict] = {}
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

    def flat(self) -> dict[str, np.ndarray]:
        """Return {full name: array}, in the order of the tree: the opposite of `Params(named)`."""
        named: dict[str, np.ndarray] = {}
        for name, inner in vars(self).items():
            branches = {f"{name}.{i}": tree for i, tree in enumerate(inner)} if isinstance(inner, list) else {name: inner}
            for prefix, branch in branches.items():
                if isinstance(branch, Params):
                    named |= {f"{prefix}.{rest}": array for rest, array in branch.flat().items()}
                else:
                    named[prefix] = branch
        return named

    def __repr__(self) -> str:
        return f"Params({', '.join(vars(self))}; {count(self):,} numbers)"


def count(params: Params) -> int:
    """Return the number of parameters: the sizes of all arrays, added up."""
    return sum(array.size for array in params.flat().values())


def parameter_shapes(config: Config) -> dict[str, tuple[int, ...]]:
    """Return {name: shape} of every array of a model with this config. A tied output embedding is not an array of its own."""
    V, P, C, F = config.vocab_size, config.max_position_embeddings, config.hidden_size, config.intermediate_size
    shapes: dict[str, tuple[int, ...]] = {"wte.weight": (V, C), "wpe.weight": (P, C)}
    for layer in range(config.num_layers):
        of_layer: dict[str, tuple[int, ...]] = {
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


def random_params(config: Config, seed: int = 0) -> Params:
    """Return the float32 params of an untrained model: normal weights, biases 0, layer-norm gains 1.

    The standard deviation is the config's `initializer_range` (0.02 in GPT-Neo).
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


def sinusoids(positions: int, channels: int, amplitude: float = 0.03) -> np.ndarray:
    """Return position embeddings (P, C) to begin training with: sin and cos of the position in C / 2 frequencies.

    After Vaswani et al. 2017 (arXiv 1706.03762), section 3.5, with all sines before all cosines, and with wavelengths from 2 to
    256 tokens (theirs are 2 pi to 20,000 pi). The score of two positions can then depend on their distance only, so a head
    learns to look at the token before for all positions at once.
    """
    frequencies = np.pi * 128.0 ** (-np.arange(0, channels, 2) / channels)  # (C / 2,), from pi to pi / 128
    angles = np.arange(positions)[:, None] * frequencies
    return amplitude * np.concatenate([np.sin(angles), np.cos(angles)], axis=1)[:, :channels].astype(np.float32)
