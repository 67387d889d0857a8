"""One sentence for each function of notebooks 10 and 11: what it does with the shipped model."""

import numpy as np

from neo_np.exercises.nb05_one_head import softmax
from neo_np.exercises.own_model import PROMPT, shipped_model

NEW_TOKENS, BEAMS, DRAFTED, MOST_RUNS = 10, 3, 5, 40


def prompt_ids():
    """Return the ids of the prompt, a list."""
    return list(shipped_model().tokenizer.encode(PROMPT))


def prompt_logits():
    """Return the logits (V,) of the token that follows the prompt."""
    return shipped_model().logits(prompt_ids())[-1]


def as_text(ids):
    """Return ids as text on one line."""
    return " ".join(shipped_model().tokenizer.decode(ids).split())


def written_by(name, choose):
    """Return the sentence with a text; choose(logits, ids) returns the next id."""
    ids = prompt_ids()
    for _ in range(NEW_TOKENS):
        ids.append(int(choose(shipped_model().logits(ids)[-1], ids)))
    return f"With your {name} the shipped model writes: “{as_text(ids)} …”"


def heated_by(temperature):
    """Say how likely the likeliest token is at three temperatures."""
    logits = prompt_logits()
    found = [softmax(temperature(logits, value)).max() for value in (0.5, 1.0, 2.0)]
    return (
        f"With your temperature, the likeliest token after “{PROMPT}” has the probability {found[0]:.2f} at temperature 0.5, "
        f"{found[1]:.2f} at 1 and {found[2]:.2f} at 2."
    )


def kept_by(name, logits):
    """Say which tokens are kept."""
    kept = np.flatnonzero(logits > -1e4)
    likeliest = [shipped_model().tokenizer.token_string(int(id)) for id in kept[np.argsort(-logits[kept])][:5]]
    names = ", ".join(f"“{token}”" for token in likeliest)
    return f"After “{PROMPT}”, your {name} keeps {len(kept)} of {len(logits)} tokens. The likeliest are {names}."


def drawn_by(sample):
    """Write a text whose tokens are drawn by the student's function."""
    rng = np.random.default_rng(0)
    return written_by("sample", lambda logits, ids: sample(softmax(logits.astype(float)), rng.random()))


def stepped_by(cached_step):
    """Let one head of the shipped model read the prompt token by token, and compare with all tokens at once."""
    model, ids = shipped_model(), prompt_ids()
    p, D = model.params.h[0].attn.attention, model.config.head_size
    wte, wpe = model.params.wte.weight, model.params.wpe.weight
    wq, wk, wv = (layer.weight[:D] for layer in (p.q_proj, p.k_proj, p.v_proj))
    x = wte[ids] + wpe[: len(ids)]
    keys, values, apart = x @ wk.T, x @ wv.T, 0.0
    for t, id in enumerate(ids):
        whole = softmax(keys[: t + 1] @ (wq @ x[t])) @ values[: t + 1]
        step = cached_step(id, keys[:t], values[:t], wte, wpe, wq, wk, wv)
        apart = max(apart, float(np.abs(step - whole).max()))
    return (
        f"With your cached_step a head of the shipped model reads {len(ids)} tokens one by one: the results differ from those "
        f"of all tokens at once by {apart:.0e} at most."
    )


def searched_by(beam_step):
    """Continue the prompt with beam search."""
    model = shipped_model()
    texts, scores = [prompt_ids()], np.zeros(1)
    for _ in range(NEW_TOKENS):
        rows = softmax(np.stack([model.logits(text)[-1] for text in texts]).astype(float))
        before = {tuple(text): (score, row) for text, score, row in zip(texts, scores, rows)}
        if len(texts) == 1:  # the best tokens after the prompt are the first beams
            texts = [[*texts[0], int(id)] for id in np.argsort(-rows[0])[:BEAMS]]
        else:
            texts = [list(text) for text in beam_step(texts, scores.tolist(), rows, -1)]
        scores = np.array([before[tuple(text[:-1])][0] + np.log(before[tuple(text[:-1])][1][text[-1]]) for text in texts])
    return f"With your beam_step and {BEAMS} beams the shipped model writes: “{as_text(texts[0])} …”"


def drafted_for(accept_drafts):
    """Let the model write again what it wrote greedily before, with drafts that come from that text, and count the runs.

    So there are right drafts whatever the model writes; each third one is made wrong.
    """
    model, ids = shipped_model(), prompt_ids()
    wanted = list(ids)
    for _ in range(2 * NEW_TOKENS):
        wanted.append(int(model.logits(wanted)[-1].argmax()))
    start, runs = len(ids), 0
    while len(ids) < len(wanted) and runs < MOST_RUNS:
        drafts = [id + (place % 3 == 2) for place, id in enumerate(wanted[len(ids) : len(ids) + DRAFTED], len(ids))]
        drafts = [id % model.config.vocab_size for id in drafts]
        ids += accept_drafts(drafts, model.logits(ids + drafts)[len(ids) - 1 :])
        runs += 1
    same = "the same text as" if ids[: len(wanted)] == wanted else "another text than"
    return (
        f"With your accept_drafts and {DRAFTED} drafts for each run, of which some are wrong, the shipped model writes "
        f"{len(ids) - start} tokens in {runs} runs, and {same} without drafts."
    )


EFFECTS = {
    "temperature": heated_by,
    "top_k": lambda own: kept_by("top_k with k = 5", own(prompt_logits(), 5)),
    "top_p": lambda own: kept_by("top_p with p = 0.5", own(prompt_logits(), 0.5)),
    "repetition_penalty": lambda own: written_by(
        "repetition_penalty of 1.3", lambda logits, ids: np.argmax(own(logits, ids, 1.3))
    ),
    "sample": drawn_by,
    "cached_step": stepped_by,
    "beam_step": searched_by,
    "accept_drafts": drafted_for,
}
