"""One sentence for each function of notebooks 12 and 13: what it does with the shipped model and one sentence."""

import numpy as np

from neo_np.exercises.own_model import SENTENCE, shipped_model
from neo_np.gpt_neo import forward, loss
from neo_np.gpt_neo.backward import cross_entropy_backward


def sample_ids():
    """Return the ids of a sentence."""
    return np.array(shipped_model().tokenizer.encode(SENTENCE))


def sample_surprises():
    """Return the surprise of each token of a sentence but the first."""
    ids = sample_ids()
    return loss.cross_entropy(shipped_model().logits(ids[:-1]).astype(float), ids[1:])


def hardest_by(cross_entropy):
    """Name the token of a sentence that surprises the model most."""
    ids = sample_ids()
    surprises = cross_entropy(shipped_model().logits(ids[:-1]), ids[1:])
    worst = int(np.argmax(surprises))
    token = shipped_model().tokenizer.token_string(int(ids[1 + worst]))
    return (
        f"By your cross_entropy, one sentence surprises the shipped model by {np.mean(surprises):.2f} nats per token, and most "
        f"by “{token}” ({surprises[worst]:.2f})."
    )


def choices_by(perplexity):
    """Say the perplexity of a sentence."""
    vocabulary = shipped_model().config.vocab_size
    return (
        f"By your perplexity, the shipped model is as unsure in one sentence as if it chose among "
        f"{float(perplexity(sample_surprises())):.1f} equally likely tokens, of {vocabulary}."
    )


def bits_by(bits_per_byte):
    """Say how many bits a byte of a sentence needs."""
    rest = shipped_model().tokenizer.decode(sample_ids()[1:].tolist())
    found = float(bits_per_byte(sample_surprises(), rest))
    return f"By your bits_per_byte, the shipped model needs {found:.2f} bits for each byte of one sentence; a file needs 8."


def windows_by(text_windows):
    """Score a sentence in short windows, with and without an overlap."""
    ids, found = sample_ids().tolist(), []
    for stride in (1, 4):
        rows = text_windows(ids, 4, stride)
        nats = [
            loss.cross_entropy(shipped_model().logits(row[:-1]).astype(float), np.array(row[1:]))[-n:].sum() for row, n in rows
        ]
        found.append(sum(nats) / sum(n for _, n in rows))
    return (
        f"In your windows of 4 tokens one sentence surprises the shipped model by {found[0]:.2f} nats per token with a stride "
        f"of 1, and by {found[1]:.2f} with a stride of 4."
    )


def downhill(scores_of, parameter, gradient, rate):
    """Return the mean surprise of a sentence before and after one step against the gradient."""
    targets = sample_ids()[1:]
    return [float(loss.cross_entropy(scores_of(p), targets).mean()) for p in (parameter, parameter - rate * gradient)]


def step_in_words(name, before, after):
    """Return the sentence about one step."""
    return f"One step downhill with your {name}: the surprise of one sentence falls from {before:.2f} to {after:.2f} nats."


def slopes_by(numerical_gradient):
    """Work out the slopes of three gains of the last layer norm."""
    model, ids = shipped_model(), sample_ids()
    stream = model.hidden_states(ids[:-1])[-2].astype(float)
    p, eps = model.params.ln_f, model.config.layer_norm_epsilon

    def surprise_of(gains):
        weight = np.concatenate([gains, p.weight[len(gains) :]])
        logits = forward.layer_norm(stream, weight, p.bias, eps) @ model.params.wte.weight.T
        return loss.cross_entropy(logits, ids[1:]).mean()

    slopes = numerical_gradient(surprise_of, p.weight[:3].astype(float), 0.01)
    shown = ", ".join(f"{slope:+.4f}" for slope in slopes)
    return f"By your numerical_gradient, these are the slopes of the surprise for the first three gains of ln_f: {shown}."


def pulled_by(cross_entropy_backward):
    """Take one step with the logits themselves."""
    ids = sample_ids()
    logits = shipped_model().logits(ids[:-1])
    gradient = cross_entropy_backward(logits, ids[1:])
    before, after = downhill(lambda scores: scores, logits, gradient, len(logits))
    return step_in_words("cross_entropy_backward", before, after)


def output_step_by(linear_backward):
    """Take one step with the output embedding."""
    model, targets = shipped_model(), sample_ids()[1:]
    hidden, weight = model.hidden_states(sample_ids()[:-1])[-1], model.params.wte.weight
    dlogits = cross_entropy_backward(loss.log_softmax(hidden @ weight.T), targets) / len(targets)
    _, dweight, _ = linear_backward(dlogits, hidden, weight)
    return step_in_words("linear_backward", *downhill(lambda w: hidden @ w.T, weight, dweight, 0.02))


def gain_step_by(layer_norm_backward):
    """Take one step with the gains of the last layer norm."""
    model, targets = shipped_model(), sample_ids()[1:]
    stream, weight = model.hidden_states(sample_ids()[:-1])[-2], model.params.wte.weight
    p, eps = model.params.ln_f, model.config.layer_norm_epsilon

    def scores_of(gains):
        return forward.layer_norm(stream, gains, p.bias, eps) @ weight.T

    dlogits = cross_entropy_backward(loss.log_softmax(scores_of(p.weight)), targets) / len(targets)
    _, dgains, _ = layer_norm_backward(dlogits @ weight, stream, p.weight, eps)
    return step_in_words("layer_norm_backward", *downhill(scores_of, p.weight, dgains, 4.0))


EFFECTS = {
    "cross_entropy": hardest_by,
    "perplexity": choices_by,
    "bits_per_byte": bits_by,
    "text_windows": windows_by,
    "numerical_gradient": slopes_by,
    "cross_entropy_backward": pulled_by,
    "linear_backward": output_step_by,
    "layer_norm_backward": gain_step_by,
}
