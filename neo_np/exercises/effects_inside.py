"""One sentence for each function of notebook 15: what it shows in the shipped model."""

import numpy as np

from neo_np.evaluate.heads import ordinary_ids
from neo_np.exercises.effects_loss import sample_ids
from neo_np.exercises.own_model import shipped_model
from neo_np.gpt_neo import forward, loss

LENGTH = 24  # random tokens in one copy
KING, OTHER_WORD, REST = "Once upon a time there was a king", " stone", " who had a beautiful"


def copied_by(induction_score):
    """Name the head with the highest score on random tokens that are repeated."""
    model = shipped_model()
    copy = np.random.default_rng(0).choice(ordinary_ids(model), LENGTH)
    scores = np.array([induction_score(weights, LENGTH) for weights in model.attentions([*copy, *copy])])  # (L, H)
    layer, head = np.unravel_index(scores.argmax(), scores.shape)
    return (
        f"By your induction_score, head {head} of layer {layer} of the shipped model has the highest score on {LENGTH} random "
        f"tokens and their copy: {scores.max():.2f}."
    )


def ablated_by(ablate_head):
    """Switch off each head of the first layer and name the one that matters most for one sentence."""
    model, ids = shipped_model(), sample_ids()
    out_proj = model.params.h[0].attn.attention.out_proj
    surprises = []
    for head in range(model.config.num_heads):
        seen = {}

        def without(name, array, head=head, seen=seen):
            if name == "h.0.attn.z":
                seen["z"] = array[0]
            if name == "h.0.attn.out":
                return np.asarray(ablate_head(seen["z"].copy(), head, out_proj.weight, out_proj.bias), array.dtype)[None]
            return None

        surprises.append(loss.cross_entropy(model.logits(ids[:-1], hook=without), ids[1:]).mean())
    whole, worst = loss.cross_entropy(model.logits(ids[:-1]), ids[1:]).mean(), int(np.argmax(surprises))
    return (
        f"With your ablate_head, one sentence surprises the shipped model most without head {worst} of layer 0: by "
        f"{surprises[worst]:.2f} nats per token instead of {whole:.2f}."
    )


def patched_by(patch):
    """Patch the row of one word after a layer in the middle, and compare the probability of the next token."""
    model = shipped_model()
    params, config = model.params, model.config

    def layer_of(number):
        def change(x):
            x[:] = forward.block(x[None], params.h[number], config, number)[0]

        return change

    def next_token(x):
        y = forward.layer_norm(x[-1], params.ln_f.weight, params.ln_f.bias, config.layer_norm_epsilon)
        return np.exp(loss.log_softmax(forward.linear(y, forward.output_embedding(params))))

    begin, rest = model.tokenizer.encode(KING), model.tokenizer.encode(REST)
    position = len(begin) - 1
    ids, other = [*begin, *rest], [*begin[:-1], model.tokenizer.encode(OTHER_WORD)[-1], *rest]
    clean, corrupted = (model.hidden_states(text)[0] for text in (ids, other))
    layer = config.num_layers // 2 - 1
    patched = patch([layer_of(number) for number in range(config.num_layers)], clean, corrupted, layer, position)
    before, after = (np.exp(loss.log_softmax(model.logits(text)[-1])) for text in (ids, other))
    id = int(before.argmax())
    return (
        f"“{model.tokenizer.token_string(id)}” has the probability {before[id]:.2f} after “{KING}{REST}”, and {after[id]:.2f} "
        f"if “{OTHER_WORD}” comes in place of the king. With this word's row after layer {layer} patched by your patch, it has "
        f"{next_token(patched)[id]:.2f}."
    )


EFFECTS = {"induction_score": copied_by, "ablate_head": ablated_by, "patch": patched_by}
