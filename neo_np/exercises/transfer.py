"""Transfer exercises: what other models do in another way. Their solutions are not in the package; a lecturer has them.

transfer.json has the inputs of each exercise, the right results and those of each mistake, as numbers: they were computed with
PyTorch and transformers. So an answer is checked, and its mistake named, without any code of a solution.
"""

import copy
from pathlib import Path

import numpy as np

from neo_np.exercises.exercise import Case, Exercise, mistake
from neo_np.exercises.nb05_one_head import hidden_is_lowest
from neo_np.exercises.outcomes import same_contents
from neo_np.files import read_json

RESULTS = Path(__file__).with_name("transfer.json")
STORED = read_json(RESULTS)


def decoded(value):
    """Return an argument or a result: {"float32": rows} is an array, a list is a tuple, everything else is what it is."""
    if isinstance(value, list):
        return tuple(map(decoded, value))
    if not isinstance(value, dict):
        return value
    [(kind, rows)] = value.items()
    return np.array(rows, kind)


class Stored:
    """A function that is known only by its results. mistake: the name of a mistake, or "right"."""

    def __init__(self, name):
        self.arguments = [tuple(map(decoded, arguments)) for arguments in STORED[name]["arguments"]]
        self.extreme = STORED[name]["extreme"]
        self.results = {kind: list(map(decoded, values)) for kind, values in STORED[name]["results"].items()}

    def cases(self):
        """Return the cases for which results are stored."""
        return [Case(arguments, extreme) for arguments, extreme in zip(self.arguments, self.extreme)]

    def __call__(self, *arguments, mistake="right"):
        """Return the result for the arguments of a case; raises ValueError if the mistake gives none."""
        for known, result in zip(self.arguments, self.results[mistake]):
            if same_contents(known, arguments):
                if result is None:
                    raise ValueError(f"{mistake} gives no numbers here")
                return copy.deepcopy(result)
        raise ValueError("no result is stored for these arguments")


def made(name, says, asks, *others):
    """Return the mistake with this name, whose results are stored; others: the names of other ways to make it."""
    return mistake(name, tuple({"mistake": way} for way in (name, *others)), says, asks)


def transfer(name, **parts):
    """Return a transfer exercise whose results are stored."""
    stored = Stored(name)
    return Exercise(name=name, reference=stored, variant=stored, cases=stored.cases, **parts)


RMS_NORM = transfer(
    "rms_norm",
    notebook="04",
    minutes=10,
    signature="rms_norm(x, weight, eps)",
    task="RMS norm, as in Llama: divide each row of x, (T, C), by the root of its mean square, then multiply by weight, (C,). "
    "eps is added to the mean square, so that a row of zeros does not divide by 0.",
    mistakes=(
        made(
            "mean_subtracted",
            "the mean is subtracted first. That is layer norm without a bias.",
            "Layer norm sets two things of a row. Which of them does RMS norm leave as it is?",
        ),
        made(
            "standard_deviation",
            "you divide by the standard deviation: the mean was subtracted before the squares were taken.",
            "What is the variance of the row 3, 3, 3, and what is its mean square?",
        ),
        made(
            "square_of_mean",
            "you take the square of the mean, or the mean of absolute values, and not the mean of the squares.",
            "The row is 3, -3. What is its mean square? In which order do you square, and take the mean?",
            "absolute_values",
        ),
        made(
            "no_root",
            "you divide by the mean square and not by its root.",
            "If all numbers of a row double, by how much does the mean square grow? By how much must the divisor grow?",
        ),
        made(
            "eps_outside",
            "eps is added to the root and not to the mean square.",
            "The task says what eps is added to. Is that under your root?",
        ),
        made("no_eps", "eps is forgotten, so a row of zeros divides 0 by 0.", "Where does `eps` occur in your function?"),
        made(
            "sum_for_mean",
            "you add up the squares and do not take their mean.",
            "How large would the divisor be if the row had a thousand numbers?",
        ),
        made(
            "n_minus_1",
            "the sum of the squares is divided by C - 1 and not by C.",
            "How many squares do you add up, and what is their mean?",
        ),
        made(
            "time_axis",
            "the mean square goes down the columns (axis 0), over the tokens.",
            "Each token is normalized by itself. Which axis holds the numbers of one token?",
        ),
        made(
            "everything",
            "the mean square is that of the whole array.",
            "Each token is normalized by itself. How many mean squares do you need for T tokens?",
        ),
        made(
            "no_keepdims",
            "the mean squares have the shape (T,), and NumPy lines them up with the columns.",
            "Which shape must they have, so that each one meets its own row?",
        ),
        made(
            "weight_added",
            "you add weight or divide by it, and do not multiply by it.",
            "What does the task do with weight?",
            "weight_divided",
        ),
        made(
            "multiplied",
            "you multiply by the root of the mean square and do not divide by it.",
            "The row is 300, 400. Should the result be larger or smaller than that?",
        ),
        made("no_gain", "the multiplication by weight is missing.", "Which of the three arguments do you not use?"),
        made(
            "weight_plus_1",
            "you multiply by 1 + weight, as Gemma does.",
            "Here a weight of 1 leaves a channel as it is. What does yours do with a weight of 1?",
        ),
    ),
    hints=(
        "Compare it with layer norm, line by line: one step is missing here, and so is one argument.",
        "x is (T, C). The mean square must be (T, 1): `keepdims=True` over the last axis. weight is (C,).",
        "mean_square = ...  # (T, 1)\nreturn x / ... * ...",
    ),
)

SCALED_ATTEND = transfer(
    "scaled_attend",
    notebook="05",
    minutes=8,
    signature="scaled_attend(q, k, v, mask)",
    task="One head of attention as in GPT-2 and most other models: like `attend` of notebook 05, but each score is divided by "
    "the root of D, before the mask is added. D is how many numbers a query has: q is (T, D), k and v are (S, D), mask is "
    "(T, S). The result is (T, D).",
    given=("softmax",),
    mistakes=(
        made("unscaled", "the scores are not divided, as in GPT-Neo.", "By what is each score divided in the task?"),
        made(
            "divided_by_D",
            "the scores are divided by D and not by its root.",
            "D products of random numbers add up to a number of about which size: D, or the root of D?",
        ),
        made(
            "multiplied",
            "the scores are multiplied by the root of D.",
            "Should the scaled scores be larger or smaller than before?",
        ),
        made(
            "root_of_keys",
            "you divide by the root of S or T, the number of keys or queries.",
            "Over which axis does a score add up its products? How long is that axis?",
            "root_of_queries",
        ),
        made(
            "mask_divided",
            "the mask is divided too.",
            "What is added first in your answer, and what is divided? The mask may hold other numbers than 0 and -1e9.",
        ),
        made(
            "only_mask_divided",
            "only the mask is divided, and not the scores: `/` comes before `+`.",
            "In which order does Python compute a + b / c? Where do brackets belong?",
        ),
        made(
            "mask_after_softmax",
            "the mask comes after the softmax, so the weights no longer add up to 1.",
            "A hidden key is given a very low score. What does the softmax make of it?",
            "very_low_mask_after_softmax",
            "other_mask_after_softmax",
        ),
        made(
            "not_normalized",
            "exp of the scores is not divided by its sum, so the weights of a token do not add up to 1.",
            "Softmax has two steps. Which one is missing?",
        ),
        made(
            "weights_returned",
            "the result is the weights, and v is not used.",
            "Which rows are averaged with these weights?",
        ),
        made(
            "mask_multiplied",
            "the scores are multiplied by the mask, and it belongs to them as a summand.",
            "Which number leaves a score as it is in a product, and which one in a sum? Which one is in the mask?",
        ),
        made(
            "mask_inverted",
            "what the mask allows is hidden, and the rest is visible.",
            "Which number has the mask where a key may be seen?",
        ),
        made(
            "weights_divided",
            "you divide after the softmax, so the weights of a token no longer add up to 1.",
            "Which comes first, the division or the softmax?",
        ),
        made("no_mask", "the mask is not added, so tokens see the future.", "Which of the four arguments do you not use?"),
        made(
            "query_axis",
            "the softmax goes over the queries (axis 0).",
            "For each query the weights of all keys add up to 1. Along which axis of (T, S) do the keys lie?",
        ),
        made("keys_as_values", "the weights meet k a second time, in the place of v.", "Which of q, k, v do you not use?"),
    ),
    hints=(
        "Take your own `attend` and change one line of it.",
        "q @ k.T is (T, S). D is the last axis of q: `q.shape[-1]`.",
        "scores = q @ k.T / ... + mask\nreturn softmax(...) @ v",
    ),
)

SINK_MASK = transfer(
    "sink_mask",
    notebook="07",
    minutes=12,
    signature="sink_mask(queries, keys, window, sinks)",
    task="The mask of attention with sinks, (T, S): 0.0 for what may be seen, and a very low number such as -1e9 for the rest. "
    "A token sees itself and the window - 1 tokens before it, as in notebook 07, and also the tokens at the first `sinks` "
    "positions of the text, unless they come later than itself. queries, (T,), and keys, (S,), are arrays of positions.",
    compare_as=hidden_is_lowest,
    mistakes=(
        made("no_sinks", "the first tokens are hidden as soon as they leave the window.", "Which argument do you not use?"),
        made(
            "one_long",
            "the window is one token too long.",
            "With a window of 1 a token sees itself. How far back does yours look then?",
        ),
        made(
            "one_short",
            "the window is one token too short.",
            "With a window of 1 a token sees itself. Does it in yours?",
        ),
        made(
            "sinks_one_more",
            "one token too many is a sink.",
            "The positions begin at 0. What is the position of the last one of 2 sinks?",
        ),
        made(
            "sinks_not_causal",
            "a token sees sinks that come later than itself.",
            "Which tokens may the token at position 0 see, if there are 2 sinks?",
        ),
        made(
            "not_causal",
            "a token sees later tokens.",
            "While a text is written, which tokens exist already: those before or those after?",
            "near_on_both_sides",
            "all_on_both_sides",
        ),
        made(
            "itself_hidden",
            "a token does not see itself.",
            "How large is the distance between a token and itself? Which comparison lets it in?",
        ),
        made(
            "window_longer",
            "the window becomes longer by the number of sinks. Sinks lie at the beginning of the text.",
            "The token at position 100 has a window of 4, and there are 2 sinks. Which 6 positions does it see?",
        ),
        made(
            "window_with_sinks",
            "the window becomes shorter by the number of sinks, as if they were a part of it.",
            "The token at position 100 has a window of 4, and there are 2 sinks. Which 6 positions does it see?",
        ),
        made(
            "turned",
            "rows and columns are exchanged: the mask is (S, T).",
            "Which of the two, queries or keys, needs `[:, None]`, so that queries are rows?",
        ),
        made(
            "places_for_positions",
            "you compare the places in the arrays, and not the positions that stand there.",
            "If queries is [5, 6], what is the position of the first query? Where does your code use the numbers in it?",
        ),
        made(
            "ones_for_hidden",
            "the mask is made of 0 and 1. It is added to the scores, so what is hidden needs a very low number.",
            "What does a score of 3 become where the mask is 1, and where it is 0?",
            "ones_for_seen",
        ),
        made(
            "sinks_by_column",
            "the first columns of the mask are the sinks, whatever their positions are.",
            "If the keys are those at the positions 5, 6 and 7, is one of them a sink?",
            "columns_not_causal",
        ),
        made(
            "both_wanted",
            "a token sees a key only if it is a sink and in the window.",
            "Is it enough for a key to be a sink, or must it lie in the window too?",
        ),
        made(
            "inverted",
            "0 and the low number are exchanged: what may be seen is hidden.",
            "The mask is added to the scores. Which number leaves a score as it is?",
        ),
    ),
    hints=(
        "Write down three conditions: the key is not later; it is near enough; it is a sink. How do they go together?",
        "queries[:, None] and keys[None, :] meet as (T, S). A condition on keys only is (1, S) and meets every row.",
        "distance = queries[:, None] - keys[None, :]\nnear = ...\nsink = ...\nreturn np.where(..., 0.0, -1e9)",
    ),
)

MIN_P = transfer(
    "min_p_probabilities",
    notebook="10",
    minutes=10,
    signature="min_p_probabilities(logits, p)",
    task="Min-p sampling: a token may be drawn if its probability is at least p times that of the likeliest token. Return the "
    "probabilities, (V,), with which the tokens are drawn: 0 for those that may not, and all together 1. logits is (V,).",
    compare_as=hidden_is_lowest,
    mistakes=(
        made(
            "absolute",
            "a probability, or exp of a logit, is compared with p itself.",
            "If the likeliest token has the probability 0.2 and p is 0.5, which tokens are kept? At least one must be.",
            "absolute_of_exponentials",
        ),
        made(
            "on_logits",
            "the limit is p times the largest logit, and not p times the largest probability.",
            "What becomes of p times the largest logit if that logit is negative?",
            "limit_of_logits",
        ),
        made(
            "exchanged",
            "what should be kept is removed, and the other way round.",
            "Is the likeliest token among those that you keep?",
        ),
        made("no_cut", "no token is removed.", "Which argument do you not use?"),
        made(
            "strict",
            "a token whose probability is exactly p times the largest one is removed. With p = 1 none remains.",
            'The task says "at least". Which comparison is that?',
        ),
        made(
            "difference",
            "the limit is the largest probability minus p, and not p times the largest.",
            "If the likeliest token has the probability 0.2 and p is 0.5, what is the limit?",
        ),
        made(
            "softmax_twice",
            "the kept probabilities go through softmax once more.",
            "0.6 and 0.2 should become 0.75 and 0.25. What does softmax make of them? What would a division do?",
            "softmax_twice_with_0",
        ),
        made(
            "logits_returned",
            "the result is logits, and probabilities were asked for.",
            "Which function makes probabilities of logits?",
        ),
        made(
            "sets_0",
            "the removed logits become 0 before the softmax, and a logit of 0 is not unlikely.",
            "Which probability does a logit of 0 have beside a logit of -1? Which logit has the probability 0?",
        ),
        made(
            "only_the_kept",
            "only the kept tokens come back, so nobody knows which probability belongs to which token.",
            "The result needs V numbers. What do removed tokens get?",
        ),
        made(
            "not_renormalized",
            "the probabilities that remain do not add up to 1.",
            "What was the probability of the removed tokens, and who gets it now?",
        ),
        made(
            "logits_kept",
            "you divide the kept logits by their sum; they are no probabilities.",
            "Where is the exponential function in your answer?",
        ),
        made(
            "nucleus",
            "you keep the likeliest tokens that together have the probability p. That is top-p.",
            "Does the task add up probabilities, or does it compare each one with the largest?",
        ),
    ),
    hints=(
        "Three steps: the probabilities; the smallest one that is still kept; and what remains must add up to 1 again.",
        "logits, the probabilities and the result are (V,); the limit is one number.",
        "probabilities = ...  # (V,), add up to 1\nlimit = ...\nkept = np.where(..., probabilities, ...)\nreturn kept / ...",
    ),
)

SMOOTHED_CROSS_ENTROPY = transfer(
    "smoothed_cross_entropy",
    notebook="12",
    minutes=15,
    signature="smoothed_cross_entropy(logits, targets, smoothing)",
    task="Cross-entropy with label smoothing: the wanted probabilities of a token are (1 - smoothing) for its target, plus "
    "smoothing / V for each of the V words, the target included. Return the mean over the T tokens of the cross-entropy of "
    "these with the model's probabilities, in nats, as one float. logits is (T, V), targets is (T,).",
    mistakes=(
        made(
            "words_forgotten",
            "the target counts 1 - smoothing, and the share of the words is missing.",
            "What do your wanted probabilities of one token add up to?",
        ),
        made(
            "axis_0",
            "the softmax goes down the columns (axis 0), over the tokens.",
            "Which axis has the V scores of one token?",
        ),
        made("no_smoothing", "there is no smoothing in it.", "Which argument do you not use?"),
        made(
            "others_only",
            "the target gets no share of the smoothing: only the other words do.",
            "Add up your wanted probabilities of the target: which share of the smoothing does the task give it?",
            "target_without_share",
        ),
        made(
            "target_keeps_1",
            "the target keeps all of its probability, so the wanted probabilities add up to more than 1.",
            "What do your wanted probabilities of one token add up to?",
        ),
        made(
            "not_divided_by_V",
            "each word gets the whole smoothing and not a share of it.",
            "What do your wanted probabilities of one token add up to?",
        ),
        made(
            "exchanged",
            "smoothing and 1 - smoothing are exchanged.",
            "Which result do you expect for a smoothing of 0, and what does your function give?",
        ),
        made(
            "model_smoothed",
            "the model's probabilities are smoothed, and not the wanted ones.",
            "Which of the two distributions is inside the logarithm?",
        ),
        made(
            "mean_of_everything",
            "you take the mean over all T V numbers. Only the tokens are averaged; the words of one token are added up.",
            "What does -sum(wanted * log(p)) of one token say, and by what do you divide it?",
        ),
        made(
            "roles_exchanged",
            "the wanted probabilities are inside the logarithm, and the model's before it.",
            "In -sum(wanted * log(p)), which of the two distributions is p?",
        ),
        made(
            "divergence",
            "the entropy of the wanted probabilities is subtracted: that is the KL divergence.",
            "In -sum(wanted * log(p)), where does log(wanted) occur?",
        ),
        made("by_token", "each token has its own number: the mean is missing.", "How many numbers should come back?"),
        made("summed", "the tokens are added up, and their mean is not taken.", "What does a text of double length give?"),
        made("log2", "the logarithm has the base 2, so the result is in bits.", "Which logarithm gives nats?"),
        made("sign", "the sign is wrong.", "Can a surprise be below 0?"),
    ),
    hints=(
        "A cross-entropy is -sum(wanted * log(p)). First write down the wanted probabilities of one token as a row.",
        "log_p is (T, V). The wanted probabilities are (T, V) too; then one number for each token, (T,), then their mean.",
        "log_p = ...  # (T, V)\n"
        "wanted = np.full(log_p.shape, ...)\n"
        "wanted[np.arange(len(targets)), targets] += ...\n"
        "return float(...)",
    ),
)

MOMENTUM_STEP = transfer(
    "momentum_step",
    notebook="14",
    minutes=10,
    signature="momentum_step(x, velocity, gradient, learning_rate, momentum)",
    task="One step of gradient descent with momentum, as in PyTorch: the new velocity is momentum times the old one, plus the "
    "gradient; then x moves by learning_rate times the new velocity, downhill. x, velocity and gradient are (N,). Return the "
    "new x and the new velocity, as a tuple.",
    mistakes=(
        made(
            "gradient_only",
            "x moves by the gradient: the new velocity is computed, and x does not use it.",
            "By what is x moved in the task?",
        ),
        made(
            "momentum_misplaced",
            "momentum multiplies the gradient. In the task it multiplies only the old velocity.",
            "With a momentum of 0, what should the new velocity be, and what is yours?",
            "momentum_of_the_sum",
            "momentum_and_rest_exchanged",
        ),
        made(
            "momentum_not_used",
            "the old velocity is not multiplied by momentum.",
            "Which of the five arguments do you not use?",
        ),
        made(
            "gradient_subtracted",
            "the gradient is subtracted in the velocity, so the velocity has the other sign.",
            "Which sign does the gradient have in the new velocity of the task? In which of the two lines is the minus?",
            "both_signs_turned",
        ),
        made("no_momentum", "the old velocity is forgotten.", "What does your step do if the gradient is 0?"),
        made(
            "dampened",
            "the gradient is multiplied by 1 - momentum, as in the first average of Adam.",
            "How does the gradient enter the new velocity in the task?",
        ),
        made("old_velocity", "x moves by the old velocity.", "Which of the two is computed first, x or the velocity?"),
        made(
            "rate_in_velocity",
            "the learning rate is already in the velocity.",
            "If the learning rate changes later, what should become of the velocity that has been collected?",
            "negative_rate_in_velocity",
        ),
        made("uphill", "x moves uphill: the sign is wrong.", "The gradient points uphill. Which sign leads down?"),
        made(
            "nesterov",
            "x moves by the gradient plus momentum times the new velocity. That is Nesterov's momentum.",
            "By what is x moved in the task?",
        ),
        made("velocity_kept", "the velocity that you return is the old one.", "Which velocity does the next step need?"),
        made("exchanged", "the two results are exchanged.", "Which of the two does the task name first?"),
        made("only_x", "only one of the two results comes back.", "What does the next step need besides x?", "only_velocity"),
        made("no_rate", "the learning rate is not used.", "Which of the five arguments do you not use?"),
    ),
    hints=(
        "Two lines: first the velocity, then x. The order matters.",
        "All three arrays are (N,), and so are both results. `velocity *= momentum` would change the input.",
        "velocity = ...\nx = x - ...\nreturn x, velocity",
    ),
)

EXERCISES = (RMS_NORM, SCALED_ATTEND, SINK_MASK, MIN_P, SMOOTHED_CROSS_ENTROPY, MOMENTUM_STEP)
