"""Exercises of notebook 11, generation: cached_step, beam_step, accept_drafts."""

import math

import numpy as np

from neo_np.exercises.exercise import Case, Exercise, array, mistake, random_numbers
from neo_np.exercises.nb05_one_head import softmax

# cached_step


def cached_step(id, keys, values, wte, wpe, wq, wk, wv):
    """Return what one head hands to a new token; the keys and values of the S tokens before it come from the cache."""
    x = wte[id] + wpe[len(keys)]  # the new token's position is S
    keys = np.concatenate([keys, [wk @ x]])
    values = np.concatenate([values, [wv @ x]])
    weights = softmax(keys @ (wq @ x))
    return weights @ values


def cached_step_loop(id, keys, values, wte, wpe, wq, wk, wv):
    """Compute one score at a time."""
    x = wte[id] + wpe[len(keys)]
    pairs = [*zip(keys, values), (wk @ x, wv @ x)]
    scores = [float((wq @ x) @ key) for key, _ in pairs]
    powers = [math.exp(score - max(scores)) for score in scores]
    return sum(power / sum(powers) * value for power, (_, value) in zip(powers, pairs))


def cached_step_variant(
    id,
    keys,
    values,
    wte,
    wpe,
    wq,
    wk,
    wv,
    position="right",
    slot="append",
    seen="all",
    turned=False,
    scale=False,
    asks="q",
    hands_over="v",
    keyed="k",
    normalize=True,
    compared="keys",
    give="z",
):
    """cached_step with a switch for each mistake."""
    S = len(keys)
    wq, wk, wv = (w.T for w in (wq, wk, wv)) if turned else (wq, wk, wv)
    places = {"right": S, "0": 0, "before": S - 1, "after": S + 1, "id": id, "none": 0, "end": len(wpe) - 1}
    place = len(keys[0]) if position == "width" else places[position]
    x = wte[id] + (0 if position == "none" else wpe[place])
    key = x if keyed == "x" else wk @ x
    value = x if hands_over == "x" else {"v": wv, "k": wk, "q": wq}[hands_over] @ x
    if slot == "written" and S == 0:
        raise IndexError("an empty cache has no slot to write into")
    keep = {"last": slice(None, -1), "written": slice(None, -1), "first": slice(1, None)}.get(slot, slice(None))
    keys = {"all": [*keys[keep], key], "new": [key], "old": list(keys)}[seen]
    values = {"all": [*values[keep], value], "new": [value], "old": list(values)}[seen]
    keys = [keys[-1], *keys[:-1]] if slot == "key_in_front" else keys
    values = [values[-1], *values[:-1]] if slot == "value_in_front" else values
    scores = np.array(values if compared == "values" else keys) @ (x if asks == "x" else {"q": wq, "k": wk, "v": wv}[asks] @ x)
    scores = scores / np.sqrt(len(key)) if scale else scores
    weights = {True: softmax, False: np.array, "by the sum": lambda scores: scores / scores.sum()}[normalize](scores)
    return {
        "z": lambda: weights @ np.array(values),
        "added to x": lambda: x + weights @ np.array(values),
        "weights": lambda: weights,
        "mean_key": lambda: weights @ np.array(keys),
        "keys": lambda: np.array(keys),
        "x": lambda: x,
    }[give]()


def cached_step_cases():
    """Return heads with S tokens in the cache, C channels, D of them in the head, V tokens; C = D, S = D and all different."""
    rng = np.random.default_rng(11)
    sizes = [(1, 2, 2, 3), (2, 2, 2, 3), (2, 3, 2, 4), (3, 3, 3, 4), (3, 4, 2, 5), (5, 3, 4, 3), (4, 2, 3, 6), (4, 4, 4, 5)] * 2
    cases = [
        Case(
            (
                1,
                array([[1, 0], [0, 1]]),
                array([[2, 1], [0, 3]]),
                array([[0, 1], [1, -1], [2, 0]]),
                array([[0, 1], [0, -1], [1, 1], [1, 0]]),
                array([[1, 0], [0, 1]]),
                array([[0, 1], [1, 1]]),
                array([[1, 2], [-1, 1]]),
            )
        )
    ]
    for number, (S, C, D, V) in enumerate(sizes):
        tables = [random_numbers(rng, *shape) / 2 for shape in ((S, D), (S, D), (V, C), (max(S, V) + 2, C))]
        weights = [random_numbers(rng, D, C) / 2 for _ in range(3)]
        cases.append(Case((number % V, *tables, *weights), random=True))
    nothing = np.zeros((0, 2), np.float32)  # the first token of a text
    first = [random_numbers(rng, *shape) for shape in ((3, 3), (4, 3), (2, 3), (2, 3), (2, 3))]
    return [*cases, Case((2, nothing, nothing, *first), extreme=True)]


CACHED_STEP = Exercise(
    name="cached_step",
    notebook="11",
    minutes=15,
    core=True,
    signature="cached_step(id, keys, values, wte, wpe, wq, wk, wv)",
    task="One head reads one new token. keys and values, (S, D), have one row for each of the S tokens before it. x, (C,), is "
    "the new token, embedded at the next position (wte, wpe). Its query, key and value are wq @ x, wk @ x and wv @ x. Compare "
    "the query with all S + 1 keys, and return the mean of the S + 1 values, (D,), weighted with the softmax of the scores. "
    "You may call softmax. Do not write into keys or values.",
    reference=cached_step,
    variant=cached_step_variant,
    given=("softmax",),
    also_right=(cached_step_loop,),
    cases=cached_step_cases,
    mistakes=(
        mistake(
            "position_0",
            {"position": "0"},
            "the new token gets position 0, as if the text began with it.",
            "The cache holds S tokens, at the positions 0 to S - 1. What is the position of the next one?",
        ),
        mistake(
            "position_off_by_one",
            ({"position": "before"}, {"position": "after"}),
            "the position of the new token is off by one.",
            "If the cache holds 3 tokens, their positions are 0, 1, 2. Which row of wpe is next?",
        ),
        mistake(
            "position_by_id",
            {"position": "id"},
            "the position is looked up by the id of the token.",
            "What does the cache know about the place of the new token?",
        ),
        mistake(
            "position_by_width",
            {"position": "width"},
            "the position is the length of one row of the cache, and not the number of its rows.",
            "`len(keys)` and `len(keys[0])`: which of the two counts tokens?",
        ),
        mistake(
            "last_position",
            {"position": "end"},
            "the new token gets the last position that the model knows.",
            "If the cache holds 3 tokens, which row of wpe comes next?",
        ),
        mistake(
            "no_position",
            {"position": "none"},
            "the position embedding is missing.",
            "Which of the two tables, wte and wpe, do you not use?",
        ),
        mistake(
            "slot_overwritten",
            ({"slot": "last"}, {"slot": "first"}, {"slot": "written"}),
            "the new key and value are written over those of an older token, which is lost.",
            "How many keys are there before this step, and how many after it?",
        ),
        mistake(
            "in_different_slots",
            ({"slot": "key_in_front"}, {"slot": "value_in_front"}),
            "the new key and the new value are put at different places, so weights meet the values of other tokens.",
            "Row s of the keys and row s of the values must belong to one token. Where do you put the new rows?",
        ),
        mistake(
            "new_keys_only",
            {"seen": "new"},
            "the new token sees only its own key, so the cache has no effect.",
            "With one key the only weight is 1. Whose keys are missing?",
        ),
        mistake(
            "new_key_missing",
            {"seen": "old"},
            "the new token does not see itself: its own key and value are not in the rows that it looks at.",
            "How many keys should the query meet, S or S + 1?",
        ),
        mistake(
            "scaled",
            {"scale": True},
            "the scores are divided by sqrt(D). Most models do divide; GPT-Neo does not.",
            "Where do you change the size of the scores?",
        ),
        mistake(
            "query_exchanged",
            ({"asks": "k"}, {"asks": "v"}, {"asks": "x"}, {"compared": "values"}),
            "the keys are not compared with the query of the new token.",
            "Query, key and value: which of the three says what the new token is looking for?",
        ),
        mistake(
            "value_exchanged",
            ({"hands_over": "k"}, {"hands_over": "q"}),
            "the new token's value is made with the wrong weight.",
            "Which of the three weights makes the value?",
        ),
        mistake(
            "token_in_the_cache",
            ({"keyed": "x", "hands_over": "x"}, {"keyed": "x"}, {"hands_over": "x"}),
            "the embedded token x itself is appended to the keys or the values.",
            "The cache holds keys and values. Which weights make the key and the value of the new token from x?",
        ),
        mistake(
            "keys_averaged",
            {"give": "mean_key"},
            "the result is the weighted mean of the keys and not of the values.",
            "Keys decide how much a token counts. Which rows does it hand over?",
        ),
        mistake(
            "no_softmax",
            ({"normalize": False}, {"normalize": "by the sum"}),
            "the scores are used as weights: the softmax is missing.",
            "Weights are positive and add up to 1. Which function makes them?",
        ),
        mistake(
            "added_to_the_token",
            {"give": "added to x"},
            "the result is added to x. The block does that, after the output projection; one head does not.",
            "Which mean does the task ask for, and does x belong to it?",
        ),
        mistake(
            "untransposed",
            {"turned": True},
            "the weights are used the wrong way round: x @ w and not w @ x.",
            "wq has the shape (D, C), and x has C numbers. Which product has D numbers?",
        ),
        mistake(
            "other_rows",
            ({"give": "weights"}, {"give": "keys"}, {"give": "x"}),
            "the last step is missing: the result is the weights, the keys or the embedded token.",
            "Which line computes the mean of the values with these weights?",
        ),
    ),
    blanks=(
        "x = wte[id] + wpe[...]\n"
        "keys = np.concatenate([keys, [...]])  # (S + 1, D)\n"
        "values = np.concatenate([values, [...]])\n"
        "weights = softmax(...)  # (S + 1,)\n"
        "return weights @ ..."
    ),
    hints=(
        "Only the new token is computed. Its position is the number of tokens that are in the cache already. Append its key "
        "and value to the old ones, then do what notebook 05 does for one query.",
        "x is (C,), its query, key and value are (D,). With the new row, keys and values are (S + 1, D). keys @ query is "
        "(S + 1,), one score for each token.",
        "x = wte[id] + wpe[...]  # how many tokens are in the cache already?\n"
        "keys = np.concatenate([keys, [wk @ x]])  # (S + 1, D)\n"
        "values = np.concatenate([values, [...]])\n"
        "weights = softmax(keys @ ...)  # (S + 1,)\n"
        "return weights @ ...",
    ),
)


# beam_step


def beam_step(texts, scores, probabilities, end):
    """Return the B best candidates, B the number of texts: finished texts as they are, the others with one more token."""
    candidates = []
    for text, score, row in zip(texts, scores, probabilities):
        if text[-1] == end:
            candidates.append((score, text))
        else:
            candidates += [(score + math.log(p), [*text, id]) for id, p in enumerate(row)]
    best = sorted(candidates, key=lambda candidate: -candidate[0])
    return [text for _, text in best[: len(texts)]]


def beam_step_arrays(texts, scores, probabilities, end):
    """Sort the scores of one table; a finished text has one candidate, in the column of the end token."""
    finished = np.array([text[-1] == end for text in texts])
    totals = np.array(scores)[:, None] + np.log(probabilities)
    totals[finished] = -np.inf
    totals[finished, end] = np.array(scores)[finished]
    best = np.argsort(-totals, axis=None)[: len(texts)]
    places = [divmod(int(place), totals.shape[1]) for place in best]
    return [texts[i] if finished[i] else [*texts[i], id] for i, id in places]


SCORES = {
    "log": lambda score, p: score + math.log(p),
    "log2": lambda score, p: score + math.log2(p),
    "log10": lambda score, p: score + math.log10(p),
    "probability": lambda score, p: score + p,
    "product": lambda score, p: score * p,
    "exponent": lambda score, p: math.exp(score) + p,
    "product_of_logs": lambda score, p: score * math.log(p),
    "new": lambda score, p: math.log(p),
    "minus": lambda score, p: score - math.log(p),
}


def picked(groups, pick, number, ranked):
    """Return candidates, of which the first `number` stay. groups: those of each text; ranked: sorts, the best first."""
    if pick in ("each", "each_unsorted"):
        best = [ranked(group)[0] for group in groups]
        return ranked(best) if pick == "each" else best
    if pick in ("all", "two"):
        return ranked(found for group in groups for found in (group if pick == "all" else ranked(group)[:2]))
    ended = [group[0] for group in groups if len(group) == 1]
    others = ranked(found for group in groups if len(group) > 1 for found in group)
    kept = ((ranked(ended) if pick == "ended_best_first" else ended) + others)[:number]
    return ranked(kept) if pick == "ended_sorted" else kept


def beam_step_variant(
    texts,
    scores,
    probabilities,
    end,
    add="log",
    pick="all",
    finished="stay",
    rank="total",
    order="falling",
    number="beams",
    parent="own",
    tokens="all",
    give="texts",
):
    """beam_step with a switch for each mistake. A candidate is (score, text, place of the text that it continues)."""
    B, groups = len(texts), []
    for place, (text, score, row) in enumerate(zip(texts, scores, probabilities)):
        ended = end in text if finished == "anywhere" else text[-1] == end
        if ended and finished in ("stay", "anywhere", "end_again"):
            groups.append([(score, [*text, end] if finished == "end_again" else text, place)])
        elif not (ended and finished == "dropped"):
            old = [] if parent == "forgotten" else text
            ids = range(len(row) if tokens == "all" else B)
            groups.append([(SCORES[add](score, float(row[id])), [*old, id], place) for id in ids])

    def ranked(candidates):
        sign = 1 if order == "rising" else -1
        return sorted(candidates, key=lambda found: sign * found[0] / (len(found[1]) if rank == "mean" else 1))

    chosen = picked(groups, pick, B, ranked)[: {"beams": B, "all": None, "one": 1}[number]]
    chosen = chosen[::-1] if order == "falling_turned" else chosen
    if parent == "place":
        chosen = [(score, [*text, *new[len(texts[i]) :]], i) for text, (score, new, i) in zip(texts, chosen)]
    return {
        "texts": lambda: [text for _, text, _ in chosen],
        "tokens": lambda: [text[-1] for _, text, _ in chosen],
        "pairs": lambda: [(score, text) for score, text, _ in chosen],
        "both": lambda: ([text for _, text, _ in chosen], [score for score, _, _ in chosen]),
        "best": lambda: chosen[0][1],
    }[give]()


def totals_differ(texts, scores, probabilities, end):
    """Return whether the candidates differ by more than rounding, with the right scores and with those of mistakes."""
    wrong = [(row, score + row, score * row) for score, row in zip(scores, probabilities)]
    totals = []
    for text, score, row in zip(texts, scores, probabilities):
        totals += [score] if text[-1] == end else [score + math.log(p) for p in row]
    return all(np.diff(np.sort(np.ravel(numbers))).min(initial=1) > 0.0005 for numbers in [totals, *zip(*wrong)])


def beam_step_cases():
    """Return one to four beams over two to six tokens, B = V among them; finished texts, and prompts that begin with `end`."""
    rng = np.random.default_rng(1111)
    cases = [
        Case(([[2]], [-0.5], array([[0.1, 0.6, 0.3]]), 0)),
        Case(([[1], [2]], [-0.2, -1.8], array([[0.05, 0.5, 0.45], [0.1, 0.2, 0.7]]), 0)),
        Case(([[1], [2]], [-0.7, -0.9], array([[0.3, 0.3, 0.4], [0.02, 0.95, 0.03]]), 0)),
        Case(([[2, 0], [2, 1]], [-1.1, -0.6], array([[0.25, 0.7, 0.05], [0.1, 0.55, 0.35]]), 0)),
        Case(([[0, 2], [0, 1]], [-0.5, -0.9], array([[0.1, 0.6, 0.3], [0.2, 0.1, 0.7]]), 0)),
    ]
    sizes = [(2, 2, 2), (2, 3, 3), (3, 3, 2), (3, 4, 3), (2, 5, 4), (4, 4, 2), (4, 3, 3), (3, 6, 2)] * 2
    for number, (B, V, T) in enumerate(sizes):
        end = int(rng.integers(0, V))
        while True:
            parts = rng.integers(1, 20, (B, V)) ** 2
            probabilities = (parts / parts.sum(axis=1, keepdims=True)).astype(np.float32)
            scores = np.round(np.sort(-4 * rng.random(B))[::-1], 1).tolist()
            words = [id for id in range(V) if id != end]
            texts = [rng.choice(words, T).tolist() for _ in range(B)]
            for i in [(), (0,), (B - 1,)][number % 3]:
                texts[i] = [*texts[i][: T - number % 2], end]
            begins = {tuple(text[: min(map(len, texts))]) for text in texts}
            if (len(begins) == B or V == 2) and totals_differ(texts, scores, probabilities, end):
                break
        cases.append(Case((texts, scores, probabilities, end)))
    done = [[1, 0], [2, 1, 0]], [-1.5, -0.5], array([[0.4, 0.5, 0.1], [0.2, 0.1, 0.7]]), 0
    return [*cases, Case(done, extreme=True)]


BEAM_STEP = Exercise(
    name="beam_step",
    notebook="11",
    minutes=15,
    signature="beam_step(texts, scores, probabilities, end)",
    task="One step of beam search. texts: B lists of ids, the beams. scores: the log-probability of each. Row b of "
    "probabilities, (B, V): the probability of each token after text b. Candidates: a text that ends with the id `end`, as "
    "it is, with its score; any other text with each of the V tokens behind it. Return the B most likely candidates of all, "
    "the best first: only the texts, a list of lists.",
    reference=beam_step,
    variant=beam_step_variant,
    also_right=(beam_step_arrays,),
    cases=beam_step_cases,
    mistakes=(
        mistake(
            "probabilities_added",
            ({"add": "probability"}, {"add": "exponent"}),
            "you add probabilities. The probabilities of successive tokens are multiplied, so their logarithms are added.",
            "The score is a sum of log-probabilities. What must a new token add to it?",
        ),
        mistake(
            "multiplied",
            ({"add": "product"}, {"add": "product_of_logs"}),
            "you multiply the score. It is a logarithm already, and logarithms are added.",
            "log(a b) = log a + log b. What does this mean for the score of a longer text?",
        ),
        mistake(
            "best_of_each",
            ({"pick": "each"}, {"pick": "each_unsorted"}),
            "every text keeps exactly one continuation. All candidates should compete: a good text may have two successors.",
            "How many candidates are there in all, and among which of them do you look for the best B?",
        ),
        mistake(
            "finished_go_on",
            ({"finished": "go_on"}, {"finished": "end_again"}),
            "texts that have ended are continued.",
            "What is the last id of a finished text, and what should happen to such a text?",
        ),
        mistake(
            "end_anywhere",
            {"finished": "anywhere"},
            "a text counts as ended if the end token is anywhere in it. A prompt may begin with this token.",
            "Which id of a text says that it has ended?",
        ),
        mistake(
            "finished_always_kept",
            ({"pick": "ended"}, {"pick": "ended_best_first"}, {"pick": "ended_sorted"}),
            "texts that have ended are always kept. They should compete with the others by their scores.",
            "An ended text is less likely than B of the others. Should it come back?",
        ),
        mistake(
            "few_candidates",
            {"pick": "two"},
            "only the two best tokens of each text are candidates. With more beams a third one may win.",
            "How many of the B winners may come from one text?",
        ),
        mistake(
            "rows_for_tokens",
            {"tokens": "texts"},
            "the loop over the tokens has as many rounds as there are texts: `len(probabilities)` is B.",
            "Row b has V numbers. Which length is V?",
        ),
        mistake(
            "text_forgotten",
            {"parent": "forgotten"},
            "a continued text has only its new token: the tokens before it are lost.",
            "[2, 5] is continued by the token 7. What is the new text?",
        ),
        mistake(
            "finished_dropped",
            {"finished": "dropped"},
            "texts that have ended are lost.",
            "A finished text is a candidate too. What is its score?",
        ),
        mistake(
            "score_forgotten",
            {"add": "new"},
            "only the new token counts: the score of the text so far is forgotten.",
            "A bad text with a likely next token: should it win?",
        ),
        mistake(
            "other_logarithm",
            ({"add": "log2"}, {"add": "log10"}),
            "the logarithm has another base than that of the scores.",
            "Which function of NumPy is the natural logarithm?",
        ),
        mistake(
            "sign",
            {"add": "minus"},
            "the log-probability is subtracted, so unlikely tokens win.",
            "A log-probability is negative or 0. Should a longer text have a higher or a lower score?",
        ),
        mistake(
            "worst_kept",
            {"order": "rising"},
            "the least likely texts are kept.",
            "In which direction does `sorted` sort?",
        ),
        mistake(
            "worst_first",
            {"order": "falling_turned"},
            "the right texts are kept, and the best one comes last.",
            "In which order should the texts come back?",
        ),
        mistake(
            "wrong_parent",
            {"parent": "place"},
            "the winning tokens are put behind the wrong texts: winner number i does not always come from text i.",
            "How do you remember which text a candidate continues?",
        ),
        mistake(
            "divided_by_length",
            {"rank": "mean"},
            "the scores are divided by the lengths. Some programs do this because short texts win too often; this task does "
            "not.",
            "Which number does the task compare?",
        ),
        mistake(
            "wrong_number",
            ({"number": "all"}, {"number": "one"}, {"give": "best"}),
            "too many or too few texts come back.",
            "How many texts come in, and how many should come back?",
        ),
        mistake(
            "not_the_texts",
            ({"give": "tokens"}, {"give": "pairs"}, {"give": "both"}),
            "the result is not a list of texts (only their last tokens, or texts with their scores).",
            "What is one item of the list that should come back?",
        ),
    ),
    hints=(
        "Make one list of all candidates, each with its score: a finished text as it is, any other text with each token that "
        "may follow. Then sort the list and keep the best.",
        "B texts that have not ended give B times V candidates. The score of a candidate is the old score plus the logarithm "
        "of the new token's probability. `sorted(candidates, key=...)` puts the lowest key first.",
        "candidates = []\n"
        "for text, score, row in zip(texts, scores, probabilities):\n"
        "    if ...:  # it has ended\n"
        "        candidates.append((score, text))\n"
        "    else:\n"
        "        candidates += [(..., [*text, id]) for id, p in enumerate(row)]\n"
        "best = sorted(candidates, key=lambda candidate: ...)\n"
        "return [text for _, text in best[: ...]]",
    ),
)


# accept_drafts


def accept_drafts(drafts, logits):
    """Return the tokens that one run writes: drafts as long as the model agrees, then a token of its own."""
    written = []
    for draft, row in zip(drafts, logits):
        written.append(int(row.argmax()))
        if written[-1] != draft:
            return written
    return [*written, int(logits[-1].argmax())]


def accept_drafts_at_once(drafts, logits):
    """Count the drafts before the first one that differs from the model's choice."""
    best = logits.argmax(axis=-1)
    agrees = np.append(best[:-1] == np.array(drafts, int), False)
    return best[: int(agrees.argmin()) + 1].tolist()


def accept_drafts_variant(
    drafts,
    logits,
    accept="same",
    miss="correction",
    after="stop",
    end="bonus",
    row=0,
    own_row=True,
    largest=True,
    give="tokens",
):
    """accept_drafts with a switch for each mistake."""
    best = {
        True: lambda: [int(row.argmax()) for row in logits],
        False: lambda: [int(row.argmin()) for row in logits],
        "columns": lambda: logits.argmax(axis=0).tolist(),
        "table": lambda: [int(logits.argmax())] * len(logits),
    }[largest]()
    written, accepted, missed = [], 0, False
    if accept == "count":
        accepted = sum(draft == own for draft, own in zip(drafts, best))
        return [*drafts[:accepted], best[accepted]]
    if accept == "equal":
        written = [draft for draft, own in zip(drafts, best) if draft == own]
        return [*written, best[len(written)]]
    for i, draft in enumerate(drafts):
        seen = best[(i + row) % len(best)] if row else best[i]
        own = seen if own_row else best[i]
        likely = {"same": draft == seen, "all": True, "none": False, "positive": logits[i][draft] > 0}[accept]
        if likely:
            written.append(draft)
            accepted += 1
            continue
        missed = True
        written += {
            "correction": [own],
            "last_row": [best[-1]],
            "next_row": best[i + 1 : i + 2],
            "draft": [draft],
            "draft_and_own": [draft, own],
            "draft_and_last": [draft, best[-1]],
            "nothing": [],
        }[miss]
        if after == "stop":
            break
    if end == "error" and not missed:
        raise IndexError("no next draft")
    if end == "bonus" and (after == "go_on" or not missed):
        written.append(best[len(drafts)] if largest == "columns" else best[-1])
    once_more = end == "row of the last draft" or (end == "last row of the loop" and drafts)
    if once_more and not missed:
        written.append(best[len(drafts) - 1])
    if end == "always" or (end == "last_column" and not missed):
        written.append(best[-1])
    return {"tokens": lambda: written, "accepted": lambda: accepted, "number": lambda: len(written)}[give]()


def accept_drafts_cases():
    """Return drafts of which none, some or all are right, with right ones after a wrong one; K + 1 = V among the sizes."""
    rng = np.random.default_rng(11111)
    cases = [
        Case(([1], array([[0, 2, 1], [3, 1, 2]]))),
        Case(([2], array([[0, 2, 1], [3, 1, 2]]))),
        Case(([1, 0], array([[0, 2, 1], [1, 3, 2], [0, 1, 4]]))),
        Case(([0, 2], array([[0, 2, 1], [1, 0, 3], [5, 1, 4]]))),
        Case(([1, 2], array([[0, 2, 1], [1, 0, 3], [5, 1, 4]]))),
    ]
    for K, V in [(2, 3), (3, 4), (2, 5), (4, 3), (3, 6), (5, 4), (4, 5), (6, 7)] * 3:
        logits = np.stack([rng.permutation(V) for _ in range(K + 1)]).astype(np.float32) - V // 2
        drafts = logits[:-1].argmax(axis=-1)
        for place in rng.choice(K, int(rng.integers(0, 3)), replace=False):
            drafts[place] = (drafts[place] + rng.integers(1, V)) % V
        cases.append(Case((drafts.tolist(), logits)))
    return [*cases, Case(([], array([[1, 4, 2]])), extreme=True)]


ACCEPT_DRAFTS = Exercise(
    name="accept_drafts",
    notebook="11",
    minutes=10,
    signature="accept_drafts(drafts, logits)",
    task="Return the tokens that one run of the model writes, a list of ids. drafts: K guessed tokens. logits, (K + 1, V): row "
    "i says what follows the text and the first i drafts. A draft is accepted if it is the likeliest token of its row. At the "
    "first draft that is not, write the likeliest token of its row and stop. If all K are accepted, also write the "
    "likeliest token of the last row.",
    reference=accept_drafts,
    variant=accept_drafts_variant,
    also_right=(accept_drafts_at_once,),
    cases=accept_drafts_cases,
    mistakes=(
        mistake(
            "all_accepted",
            ({"accept": "all"}, {"accept": "all", "end": "nothing"}),
            "all drafts are accepted, whatever the model says.",
            "Which token would the model have written in the place of a draft? Where do you compare?",
        ),
        mistake(
            "correction_forgotten",
            ({"miss": "nothing"}, {"miss": "nothing", "end": "nothing"}),
            "at a wrong draft nothing is written, though the model has already said which token belongs there.",
            "If the first draft is wrong, how many tokens should this run write?",
        ),
        mistake(
            "goes_on_after_a_miss",
            (
                {"after": "go_on"},
                {"after": "go_on", "miss": "nothing"},
                {"after": "go_on", "end": "nothing"},
                {"after": "go_on", "miss": "nothing", "end": "nothing"},
                {"accept": "count"},
                {"accept": "equal"},
            ),
            "you continue after a wrong draft. The later rows have read this draft, so they belong to another text.",
            "Row i has read the first i drafts. What is it worth if one of them is wrong?",
        ),
        mistake(
            "bonus_forgotten",
            {"end": "nothing"},
            "after K accepted drafts the token of the last row is missing.",
            "There is one row more than there are drafts. What does it say?",
        ),
        mistake(
            "bonus_from_last_draft",
            ({"end": "row of the last draft"}, {"end": "last row of the loop"}),
            "after K accepted drafts the last draft is written twice: its row is used once more, and not the row after it.",
            "There are K drafts and K + 1 rows. Which row has read all drafts?",
        ),
        mistake(
            "bonus_after_a_miss",
            {"end": "always"},
            "the token of the last row is written although a draft was wrong. That row has read the wrong draft.",
            "After a wrong draft and the correction, what more does the run know about the right text?",
        ),
        mistake(
            "wrong_draft_kept",
            ({"miss": "draft"}, {"miss": "draft_and_own"}, {"miss": "draft_and_last"}),
            "the wrong draft is in the text.",
            "What should be in the place of a draft that is not accepted?",
        ),
        mistake(
            "correction_from_last_row",
            ({"miss": "last_row"}, {"miss": "next_row"}, {"miss": "next_row", "end": "error"}),
            "the token in the place of the wrong draft comes from a later row, which has read the wrong draft.",
            "Which row has read everything before the wrong draft and nothing more?",
        ),
        mistake(
            "wrong_row",
            ({"row": 1}, {"row": -1}, {"row": 1, "own_row": False}, {"row": -1, "own_row": False}),
            "each draft is compared with a neighbouring row.",
            "Row 0 has read no draft. Which draft does it predict?",
        ),
        mistake(
            "one_token",
            {"accept": "none"},
            "you write one token only, even if drafts are right.",
            "What do drafts save if none of them is ever accepted?",
        ),
        mistake(
            "least_likely",
            {"largest": False},
            "you take the least likely token of each row.",
            "Does a likely token have a high or a low logit?",
        ),
        mistake(
            "no_bound",
            {"end": "error"},
            "the loop does not stop after the last draft: if all are accepted, it looks for one more.",
            "There are K drafts and K + 1 rows. How does your loop end if every draft is accepted?",
        ),
        mistake(
            "not_by_rows",
            ({"largest": "columns"}, {"largest": "columns", "end": "last_column"}, {"largest": "table"}),
            "argmax looks along the wrong axis or at the whole table, and not at one row at a time.",
            "Row i predicts draft i. Which numbers must argmax compare?",
        ),
        mistake(
            "positive_accepted",
            {"accept": "positive"},
            "a draft is accepted if its logit is above 0. Another token may have a higher one.",
            "Which token would the model write here by itself?",
        ),
        mistake(
            "number_returned",
            ({"give": "accepted"}, {"give": "number"}),
            "the result is a number, and a list of tokens was asked for.",
            "Which tokens does this run write?",
        ),
    ),
    hints=(
        "Go through drafts and rows together, and write the model's own token: it is right whether the draft is equal to it or "
        "not. Stop at the first difference.",
        "logits[i].argmax() is the model's token in the place of drafts[i]. The result has 1 to K + 1 ids.",
        "written = []\n"
        "for draft, row in zip(drafts, logits):\n"
        "    written.append(...)  # the model's own token\n"
        "    if ...:\n"
        "        return written\n"
        "return [*written, ...]  # the last row's token",
    ),
)

EXERCISES = (CACHED_STEP, BEAM_STEP, ACCEPT_DRAFTS)
