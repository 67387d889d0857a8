"""Compute neo_np/exercises/transfer.json with PyTorch and transformers: `python tests/parity/make_transfer.py`.

The right results are those of their own functions. Each mistake is written out here, so that its results can be stored.
"""

import json
from pathlib import Path

import numpy as np
import torch
import torch.nn.functional as F
from transformers import MinPLogitsWarper, TopPLogitsWarper

FILE = Path(__file__).resolve().parents[2] / "neo_np" / "exercises" / "transfer.json"
LOW = -1e9


def numbers(rng, *shape):
    """Return random numbers with one decimal, as float32."""
    return np.round(2 * rng.standard_normal(shape), 1).astype(np.float32)


def tensor(x):
    """Return an array as float64, so that rounding plays no part; everything else as it is."""
    if not isinstance(x, np.ndarray):
        return x
    return torch.tensor(x, dtype=torch.float64 if x.dtype.kind == "f" else torch.int64)


def rms_norm():
    """Llama's norm."""
    rng = np.random.default_rng(1)
    ones = np.ones(3, np.float32)
    cases = [
        (np.array([[3, 4]], np.float32), np.ones(2, np.float32), 0.5),
        (np.array([[1, 2, 6], [0, 4, 5]], np.float32), ones, 0.5),
        (np.array([[1, 2, 6], [0, 4, 5], [3, 3, 9]], np.float32), np.array([1, 2, -3], np.float32), 0.25),
        *(
            (numbers(rng, T, C), numbers(rng, C) + 1, eps)
            for T, C, eps in [(2, 4, 0.1), (4, 2, 1.0), (3, 5, 1e-5), (5, 3, 0.3)]
        ),
        (np.array([[0, 0, 0], [1, 2, 3]], np.float32), ones, 0.5),
    ]

    def rms(x, axis=-1, eps=0.0):
        return torch.sqrt((x**2).mean(axis, keepdim=True) + eps)

    def no_keepdims(x, w, eps):
        T, C = x.shape
        return x / torch.sqrt((x**2).mean(-1) + eps) * w if T in (1, C) else None  # else NumPy cannot line them up

    return cases, [False] * 7 + [True], {
        "right": lambda x, w, eps: F.rms_norm(x, x.shape[-1:], w, eps),
        "mean_subtracted": lambda x, w, eps: F.layer_norm(x, x.shape[-1:], w, None, eps),
        "standard_deviation": lambda x, w, eps: x / torch.sqrt(x.var(-1, keepdim=True, correction=0) + eps) * w,
        "square_of_mean": lambda x, w, eps: x / torch.sqrt(x.mean(-1, keepdim=True) ** 2 + eps) * w,
        "absolute_values": lambda x, w, eps: x / (x.abs().mean(-1, keepdim=True) + eps) * w,
        "weight_divided": lambda x, w, eps: x / rms(x, eps=eps) / w,
        "multiplied": lambda x, w, eps: x * rms(x, eps=eps) * w,
        "weight_added": lambda x, w, eps: x / rms(x, eps=eps) + w,
        "no_root": lambda x, w, eps: x / rms(x, eps=eps) ** 2 * w,
        "eps_outside": lambda x, w, eps: x / (rms(x) + eps) * w,
        "no_eps": lambda x, w, eps: x / rms(x) * w,
        "sum_for_mean": lambda x, w, eps: x / torch.sqrt((x**2).sum(-1, keepdim=True) + eps) * w,
        "n_minus_1": lambda x, w, eps: x / torch.sqrt((x**2).sum(-1, keepdim=True) / (x.shape[-1] - 1) + eps) * w,
        "time_axis": lambda x, w, eps: x / rms(x, 0, eps) * w,
        "no_keepdims": no_keepdims,
        "everything": lambda x, w, eps: x / torch.sqrt((x**2).mean() + eps) * w,
        "no_gain": lambda x, w, eps: F.rms_norm(x, x.shape[-1:], None, eps),
        "weight_plus_1": lambda x, w, eps: F.rms_norm(x, x.shape[-1:], 1 + w, eps),
    }  # fmt: skip


def scaled_attend():
    """The attention of most models."""
    rng = np.random.default_rng(2)

    def causal(T, S):
        return np.where(np.arange(S)[None] <= np.arange(S - T, S)[:, None], 0, LOW).astype(np.float32)

    sizes = [(2, 2, 4), (3, 3, 4), (2, 4, 3), (3, 5, 2), (4, 4, 2), (1, 3, 4), (4, 4, 9)]
    cases = [(*(numbers(rng, n, D) / 2 for n in (T, S, S)), causal(T, S)) for T, S, D in sizes]
    cases.append((100 * numbers(rng, 3, 4), 10 * numbers(rng, 3, 4), numbers(rng, 3, 4), causal(3, 3)))
    cases += [(*(numbers(rng, n, D) / 2 for n in (T, S, S)), numbers(rng, T, S)) for T, S, D in [(2, 3, 4), (3, 3, 2)]]

    def attend(q, k, v, mask, scale=None):
        return F.scaled_dot_product_attention(q, k, v, mask, scale=scale)

    def multiplied_by_mask(q, k, v, mask):
        return torch.softmax(q @ k.T / q.shape[-1] ** 0.5 * mask, -1) @ v

    def weights(q, k, mask):
        return torch.softmax(q @ k.T / q.shape[-1] ** 0.5 + mask, -1)

    def hidden_afterwards(hidden):
        return lambda q, k, v, mask: torch.where(hidden(mask), 0.0, weights(q, k, 0)) @ v

    def mask_inverted(q, k, v, mask):
        return torch.softmax(torch.where(mask == 0, LOW, q @ k.T / q.shape[-1] ** 0.5), -1) @ v

    return cases, [False] * 7 + [True, False, False], {
        "right": attend,
        "unscaled": lambda q, k, v, mask: attend(q, k, v, mask, 1.0),
        "divided_by_D": lambda q, k, v, mask: attend(q, k, v, mask, 1 / q.shape[-1]),
        "multiplied": lambda q, k, v, mask: attend(q, k, v, mask, q.shape[-1] ** 0.5),
        "root_of_keys": lambda q, k, v, mask: attend(q, k, v, mask, len(k) ** -0.5),
        "root_of_queries": lambda q, k, v, mask: attend(q, k, v, mask, len(q) ** -0.5),
        "mask_divided": lambda q, k, v, mask: attend(q, k, v, mask / q.shape[-1] ** 0.5),
        "only_mask_divided": lambda q, k, v, mask: attend(q, k, v, mask / q.shape[-1] ** 0.5, 1.0),
        "mask_multiplied": multiplied_by_mask,
        "mask_after_softmax": hidden_afterwards(lambda mask: mask < 0),
        "very_low_mask_after_softmax": hidden_afterwards(lambda mask: mask < LOW / 2),
        "other_mask_after_softmax": hidden_afterwards(lambda mask: mask != 0),
        "mask_inverted": mask_inverted,
        "weights_divided": lambda q, k, v, mask: attend(q, k, v, mask, 1.0) / q.shape[-1] ** 0.5,
        "not_normalized": lambda q, k, v, mask: torch.exp(q @ k.T / q.shape[-1] ** 0.5 + mask) @ v,
        "weights_returned": lambda q, k, v, mask: weights(q, k, mask),
        "no_mask": lambda q, k, v, mask: attend(q, k, v, None),
        "query_axis": lambda q, k, v, mask: torch.softmax(q @ k.T / q.shape[-1] ** 0.5 + mask, 0) @ v,
        "keys_as_values": lambda q, k, v, mask: attend(q, k, k, mask),
    }  # fmt: skip


def sink_mask():
    """The mask of StreamingLLM (Xiao et al. 2023), one pair of positions at a time."""
    positions = [(range(3), range(3)), (range(5), range(5)), (range(6), range(6)), (range(3, 7), range(7)), ([6], range(7)),
                 (range(7), range(7)), ([5, 6, 7], [5, 6, 7]), ([2, 7], [0, 1, 4, 6, 7]), (range(4), range(4)),
                 (range(3, 6), range(1, 6))]  # fmt: skip
    limits = [(1, 1), (2, 1), (2, 2), (2, 3), (3, 1), (1, 0), (2, 1), (3, 2), (1, 3), (1, 2)]
    cases = [(np.array(q), np.array(k), window, sinks) for (q, k), (window, sinks) in zip(positions, limits)]

    def mask_of(sees):
        def mask(queries, keys, window, sinks):
            rows = [[0.0 if sees(int(q), int(k), s, window, sinks) else LOW for s, k in enumerate(keys)] for q in queries]
            return torch.tensor(rows)

        return mask

    def by_place(queries, keys, window, sinks):
        return right(torch.arange(len(queries)), torch.arange(len(keys)), window, sinks)

    right = mask_of(lambda q, k, s, window, sinks: k <= q and (q - k < window or k < sinks))
    return cases, [False] * len(cases), {
        "right": right,
        "itself_hidden": mask_of(lambda q, k, s, window, sinks: k < q and (q - k < window or k < sinks)),
        "window_with_sinks": mask_of(lambda q, k, s, window, sinks: k <= q and (q - k < window - sinks or k < sinks)),
        "window_longer": mask_of(lambda q, k, s, window, sinks: 0 <= q - k < window + sinks),
        "places_for_positions": by_place,
        "ones_for_hidden": lambda *arguments: (right(*arguments) < 0).double(),
        "ones_for_seen": lambda *arguments: (right(*arguments) == 0).double(),
        "near_on_both_sides": mask_of(lambda q, k, s, window, sinks: abs(q - k) < window or (k <= q and k < sinks)),
        "all_on_both_sides": mask_of(lambda q, k, s, window, sinks: abs(q - k) < window or k < sinks),
        "turned": lambda *arguments: right(*arguments).T,
        "columns_not_causal": mask_of(lambda q, k, s, window, sinks: 0 <= q - k < window or s < sinks),
        "no_sinks": mask_of(lambda q, k, s, window, sinks: 0 <= q - k < window),
        "one_long": mask_of(lambda q, k, s, window, sinks: k <= q and (q - k <= window or k < sinks)),
        "one_short": mask_of(lambda q, k, s, window, sinks: k <= q and (q - k < window - 1 or k < sinks)),
        "sinks_one_more": mask_of(lambda q, k, s, window, sinks: k <= q and (q - k < window or k <= sinks)),
        "sinks_not_causal": mask_of(lambda q, k, s, window, sinks: 0 <= q - k < window or k < sinks),
        "not_causal": mask_of(lambda q, k, s, window, sinks: q - k < window or k < sinks),
        "sinks_by_column": mask_of(lambda q, k, s, window, sinks: k <= q and (q - k < window or s < sinks)),
        "both_wanted": mask_of(lambda q, k, s, window, sinks: 0 <= q - k < window and k < sinks),
        "inverted": mask_of(lambda q, k, s, window, sinks: not (k <= q and (q - k < window or k < sinks))),
    }  # fmt: skip


def min_p_probabilities():
    """The distribution after min-p of transformers."""
    rng = np.random.default_rng(4)
    cases = [(np.log(np.array([0.5, 0.3, 0.15, 0.05])).round(2).astype(np.float32), p) for p in (0.2, 0.5, 0.8)]
    cases += [(numbers(rng, V), p) for V, p in [(4, 0.1), (6, 0.3), (8, 0.05), (5, 0.7), (6, 0.5)]]
    cases += [(numbers(rng, 6) - 8, 0.2)]
    cases += [(np.array(row, np.float32), 1.0) for row in ([2, 0.5, 1], [1, 3, 3, 2])]  # as likely as the likeliest

    def warped(warper):
        return lambda logits, p: torch.softmax(warper(p)(None, logits[None])[0], -1)

    def kept(logits, p):
        return torch.softmax(logits, -1) >= p * torch.softmax(logits, -1).max()

    def share(numbers):
        return numbers / numbers.sum()

    def above(limit):
        def probabilities_above(logits, p):
            probabilities = torch.softmax(logits, -1)
            return share(torch.where(limit(probabilities, p), probabilities, 0.0))

        return probabilities_above

    def once_more(removed):
        return lambda logits, p: torch.softmax(torch.where(kept(logits, p), torch.softmax(logits, -1), removed), -1)

    return cases, [False] * len(cases), {
        "right": warped(lambda p: MinPLogitsWarper(p)),
        "absolute": lambda logits, p: share(torch.where(torch.softmax(logits, -1) >= p, torch.softmax(logits, -1), 0.0)),
        "absolute_of_exponentials": lambda logits, p: share(torch.where(logits.exp() >= p, logits.exp(), 0.0)),
        "on_logits": lambda logits, p: share(torch.where(logits >= p * logits.max(), torch.softmax(logits, -1), 0.0)),
        "limit_of_logits": lambda logits, p: above(lambda probabilities, p: probabilities >= p * logits.max())(logits, p),
        "only_the_kept": lambda logits, p: share(torch.softmax(logits, -1)[kept(logits, p)]),
        "exchanged": lambda logits, p: share(torch.where(kept(logits, p), 0.0, torch.softmax(logits, -1))),
        "no_cut": lambda logits, p: torch.softmax(logits, -1),
        "strict": above(lambda probabilities, p: probabilities > p * probabilities.max()),
        "difference": above(lambda probabilities, p: probabilities >= probabilities.max() - p),
        "softmax_twice": once_more(-torch.inf),
        "softmax_twice_with_0": once_more(0.0),
        "logits_returned": lambda logits, p: torch.where(kept(logits, p), logits, LOW),
        "sets_0": lambda logits, p: torch.softmax(torch.where(kept(logits, p), logits, 0.0), -1),
        "not_renormalized": lambda logits, p: torch.where(kept(logits, p), torch.softmax(logits, -1), 0.0),
        "logits_kept": lambda logits, p: share(torch.where(kept(logits, p), logits, 0.0)),
        "nucleus": warped(lambda p: TopPLogitsWarper(p)),
    }  # fmt: skip


def smoothed_cross_entropy():
    """The loss of PyTorch with label_smoothing."""
    rng = np.random.default_rng(5)
    cases = [
        (np.array([[2, 0, 1]], np.float32), np.array([0]), 0.3),
        (np.array([[2, 0, 1, 1]], np.float32), np.array([2]), 0.2),
    ]
    for T, V, smoothing in [(2, 3, 0.1), (3, 4, 0.2), (4, 3, 0.4), (5, 6, 0.1), (2, 5, 0.0), (3, 2, 0.3)]:
        cases.append((numbers(rng, T, V), rng.integers(V, size=T), smoothing))

    def with_wanted(target, all_words):
        """Return a loss; target and all_words: the wanted probability of the target, and of every word, of (smoothing, V)."""

        def loss(logits, targets, smoothing):
            V = logits.shape[-1]
            wanted = F.one_hot(targets, V) * target(smoothing, V) + all_words(smoothing, V)
            return -(wanted * F.log_softmax(logits, -1)).sum(-1).mean()

        return loss

    def right(logits, targets, smoothing, reduction="mean"):
        return F.cross_entropy(logits, targets, label_smoothing=smoothing, reduction=reduction)

    def axis_0(logits, targets, smoothing):
        log_p = torch.log_softmax(logits, 0)
        return (1 - smoothing) * F.nll_loss(log_p, targets) - smoothing * log_p.mean()

    def model_smoothed(logits, targets, smoothing):
        p = (1 - smoothing) * torch.softmax(logits, -1) + smoothing / logits.shape[-1]
        return F.nll_loss(torch.log(p), targets)

    def with_rows(loss):
        """Return a mean over the tokens; loss: of (wanted, log_p), both (T, V)."""

        def mean(logits, targets, smoothing):
            V = logits.shape[-1]
            wanted = (1 - smoothing) * F.one_hot(targets, V) + smoothing / V
            return loss(wanted, torch.log_softmax(logits, -1)).sum(-1).mean()

        return mean

    return cases, [False] * len(cases), {
        "right": right,
        "roles_exchanged": with_rows(lambda wanted, log_p: -log_p.exp() * wanted.log()),
        "divergence": with_rows(lambda wanted, log_p: wanted * (wanted.log() - log_p)),
        "by_token": lambda *arguments: right(*arguments, reduction="none"),
        "no_smoothing": lambda logits, targets, smoothing: F.cross_entropy(logits, targets),
        "words_forgotten": with_wanted(lambda s, V: 1 - s, lambda s, V: 0),
        "axis_0": axis_0,
        "target_without_share": with_wanted(lambda s, V: 1 - s - s / V, lambda s, V: s / V),
        "mean_of_everything": lambda logits, *others: right(logits, *others) / logits.shape[-1],
        "others_only": with_wanted(lambda s, V: 1 - s - s / (V - 1), lambda s, V: s / (V - 1)),
        "target_keeps_1": with_wanted(lambda s, V: 1, lambda s, V: s / V),
        "not_divided_by_V": with_wanted(lambda s, V: 1 - s, lambda s, V: s),
        "exchanged": lambda logits, targets, smoothing: right(logits, targets, 1 - smoothing),
        "model_smoothed": model_smoothed,
        "summed": lambda *arguments: right(*arguments, reduction="sum"),
        "log2": lambda *arguments: right(*arguments) / np.log(2),
        "sign": lambda *arguments: -right(*arguments),
    }  # fmt: skip


def momentum_step():
    """One step of torch.optim.SGD, whose state is set to the old velocity."""
    rng = np.random.default_rng(6)
    cases = [
        (np.array([1.0], np.float32), np.array([2.0], np.float32), np.array([3.0], np.float32), 0.1, 0.5),
        *((*(numbers(rng, N) for _ in range(3)), rate, momentum)
          for N, rate, momentum in [(2, 0.1, 0.9), (3, 0.5, 0.8), (4, 0.01, 0.9), (3, 1.5, 0.3), (2, 0.2, 0.0), (5, 0.3, 0.6)]),
    ]  # fmt: skip

    def step(x, velocity, gradient, rate, momentum, **options):
        parameter = torch.nn.Parameter(x.clone())
        parameter.grad = gradient
        optimizer = torch.optim.SGD([parameter], rate, momentum, **options)
        optimizer.state[parameter]["momentum_buffer"] = velocity.clone()
        optimizer.step()
        return parameter.data, optimizer.state[parameter]["momentum_buffer"] if momentum else gradient

    def exchanged(*arguments):
        return step(*arguments)[::-1]

    def rate_in_velocity(x, velocity, gradient, rate, momentum):
        new = momentum * velocity + rate * gradient
        return x - new, new

    def by_velocity(new_velocity, sign=-1):
        """Return a step whose new velocity is computed from (velocity, gradient, momentum)."""

        def moved(x, velocity, gradient, rate, momentum):
            new = new_velocity(velocity, gradient, momentum)
            return x + sign * rate * new, new

        return moved

    def negative_rate_in_velocity(x, velocity, gradient, rate, momentum):
        new = momentum * velocity - rate * gradient
        return x + new, new

    return cases, [False] * len(cases), {
        "right": step,
        "gradient_only": lambda x, v, g, rate, momentum: (x - rate * g, momentum * v + g),
        "momentum_misplaced": by_velocity(lambda v, g, momentum: v + momentum * g),
        "momentum_and_rest_exchanged": by_velocity(lambda v, g, momentum: (1 - momentum) * v + momentum * g),
        "momentum_not_used": by_velocity(lambda v, g, momentum: v + g),
        "momentum_of_the_sum": by_velocity(lambda v, g, momentum: momentum * (v + g)),
        "gradient_subtracted": by_velocity(lambda v, g, momentum: momentum * v - g),
        "both_signs_turned": by_velocity(lambda v, g, momentum: momentum * v - g, sign=1),
        "negative_rate_in_velocity": negative_rate_in_velocity,
        "no_momentum": lambda x, v, g, rate, momentum: step(x, v * 0, g, rate, momentum),
        "dampened": lambda x, v, g, rate, momentum: step(x, v, g * (1 - momentum), rate, momentum),
        "old_velocity": lambda x, v, g, rate, momentum: (x - rate * v, momentum * v + g),
        "rate_in_velocity": rate_in_velocity,
        "uphill": lambda x, v, g, rate, momentum: (x + rate * (momentum * v + g), momentum * v + g),
        "nesterov": lambda *arguments: step(*arguments, nesterov=True) if arguments[-1] else step(*arguments),
        "velocity_kept": lambda x, v, g, rate, momentum: (step(x, v, g, rate, momentum)[0], v),
        "exchanged": exchanged,
        "only_x": lambda *arguments: step(*arguments)[0],
        "only_velocity": lambda *arguments: step(*arguments)[1],
        "no_rate": lambda x, v, g, rate, momentum: step(x, v, g, 1.0, momentum),
    }  # fmt: skip


def encoded(x):
    """Return a value for JSON: arrays as {kind: rows} with seven digits, a tuple as a list, None for what is not finite."""
    if isinstance(x, tuple):
        return list(map(encoded, x))
    if isinstance(x, torch.Tensor):
        x = np.maximum(x.numpy(), LOW)  # -inf is no number of JSON
        if not np.isfinite(x).all():
            return None
        x = x.astype(np.float32) if x.ndim else float(x)
    if isinstance(x, np.ndarray):
        return {str(x.dtype): np.vectorize(rounded, otypes=[object])(x).tolist()}
    return float(f"{x:.7g}") if isinstance(x, float) else x


def rounded(value):
    """Return a number of an array with seven digits, whole numbers as int: they are shorter."""
    value = float(f"{value:.7g}")
    return int(value) if value == int(value) else value


def stored():
    """Return what the file holds."""
    whole = {}
    for build in (rms_norm, scaled_attend, sink_mask, min_p_probabilities, smoothed_cross_entropy, momentum_step):
        cases, extreme, functions = build()
        whole[build.__name__] = {
            "arguments": [list(map(encoded, case)) for case in cases],
            "extreme": extreme,
            "results": {
                name: [encoded(function(*map(tensor, case))) for case in cases] for name, function in functions.items()
            },
        }
    return whole


def as_text(whole):
    """Return the file's text: one line for the arguments, and one for each kind of result."""
    lines = []
    for name, parts in whole.items():
        results = ",\n".join(f"{json.dumps(kind)}: {short(values)}" for kind, values in parts["results"].items())
        rest = ",\n".join(f'"{part}": {short(parts[part])}' for part in ("arguments", "extreme"))
        lines.append(f'"{name}": {{\n{rest},\n"results": {{\n{results}\n}}}}')
    return "{\n" + ",\n".join(lines) + "\n}\n"


def short(value):
    """Return JSON without spaces."""
    return json.dumps(value, separators=(",", ":"))


if __name__ == "__main__":
    FILE.write_text(as_text(stored()), encoding="utf-8", newline="\n")
