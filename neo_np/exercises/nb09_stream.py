"""Exercises of notebook 09, the stream: block, forward, logit_lens."""

import numpy as np

from neo_np.exercises.exercise import DEEP_TOLERANCE, Case, Exercise, mistake, random_numbers
from neo_np.exercises.nb03_embeddings import embed
from neo_np.exercises.nb04_layer_norm import layer_norm
from neo_np.exercises.nb05_one_head import causal_mask, softmax
from neo_np.exercises.nb06_many_heads import self_attention
from neo_np.exercises.nb07_local_attention import local_mask
from neo_np.exercises.nb08_mlp import mlp
from neo_np.gpt_neo.config import Config
from neo_np.gpt_neo.params import Params, parameter_shapes

EPS_FIXED = mistake(
    "eps_fixed",
    ({"fixed_eps": 1e-5}, {"fixed_eps": 1e-6}, {"fixed_eps": 1e-8}),
    "you use an eps of your own and not that of config.",
    "Which value of config says how large eps is?",
)
TRANSPOSED = mistake(
    "transposed",
    {"turned": True},
    "the result is transposed, (V, T).",
    "Which array comes first in your last product: the stream or the token table?",
)

# block


def block(x, p, config, mask):
    """Add to the stream x what attention makes of its normalized copy, then what the MLP makes of its normalized copy."""
    eps = config.layer_norm_epsilon
    x = x + self_attention(layer_norm(x, p.ln_1.weight, p.ln_1.bias, eps), p.attn.attention, config.num_heads, mask)
    return x + mlp(layer_norm(x, p.ln_2.weight, p.ln_2.bias, eps), p.mlp)


def block_variant(
    x,
    p,
    config,
    mask,
    order="pre",
    first=True,
    second=True,
    norm_1="ln_1",
    norm_2="ln_2",
    stream_1="x",
    stream_2="x",
    parts="both",
    masked=True,
    twice=False,
    second_reads="x",
    fixed_eps=None,
    called="both",
    give="stream",
):
    """Block with a switch for each mistake."""
    eps = fixed_eps or config.layer_norm_epsilon

    def norm(y, name):
        return y if name is None else layer_norm(y, getattr(p, name).weight, getattr(p, name).bias, eps)

    def attention(y):
        seen = mask if masked else np.zeros_like(mask)
        return y if called == "mlp" else self_attention(y, p.attn.attention, config.num_heads, seen)

    def feed(y):
        return y if called == "attention" else mlp(y, p.mlp)

    if order == "post":
        x = norm(x + attention(x), norm_1)
        return norm(x + feed(x), norm_2)
    if order == "after_the_parts":
        x = x + norm(attention(x), norm_1)
        return x + norm(feed(x), norm_2)
    if order == "after_the_mlp":
        x = x + attention(norm(x, norm_1))
        return x + norm(feed(x), norm_2)
    if order == "parallel":
        return x + attention(norm(x, norm_1)) + feed(norm(x, norm_2))
    steps = [(attention, norm_1, first), (feed, norm_2, second)]
    if order == "mlp_first":
        steps = [(feed, norm_2, second), (attention, norm_1, first)]
    if order == "mlp_first_norms_stay":
        steps = [(feed, norm_1, first), (attention, norm_2, second)]
    steps = {"both": steps, "attention": steps[:1], "mlp": steps[1:]}[parts]
    start = normed = change = x
    for number, (part, name, residual) in enumerate(steps):
        read = {"x": x, "normed": normed, "change": change, "copy": None}[second_reads if number else "x"]
        normed = normed if read is None else norm(read, name)
        change = part(normed)
        added_to = {"x": x, "normed": normed, "start": start}[stream_2 if number else stream_1]
        x = change + added_to if residual else change
        x = x + change if twice else x
    return x - start if give == "change" else x


def small_config(H=2, D=2, layers=("global",), V=7, F=None, window=2, eps=1e-5, P=8):
    """Return the config of a very small model."""
    return Config(V, H * D, len(layers), H, P, tuple(layers), window, F, "gelu_new", eps, bos_token_id=0, eos_token_id=0)


def random_tree(config, rng):
    """Return random params of a small model; gains lie around 1."""
    named = {}
    for name, shape in parameter_shapes(config).items():
        gain = ".ln_" in f".{name}" and name.endswith("weight")
        named[name] = (random_numbers(rng, *shape) * 0.4 + gain).astype(np.float32)
    return Params(named)


def block_cases():
    """Return blocks of random models with T tokens, H heads of D channels, F wide in the MLP."""
    rng = np.random.default_rng(9)
    cases = []
    for T, H, D, F, eps in [
        (1, 1, 2, 3, 0.1),
        (2, 2, 1, 4, 0.5),
        (2, 2, 2, 3, 0.1),
        (3, 2, 2, 8, 1e-5),
        (4, 2, 2, 4, 0.1),
        (3, 3, 2, 5, 0.2),
        (5, 2, 3, 7, 1e-5),
        (4, 1, 4, 6, 0.5),
    ]:
        config = small_config(H, D, F=F, eps=eps)
        x, mask = random_numbers(rng, T, H * D), causal_mask(np.arange(T), np.arange(T))
        cases.append(Case((x, random_tree(config, rng).h[0], config, mask), random=True))
    return cases


BLOCK = Exercise(
    name="block",
    notebook="09",
    minutes=12,
    core=True,
    signature="block(x, p, config, mask)",
    task="One block. Add to the stream x, (T, C), what attention makes of its normalized copy (p.ln_1, p.attn.attention), "
    "then add what "
    "the MLP makes of the new stream's normalized copy (p.ln_2, p.mlp). config has layer_norm_epsilon and num_heads. You may "
    "call "
    "layer_norm(x, weight, bias, eps), self_attention(x, p, num_heads, mask) and mlp(x, p).",
    reference=block,
    variant=block_variant,
    tolerance=DEEP_TOLERANCE,
    package_name="neo_np.gpt_neo.forward.block",
    given=("layer_norm", "self_attention", "mlp"),
    cases=block_cases,
    mistakes=(
        mistake(
            "post_norm",
            {"order": "post"},
            "the layer norms come after the additions, as in the first transformer. GPT-Neo normalizes before each part.",
            "In GPT-Neo the stream itself is never normalized inside a block. What is?",
        ),
        mistake(
            "parallel",
            {"order": "parallel"},
            "attention and MLP both read the old stream. Some models do that (GPT-J); in GPT-Neo the MLP reads the new one.",
            "When the MLP begins, what has attention added to the stream already?",
        ),
        mistake(
            "no_residual",
            ({"first": False, "second": False}, {"first": False}, {"second": False}),
            "the stream is replaced and not added to (after attention, after the MLP, or both).",
            "What remains of x if a part returns zeros?",
        ),
        mistake(
            "ln_1_twice",
            ({"norm_2": "ln_1"}, {"norm_1": "ln_2"}),
            "the same layer norm is used twice.",
            "The block has two of them, ln_1 and ln_2. Which goes before which part?",
        ),
        mistake(
            "norms_exchanged",
            {"norm_1": "ln_2", "norm_2": "ln_1"},
            "ln_1 and ln_2 are exchanged.",
            "Which of the two goes before attention?",
        ),
        mistake(
            "norm_missing",
            ({"norm_1": None, "norm_2": None}, {"norm_1": None}, {"norm_2": None}),
            "a layer norm is missing.",
            "What do attention and MLP read: the stream itself, or its normalized copy?",
        ),
        mistake(
            "normed_stream",
            ({"stream_1": "normed", "stream_2": "normed"}, {"stream_1": "normed"}, {"stream_2": "normed"}),
            "the change is added to the normalized copy, so the stream is lost.",
            "Two arrays are there, the stream and its copy. To which one do you add?",
        ),
        mistake(
            "mlp_first",
            ({"order": "mlp_first"}, {"order": "mlp_first_norms_stay"}),
            "the MLP comes before attention.",
            "Which part does the task name first?",
        ),
        mistake(
            "part_missing",
            ({"parts": "attention"}, {"parts": "mlp"}, {"called": "attention"}, {"called": "mlp"}),
            "one of the two parts is missing.",
            "Where do you call self_attention, and where mlp?",
        ),
        mistake(
            "norm_of_norm",
            {"second_reads": "normed"},
            "ln_2 reads the first normalized copy and not the new stream.",
            "Attention has just added something to x. Which array must the second layer norm read, to see it?",
        ),
        mistake("added_twice", {"twice": True}, "each change is added twice.", "How many times do you add to x?"),
        mistake("no_mask", {"masked": False}, "the mask is not used.", "Which argument does self_attention need last?"),
        mistake(
            "copy_used_again",
            {"second_reads": "copy"},
            "the MLP reads the copy that was made for attention; ln_2 of the new stream is not used.",
            "Which array did attention get, and which one does the MLP get?",
        ),
        mistake(
            "attention_lost",
            {"stream_2": "start"},
            "the MLP's result is added to the stream from before attention.",
            "What has attention added to x? Is it still there in your last line?",
        ),
        EPS_FIXED,
        mistake(
            "attention_read",
            {"second_reads": "change"},
            "ln_2 reads what attention made and not the new stream.",
            "What should the MLP read: what attention added, or the whole stream after it?",
        ),
        mistake(
            "stream_left_out",
            {"give": "change"},
            "the result is only what both parts add; x itself is missing.",
            "What should the block return if both parts give zeros?",
        ),
        mistake(
            "results_normed",
            ({"order": "after_the_parts"}, {"order": "after_the_mlp"}),
            "the layer norm comes after a part: its result is normalized and not what it reads.",
            "What do attention and MLP read: the stream itself, or its normalized copy?",
        ),
    ),
    blanks=(
        "eps = config.layer_norm_epsilon\n"
        "normed = layer_norm(x, p.ln_1.weight, p.ln_1.bias, eps)\n"
        "x = x + self_attention(..., p.attn.attention, config.num_heads, mask)\n"
        "normed = ...\n"
        "return x + ..."
    ),
    hints=(
        "Twice the same: normalize a copy, let a part work on it, add the result to x. First attention, then the MLP.",
        "Everything is (T, C). eps is config.layer_norm_epsilon. The parameters of attention are p.attn.attention.",
        "eps = config.layer_norm_epsilon\n"
        "normed = layer_norm(x, p.ln_1.weight, p.ln_1.bias, eps)\n"
        "x = x + self_attention(normed, p.attn.attention, config.num_heads, mask)\n"
        "normed = layer_norm(...)  # of the new x, with ln_2\n"
        "return x + ...  # what the MLP makes of it",
    ),
    notes={
        "x[:, -keep:] + attended": "The stream is added to, never replaced.",
        "return x + mlp(": "The MLP reads the new stream.",
    },
)


# forward


def forward(params, config, ids):
    """Return the logits (T, V): embeddings, all blocks, the last layer norm, a dot product with every token's embedding."""
    positions = np.arange(len(ids))
    x = embed(ids, params.wte.weight, params.wpe.weight)
    for layer, p in enumerate(params.h):
        window = config.window(layer)
        mask = causal_mask(positions, positions) if window is None else local_mask(positions, positions, window)
        x = block(x, p, config, mask)
    x = layer_norm(x, params.ln_f.weight, params.ln_f.bias, config.layer_norm_epsilon)
    return x @ params.wte.weight.T


ONE_LAYER = {"of the first layer": 0, "of the second layer": 1, "of the last layer": -1}


def forward_variant(
    params,
    config,
    ids,
    last_norm=True,
    restart=False,
    order="up",
    positions="right",
    windows="right",
    blocks="all",
    give="logits",
    same_params=False,
    norm_each=False,
    table="transposed",
    residual=False,
    mask_by="positions",
    masks="right",
    turned=False,
    fixed_eps=None,
):
    """Forward with a switch for each mistake."""
    T, wte, wpe = len(ids), params.wte.weight, params.wpe.weight
    at, eps = np.arange(T), fixed_eps or config.layer_norm_epsilon
    start = {
        "right": lambda: wte[ids] + wpe[at],
        "none": lambda: wte[ids],
        "from_1": lambda: wte[ids] + wpe[at + 1],
        "ids": lambda: wte[ids] + wpe[ids],
    }[positions]()
    layers = list(range(config.num_layers))
    layers = {"all": layers, "last_missing": layers[:-1], "first_missing": layers[1:], "first": layers[:1], "none": []}[blocks]
    layers = layers[::-1] if order == "down" else layers
    x = start
    for place, layer in enumerate(layers):
        window = config.window(place if order == "down_params" else layer)
        window = None if windows == "global" else config.window_size if windows == "local" else window
        if windows == "exchanged":
            window = config.window_size if window is None else None
        if windows in ONE_LAYER:
            window = config.window(ONE_LAYER[windows] % config.num_layers)
        place_of = ids if mask_by == "ids" else at
        mask = causal_mask(place_of, place_of) if window is None else local_mask(place_of, place_of, window)
        if masks == "none" or (masks == "local only" and window is None):
            mask = np.zeros_like(mask)
        p = params.h[0 if same_params else layers[-1 - place] if order == "down_params" else layer]
        before = start if restart else x
        x = block(before, p, config, mask) + (before if residual else 0)
        if norm_each and place < len(layers) - 1:
            x = layer_norm(x, params.ln_f.weight, params.ln_f.bias, eps)
    if last_norm:
        x = layer_norm(x, params.ln_f.weight, params.ln_f.bias, eps)
    logits = x @ (wte if table == "upright" else wte.T)
    logits = logits.T if turned else logits
    return {
        "logits": lambda: logits,
        "probabilities": lambda: softmax(logits),
        "ids": lambda: logits.argmax(-1),
        "stream": lambda: x,
        "last": lambda: logits[-1],
    }[give]()


def forward_cases():
    """Return small models of two or three layers that differ in everything, and short texts."""
    rng = np.random.default_rng(99)
    shapes = [
        (1, 1, 2, 5, ("global", "local")),
        (3, 2, 2, 7, ("global", "local")),
        (4, 2, 2, 6, ("local", "global")),
        (5, 2, 1, 8, ("global", "local", "global")),
        (4, 1, 3, 5, ("local", "local", "global")),
        (6, 2, 2, 4, ("global", "local", "local")),
    ]
    cases = []
    for T, H, D, V, layers in shapes:
        config = small_config(H, D, layers, V, window=2, eps=0.1)
        cases.append(Case((random_tree(config, rng), config, rng.integers(0, V, T))))
    return cases


FORWARD = Exercise(
    name="forward",
    notebook="09",
    minutes=20,
    core=True,
    signature="forward(params, config, ids)",
    task="The whole model: ids (T,) -> logits (T, V). Embed the ids (params.wte.weight, params.wpe.weight). Run all blocks, "
    "params.h, each "
    "with its mask: config.window(layer) is None for a global layer, else the window. Apply the last layer norm, "
    "params.ln_f. The "
    "logits are dot products with the rows of params.wte.weight. You may call embed, block, layer_norm, causal_mask, "
    "local_mask.",
    reference=forward,
    variant=forward_variant,
    tolerance=DEEP_TOLERANCE,
    package_name="neo_np.gpt_neo.forward.forward",
    given=("embed", "block", "layer_norm", "linear", "softmax", "causal_mask", "local_mask"),
    cases=forward_cases,
    mistakes=(
        mistake(
            "no_ln_f",
            {"last_norm": False},
            "the last layer norm, ln_f, is missing.",
            "The stream has grown from block to block. What gives each row the variance 1 before the dot products?",
        ),
        mistake(
            "residual_restarted",
            {"restart": True},
            "every block begins with the embeddings again, so only the last block counts.",
            "What does block 1 read: the embeddings, or what block 0 returned?",
        ),
        mistake(
            "layers_reversed",
            ({"order": "down"}, {"order": "down_params"}),
            "the blocks run from the last to the first.",
            "Which block reads the embeddings?",
        ),
        mistake(
            "no_positions",
            {"positions": "none"},
            "the position embeddings are missing.",
            "Which of the two tables, wte and wpe, do you not use? Can you call embed?",
        ),
        mistake(
            "positions_from_1",
            {"positions": "from_1"},
            "the positions count from 1.",
            "Which row of wpe belongs to the first token? Can you call embed?",
        ),
        mistake(
            "position_by_id",
            {"positions": "ids"},
            "the rows of wpe are looked up by the ids and not by the positions.",
            "Which numbers count the places of a text, whatever words are there? Can you call embed?",
        ),
        mistake(
            "table_not_transposed",
            {"table": "upright"},
            "the token table is not transposed: the stream meets its columns and not its rows.",
            "wte.weight is (V, C). Which shape must be on the right of (T, C), so that the result is (T, V)?",
        ),
        mistake(
            "all_global",
            {"windows": "global"},
            "all layers are global.",
            "What does config.window(layer) return for a local layer, and where do you use it?",
        ),
        mistake(
            "all_local",
            {"windows": "local"},
            "all layers are local.",
            "What does config.window(layer) return for a global layer?",
        ),
        mistake(
            "windows_exchanged",
            {"windows": "exchanged"},
            "global and local layers are exchanged.",
            "Which layers have None as their window?",
        ),
        mistake(
            "blocks_missing",
            ({"blocks": "last_missing"}, {"blocks": "first_missing"}, {"blocks": "first"}, {"blocks": "none"}),
            "not all blocks are run.",
            "How many blocks are in params.h, and how many does your loop run?",
        ),
        mistake(
            "one_block_repeated",
            {"same_params": True},
            "the same block is run again and again.",
            "Which params belong to layer 1?",
        ),
        mistake(
            "norm_after_each_block",
            {"norm_each": True},
            "ln_f is applied after every block.",
            "How often does the last layer norm happen?",
        ),
        mistake(
            "probabilities",
            {"give": "probabilities"},
            "the result is probabilities: a softmax too many.",
            "Logits are scores. Which step turns them into probabilities, and did the task ask for it?",
        ),
        mistake(
            "stream_returned", {"give": "stream"}, "the result is the stream, (T, C).", "What makes V scores of C channels?"
        ),
        mistake("last_row_only", {"give": "last"}, "the result has the last position only.", "How many rows should come back?"),
        mistake(
            "added_again",
            {"residual": True},
            "x is added to what the block returns, and the block has added it already.",
            "What does `block` return: the change, or the new stream?",
        ),
        mistake(
            "one_mask",
            ({"windows": "of the first layer"}, {"windows": "of the second layer"}, {"windows": "of the last layer"}),
            "all layers get the mask of one layer.",
            "Where is your mask made: before the loop, or in it? Which layer do you ask for its window?",
        ),
        mistake(
            "mask_by_id",
            {"mask_by": "ids"},
            "the masks are made of the ids and not of the positions.",
            "Which numbers say where a token is in the text?",
        ),
        mistake(
            "no_mask",
            ({"masks": "local only"}, {"masks": "none"}),
            "global layers get no mask, so tokens see the future.",
            "Which tokens may a global layer see: all of the text, or all up to the token itself?",
        ),
        TRANSPOSED,
        EPS_FIXED,
        mistake(
            "ids", {"give": "ids"}, "the result is ids and not logits.", "How many numbers for each position should come back?"
        ),
    ),
    hints=(
        "Embed, run the blocks one after the other, normalize, compare with every token of the vocabulary.",
        "ids (T,), stream (T, C), masks (T, T), logits (T, V). wte.weight is (V, C).",
        "positions = np.arange(len(ids))\n"
        "x = embed(...)\n"
        "for layer, p in enumerate(params.h):\n"
        "    window = config.window(layer)\n"
        "    mask = causal_mask(positions, positions) if ... else local_mask(...)\n"
        "    x = block(...)\n"
        "x = layer_norm(..., config.layer_norm_epsilon)\n"
        "return x @ ...",
    ),
    notes={
        "output_embedding(params)": "The token embedding once more, unless the checkpoint has an output embedding of its own."
    },
)


# logit_lens


def logit_lens(streams, layer, params, config):
    """Return the logits (T, V) that the model would give if block `layer` were the last one."""
    x = layer_norm(streams[layer + 1], params.ln_f.weight, params.ln_f.bias, config.layer_norm_epsilon)
    return x @ params.wte.weight.T


def logit_lens_variant(
    streams,
    layer,
    params,
    config,
    shift=1,
    norm="ln_f",
    give="logits",
    rows="all",
    change=False,
    table="transposed",
    turned=False,
    fixed_eps=None,
):
    """logit_lens with a switch for each mistake."""
    eps = fixed_eps or config.layer_norm_epsilon
    x = sum(streams[: layer + 2]) if shift == "sum" else streams[-1 if shift == "last" else layer + shift]
    x = x - streams[layer] if change else x
    if norm == "ln_f":
        x = layer_norm(x, params.ln_f.weight, params.ln_f.bias, eps)
    elif norm == "twice":
        for _ in range(2):
            x = layer_norm(x, params.ln_f.weight, params.ln_f.bias, eps)
    elif norm != "none":
        p = getattr(params.h[layer], norm)
        x = layer_norm(x, p.weight, p.bias, eps)
    logits = x @ (params.wte.weight if table == "upright" else params.wte.weight.T)
    logits = logits.T if turned else logits
    logits = {
        "logits": lambda: logits,
        "probabilities": lambda: softmax(logits),
        "ids": lambda: logits.argmax(-1),
        "stream": lambda: x,
    }[give]()
    return {"all": lambda: logits, "last": lambda: logits[-1], "last_kept": lambda: logits[-1:]}[rows]()


def logit_lens_cases():
    """Return streams of small models with two or three layers."""
    rng = np.random.default_rng(999)
    cases = []
    for T, H, D, V, L in [(1, 1, 2, 3, 2), (2, 2, 2, 4, 2), (3, 1, 3, 5, 2), (4, 2, 2, 6, 3), (3, 2, 3, 4, 3), (2, 1, 4, 7, 3)]:
        config = small_config(H, D, ("global",) * L, V, eps=0.1)
        params, streams = random_tree(config, rng), [random_numbers(rng, T, H * D) for _ in range(L + 1)]
        cases += [Case((streams, layer, params, config)) for layer in range(L)]
    return cases


LOGIT_LENS = Exercise(
    name="logit_lens",
    notebook="09",
    minutes=8,
    signature="logit_lens(streams, layer, params, config)",
    task="Return the logits, (T, V), that the model would give if block `layer` were its last one. streams[0] is the "
    "embeddings, "
    "streams[1] the stream after block 0, and so on. Apply the last layer norm, params.ln_f, then take dot products with the "
    "rows of "
    "params.wte.weight. You may call layer_norm(x, weight, bias, eps).",
    reference=logit_lens,
    variant=logit_lens_variant,
    given=("layer_norm", "linear", "softmax"),
    cases=logit_lens_cases,
    mistakes=(
        mistake(
            "no_ln_f",
            {"norm": "none"},
            "the last layer norm, ln_f, is missing.",
            "What happens to the stream in the whole model, between the last block and the dot products?",
        ),
        mistake(
            "wrong_layer",
            ({"shift": 0}, {"shift": 2}, {"shift": "last"}),
            "you read the stream of another layer.",
            "streams has one entry more than there are blocks. What is streams[0]?",
        ),
        mistake(
            "last_position_only",
            ({"rows": "last"}, {"rows": "last_kept"}),
            "the result has the last position only.",
            "How many rows should come back?",
        ),
        mistake(
            "table_not_transposed",
            {"table": "upright"},
            "the token table is not transposed: the stream meets its columns and not its rows.",
            "wte.weight is (V, C). Which shape must be on the right of (T, C), so that the result is (T, V)?",
        ),
        mistake(
            "other_norm",
            ({"norm": "ln_1"}, {"norm": "ln_2"}),
            "a layer norm of the block is used, and not ln_f.",
            "If this block were the last one, which layer norm would come next?",
        ),
        mistake("norm_twice", {"norm": "twice"}, "ln_f is applied twice.", "How often does ln_f happen in the whole model?"),
        mistake(
            "change_only",
            {"change": True},
            "you read what the block added and not the whole stream.",
            "What do the dot products of the whole model read?",
        ),
        mistake(
            "probabilities",
            {"give": "probabilities"},
            "the result is probabilities: a softmax too many.",
            "Which step turns logits into probabilities, and did the task ask for it?",
        ),
        mistake(
            "ids", {"give": "ids"}, "the result is ids and not logits.", "How many numbers for each position should come back?"
        ),
        mistake(
            "stream_returned",
            {"give": "stream"},
            "the result is the normalized stream, (T, C).",
            "What makes V scores of C channels?",
        ),
        mistake(
            "streams_added",
            {"shift": "sum"},
            "the streams are added up, and each of them has what was added before it already.",
            "Blocks add to the stream. Is streams[1] still in streams[2]?",
        ),
        TRANSPOSED,
        EPS_FIXED,
    ),
    hints=(
        "Take the stream after the block and treat it as if it were the end of the model.",
        "streams[layer + 1] is (T, C), the logits are (T, V).",
        "x = layer_norm(streams[...], ..., ..., config.layer_norm_epsilon)\nreturn x @ ...",
    ),
)

EXERCISES = (BLOCK, FORWARD, LOGIT_LENS)
