"""The sentences of the page: their numbers against the model, and what they say when there is nothing to say."""

import re

import numpy as np
import pytest
from explain_helpers import hostile_ids, hostile_model
from helpers import random_model

from neo_np.explain import explain
from neo_np.explain.choices import column_names
from neo_np.explain.page import read_asset
from neo_np.explain.rules import column_rules
from neo_np.explain.sentences import (
    candidate_names,
    embedding_lines,
    largest,
    lens_line,
    lines_here,
    page_sentences,
    raised_line,
    rules_lines,
    runs,
    sources_line,
    strongest_head,
    token_line,
)
from neo_np.explain.wording import WORDS, fixed, percent, signed, station_names, words
from neo_np.generate.logits_processors import make_logits_processors
from neo_np.generate.options import Options
from neo_np.gpt_neo.loss import log_softmax


@pytest.fixture(scope="module")
def run(tales):
    return explain(tales, "Once upon a time there was a", max_new_tokens=14, eos_token_id=[])


@pytest.fixture(scope="module")
def sentences(run):
    return page_sentences(run.data, run.opening)


def spoken(line):
    """Return a line as the page without JavaScript shows it."""
    return "".join(part if isinstance(part, str) else "layer {} head {}".format(*part) for part in line)


def heads_and_numbers(text):
    """Return {(layer, head): number} of a text such as "layer 1 head 2 (+0.5)"; percentages too."""
    found = re.findall(r"layer (\d+) head (\d+) \(([\u2212+]?)([\d.]+(?:e-?\d+)?)", text)
    return {(int(layer), int(head)): float(x) * (-1 if sign == "\u2212" else 1) for layer, head, sign, x in found}


def log_probability_without(model, ids, layer, head, position, token):
    """Return the log-probability of a token after a run in which one head's output is 0: one whole run, no batch."""

    def without(name, array):
        if name == f"h.{layer}.attn.z":
            array = array.copy()
            array[:, head] = 0
            return array

    return log_softmax(model.logits(ids, hook=without))[position, token]


@pytest.mark.parametrize("position", [0, 6, 11, 20])
def test_probability_and_rank_are_those_of_the_model(run, sentences, tales, position):
    logits = tales.logits(run.data["ids"])[position].astype(float)
    p = np.exp(logits) / np.exp(logits).sum()
    token = run.data["ids"][position + 1] if position + 1 < len(p) and position < 20 else p.argmax()
    found = re.fullmatch(
        r"The model gave “(.+)” a probability of (.+), rank (\d+) in its vocabulary of (\d+)\. (.+)",
        spoken(sentences["here"][position][0]),
    )
    assert found[1] == run.data["texts"][int(token)]
    assert float(found[2].removesuffix(" %")) == pytest.approx(100 * p[token], rel=6e-3)
    assert int(found[3]) == 1 + (p > p[token]).sum() and int(found[4]) == len(p)
    if found[3] == "1":
        assert found[5] == "It was the likeliest token."
    else:
        assert f"“{run.data['texts'][int(p.argmax())]}”" in found[5]
        assert float(found[5].split("with ")[1].split(" %")[0]) == pytest.approx(100 * p.max(), rel=6e-3)


@pytest.mark.parametrize("position", [6, 15])
def test_heads_that_mattered_are_those_of_whole_reruns(run, sentences, tales, position):
    ids, token = run.data["ids"], run.data["ids"][position + 1]
    before = log_softmax(tales.logits(ids))[position, token]
    config = tales.config
    changes = {
        (layer, head): log_probability_without(tales, ids, layer, head, position, token) - before
        for layer in range(config.num_layers)
        for head in range(config.num_heads)
    }
    [line] = [spoken(line) for line in sentences["here"][position] if spoken(line).startswith("Which heads mattered?")]
    found = heads_and_numbers(line)
    worst = sorted(changes, key=changes.get)[:3]
    assert list(found) == [head for head in worst if changes[head] < 0] and found
    shown = re.findall(r"without it ([\d.]+) % → ([\d.]+) %", line)
    assert len(shown) == len(found)
    for (head, number), (p, without) in zip(found.items(), shown):
        assert number == pytest.approx(changes[head], abs=6e-4)
        assert float(p) == pytest.approx(100 * np.exp(before), rel=6e-3)
        assert float(without) == pytest.approx(100 * np.exp(before + changes[head]), rel=6e-3)


def test_page_opens_on_the_head_that_helped_most_and_says_so(run, sentences, tales):
    position, head = run.opening["position"], (run.opening["layer"], run.opening["head"])
    changes = run.data["ablation.log_prob"][:, :, position]
    assert changes[head] == changes.min()
    opened = spoken(sentences["whole"][-1])
    assert opened.startswith(
        f"The page opened on layer {head[0]} head {head[1]}, at position {position}, because of all heads it helped"
    )
    before, after = re.search(
        rf"the log-probability changes by {signed(changes.min())} \(([\d.]+) % → ([\d.]+) %\)\.$", opened
    ).groups()
    token = run.data["ids"][position + 1]
    assert float(before) == pytest.approx(100 * np.exp(log_softmax(tales.logits(run.data["ids"]))[position, token]), rel=6e-3)
    without = log_probability_without(tales, run.data["ids"], *head, position, token)
    assert float(after) == pytest.approx(100 * np.exp(without), rel=6e-3)
    without = explain(tales, "Once upon a time there was a", max_new_tokens=3, ablate=False)
    position = without.opening["position"]
    added = without.data["source.chosen"][:, :, position].sum(axis=-1)
    assert added[without.opening["layer"], without.opening["head"]] == pytest.approx(added.max())
    assert "wrote most directly" in spoken(page_sentences(without.data, without.opening)["whole"][-1])
    asked = without.opening | {"layer": 0, "head": int(added[0].argmin())}
    assert "because “open” asked for it" in spoken(page_sentences(without.data, asked)["whole"][-1])


def test_direct_heads_and_sources_are_split_by_sign_at_every_position(run, sentences, tales):
    data = run.data
    for position, lines in enumerate(sentences["here"]):
        by_head = data["source.chosen"][:, :, position].sum(axis=-1)
        [line] = [spoken(line) for line in lines if spoken(line).startswith("Heads that wrote directly")]
        for_it, against = (heads_and_numbers(part) for part in line.split("Directly against it"))
        assert all(x > 0 for x in for_it.values()) and all(x < 0 for x in against.values())
        assert max(for_it.values(), default=0) == pytest.approx(max(0, by_head.max()), abs=6e-4)
        assert min(against.values(), default=0) == pytest.approx(min(0, by_head.min()), abs=6e-4)

        sums = [
            sum(data["source.chosen"][layer, head, position, key] for layer, head in np.ndindex(by_head.shape))
            for key in range(position + 1)
        ]
        [line] = [spoken(line) for line in lines if spoken(line).startswith("Which tokens mattered")]
        directly, all_paths = line.split("This is only what the heads wrote directly")
        gradient = data["gradient"][position, : position + 1]
        for part, numbers in ((directly, sums), (all_paths, gradient)):
            for side, sign in zip(part.split("most against: "), (1, -1)):
                found = re.findall(r"(\d+) “[^”]*” \(([\u2212+])([\d.e-]+)\)", side)
                keys = [key for key in range(position + 1) if sign * numbers[key] > 0]
                assert [int(key) for key, _, _ in found] == sorted(keys, key=lambda key: -sign * numbers[key])[:3]
                assert found or "none" in side
                for key, shown, size in found:
                    assert (shown == "+") == (sign > 0)
                    assert float(size) == pytest.approx(abs(numbers[int(key)]), abs=6e-4)
        heads, m = re.match(r" \((.+) of m = (.+)\)\. Counting all paths \(5b\)", all_paths).groups()
        logits = tales.logits(data["ids"])[position].astype(float)
        centered = logits[data["candidates"][position, 0]] - logits.mean()
        assert float(heads.replace("\u2212", "-")) == pytest.approx(sum(sums), abs=6e-4)
        assert float(m.replace("\u2212", "-")) == pytest.approx(centered, abs=2e-3)


def test_tokens_line_says_that_gradients_were_not_computed():
    data = explain(random_model(std=0.3), [3, 1, 4], "").data
    data["gradient.positions"] = np.array([2])
    lines = [
        spoken(sources_line(data, data["source.chosen"].sum(axis=(0, 1))[position, : position + 1], position))
        for position in (1, 2)
    ]
    assert lines[0].endswith("Panel 5b, which counts all paths, was not computed here.")
    assert "Counting all paths (5b), most for: " in lines[1]


def test_lens_line_is_about_the_token_that_follows(run, tales):
    """Where it leads is read from the text of the line and compared with the last step of the model, applied early."""
    last = tales.tokenizer.encode("Once upon a time")[-1]
    unlikely = explain(tales, "Once upon a time", continuation=[last, 999, 77]).data  # the first stations repeat a token
    assert lens_kinds(tales, run.data) | lens_kinds(tales, unlikely) == {"some", "never"}


def lens_kinds(tales, data):
    """Check the line of every position, and return the kinds of lines: the token leads at some stations, or never."""
    ids, seen = data["ids"], {}
    tales.logits(ids, hook=lambda name, array: seen.update({name: array}))
    layers = [name for layer in range(tales.config.num_layers) for name in (f"h.{layer}.resid_mid", f"h.{layer}")]
    params, tops = tales.params, []
    for name in ["embed", *layers]:
        x = seen[name].astype(float).reshape(len(ids), -1)
        y = (x - x.mean(-1, keepdims=True)) / np.sqrt(x.var(-1, keepdims=True) + tales.config.layer_norm_epsilon)
        tops.append(((y * params.ln_f.weight + params.ln_f.bias) @ params.wte.weight.T).argmax(-1))
    names, kinds = station_names(data), set()
    for position in range(len(ids)):
        line = spoken(lens_line(data, position))
        top, token = [int(ids[position]) for ids in tops], int(data["candidates"][position, 0])
        first, second = re.fullmatch(
            r"By the logit lens, (“.+?” is .+?) \(panel 3\)\.(?: The final favourite, (.+)\.)?", line
        ).groups()
        assert first.startswith(f"“{data['texts'][token]}” is ")
        assert bool(second) == (top[-1] != token)
        if second:
            assert second.startswith(f"“{data['texts'][top[-1]]}”, is the likeliest token ")
            led = [names.index(name) for name in re.findall("“(.+?)”", first)[1:]]
            marked = [row for row, id in enumerate(top) if id == token]
            kinds.add("some" if marked else "never")
            assert set(led) <= set(marked) and ("never" in first) == (not marked)
            assert {row for row in marked if row - 1 not in marked or row + 1 not in marked} == set(led)
        if "in the model's answer only" in (second or first):
            start = len(top) - 1
        else:
            start = names.index(re.search("from “(.+)” on$", second or first)[1])
        assert set(top[start:]) == {top[-1]} and top[start - 1] != top[-1] * (start > 0)
    return kinds


def test_runs_are_the_first_and_the_last_index():
    assert runs(np.array([1, 0, 1, 1, 1, 0, 0, 1], bool)) == [[0], [2, 4], [7]]
    assert runs(np.array([0, 0], bool)) == [] and runs(np.array([1, 1], bool)) == [[0, 1]]


def test_raised_line_names_a_part_that_raises_the_other_token_more(run, sentences, tales):
    """The two tokens' numbers add up to their logits, so the part is found from the parts of each."""
    data, found = run.data, 0
    for position, lines in enumerate(sentences["raised"]):
        for candidate, line in enumerate(lines):
            mine, theirs = data["direct"][position, candidate], data["direct"][position, 1 - candidate]
            more = {name: y - x for name, x, y in zip(data["parts"], mine, theirs) if x > 0 and y > x}
            if not more:
                assert line == ""
                continue
            found += 1
            part, x, one, y, other = re.search(r"more: (.+) adds \+(.+) to “(.+)” but \+(.+) to “(.+)”\.$", line).groups()
            assert part == max(more, key=more.get)
            assert float(x) == pytest.approx(mine[data["parts"].index(part)], abs=6e-4)
            assert float(y) == pytest.approx(theirs[data["parts"].index(part)], abs=6e-4)
            assert [one, other] == [data["texts"][int(data["candidates"][position, i])] for i in (candidate, 1 - candidate)]
    assert found
    logits = tales.logits(data["ids"]).astype(float)
    for position, (one, other) in enumerate(data["candidates"]):
        difference = (data["direct"][position, 0] - data["direct"][position, 1]).sum()
        assert difference == pytest.approx(logits[position, one] - logits[position, other], abs=2e-3)


def test_raised_line_is_empty_if_no_part_raises_the_other_token_more():
    data = {"direct": np.array([[[1.0, -2.0], [0.5, 1.0]]]), "candidates": np.array([[0, 1]]), "parts": ["a", "b"]}
    data["texts"] = {0: "x", 1: "y"}
    assert raised_line(data, 0, 0) == ""
    assert raised_line(data, 0, 1).endswith("a adds +0.500 to “y” but +1.000 to “x”.")


def test_heads_mlps_and_the_rest_add_up_to_the_logit_minus_the_mean(run, sentences, tales):
    logits = tales.logits(run.data["ids"]).astype(float)
    for position, lines in enumerate(sentences["here"]):
        [line] = [spoken(line) for line in lines if spoken(line).startswith("Together:")]
        heads, mlps, rest, m = (
            float(size) * (-1 if sign == "\u2212" else 1)
            for sign, size in re.findall(r"(?:heads|MLPs|biases|m =) ([\u2212+])(\d+\.\d+(?:e-\d+)?)", line)
        )
        token = run.data["candidates"][position, 0]
        assert m == pytest.approx(logits[position, token] - logits[position].mean(), abs=2e-3)
        assert heads + mlps + rest == pytest.approx(m, abs=3e-3)
        most = max([(heads, "the heads"), (mlps, "the MLPs"), (rest, "the embeddings and biases")])
        assert ("The largest contribution is that of " + most[1] in line) == (most[0] > 0)


def test_token_before_is_named_for_this_position_and_on_average(run, sentences, tales):
    attention = np.stack(tales.attentions(run.data["ids"]))
    for position in (1, 6, 19):
        found = heads_and_numbers(spoken(sentences["here"][position][-1]))
        weights = attention[:, :, position, position - 1]
        assert next(iter(found)) == np.unravel_index(weights.argmax(), weights.shape)
        assert all(number == pytest.approx(100 * weights[head], rel=6e-3) for head, number in found.items())
    assert "no head can look" in spoken(sentences["here"][0][-1])
    average = np.mean([attention[:, :, q, q - 1] for q in range(2, attention.shape[2])], axis=0)
    found = heads_and_numbers(spoken(sentences["whole"][0]))
    assert next(iter(found)) == np.unravel_index(average.argmax(), average.shape)
    assert all(number == pytest.approx(100 * average[head], rel=6e-3) for head, number in found.items())


def test_window_of_one_token_has_no_head_that_looks_back():
    data = explain(random_model(std=0.3, window_size=1, attention_layers=["local"] * 2), [3, 1, 4], "").data
    assert (
        spoken(lines_here(data, data["source.chosen"].sum(axis=(0, 1)), 2)[-1])
        == "From here, no head looks at the token before."
    )


def test_values_that_push_nowhere_are_not_named():
    assert largest(np.array([-1.0, 0.0, -3.0])) == []
    assert largest(np.array([[1.0, 5.0], [0.0, 2.0]])) == [(0, 1), (1, 1), (0, 0)]


def test_rules_say_what_they_did_to_the_next_token(tales):
    run = explain(tales, "Once upon a time", max_new_tokens=6, temperature=0.7, top_k=20, top_p=0.8, eos_token_id=[])
    data = run.data
    for step, token in enumerate(data["choice.token"]):
        position = data["prompt_length"] - 1 + step
        logits = tales.logits(data["ids"][: position + 1])[-1].astype(float)
        cool = np.exp(logits / 0.7) / np.exp(logits / 0.7).sum()
        top = np.where(cool >= np.sort(cool)[-20], cool, 0) / np.sort(cool)[-20:].sum()
        order = np.argsort(-top)
        count = 1 + int((np.cumsum(top[order]) < 0.8 - 1e-7).sum())
        kept = np.isin(np.arange(len(top)), order[:count])
        final = np.where(kept, top, 0) / top[kept].sum()
        p = [np.exp(logits)[token] / np.exp(logits).sum(), cool[token], top[token], final[token]]
        *lines, drawn = page_sentences(data, run.opening)["rules"][position]
        assert len(lines) == 3 and f"{count} of 20 tokens stay" in lines[2] and f"20 of {len(top)} tokens stay" in lines[1]
        for line, before, after in zip(lines, p, p[1:]):
            found = re.search(r": ([\d.]+) % → ([\d.]+) %\.$", line)
            assert [float(found[1]), float(found[2])] == pytest.approx([100 * before, 100 * after], rel=6e-3)
        width = float(re.search(r"probability after all rules, ([\d.]+) %", drawn)[1])
        assert width == pytest.approx(100 * final[token], rel=6e-3)
        [line] = [
            spoken(line) for line in page_sentences(data, run.opening)["here"][position] if "What the rules did" in spoken(line)
        ]
        shown = re.search(
            r": ([\d.]+) %, temperature 0.7 → ([\d.]+) %, top_k 20 → ([\d.]+) %, top_p 0.8 → ([\d.]+) %", line
        ).groups()
        assert [float(x) for x in shown] == pytest.approx([100 * x for x in p], rel=6e-3)


def test_every_rule_has_a_sentence_of_its_own():
    options = Options(
        do_sample=True, temperature=1.5, top_k=9, top_p=0.5, min_p=0.1, typical_p=0.8, epsilon_cutoff=0.01, eta_cutoff=0.02,
        top_h=0.4, repetition_penalty=1.2, encoder_repetition_penalty=1.1, no_repeat_ngram_size=3, bad_words_ids=[[1]],
        encoder_no_repeat_ngram_size=2, sequence_bias={(3,): 1.0}, suppress_tokens=[4], begin_suppress_tokens=[5],
        forced_bos_token_id=6, forced_eos_token_id=7, exponential_decay_length_penalty=(5, 1.1), renormalize_logits=True,
        eos_token_id=0, logits_processor=[lambda logits, ids: logits],
    )  # fmt: skip
    processors = make_logits_processors(options, [1, 2], 7, 9, [3])
    rules, names = column_rules(processors, [3]), column_names(processors, [3])
    assert len(rules) == len(names) == len(processors) + 1 and rules[0] == ""
    for rule in rules[1:]:
        assert re.fullmatch(r"[^{}]+: [^{}]+\.", rule), rule
    assert [rule for rule in rules if "a function of your own" in rule] == ["<lambda>: a function of your own."]
    assert "above 1" in next(rule for rule in rules if rule.startswith("temperature 1.5"))
    assert "add up to 0.5" in next(rule for rule in rules if rule.startswith("top_p"))


def test_given_greedy_and_prompt_say_how_the_token_came(tales):
    given = explain(tales, "Once upon a time", " there was a zebra", ablate=False)
    rules = page_sentences(given.data, given.opening)["rules"]
    assert rules[0] == ["The next token was in the prompt, so nothing was chosen here."]
    assert rules[-1] == ["The text ends here, so nothing was chosen."]
    removed = [step for step, gone in enumerate(given.data["choice.removed"]) if gone]
    assert removed
    for step in removed:
        *lines, last = rules[given.data["prompt_length"] - 1 + step]
        assert "the rules would have removed it" in last and any("is not among them" in line for line in lines)
        [line] = rules_lines(given.data, step)
        assert line[0].count("removed") == 1 and line[0].endswith("→ removed (panel 2).")
    greedy = explain(tales, "Once", max_new_tokens=2, do_sample=False)
    *lines, last = page_sentences(greedy.data, greedy.opening)["rules"][greedy.data["prompt_length"] - 1]
    assert lines == ["No rule (logits processor) was active."] and "the likeliest after all rules" in last
    assert rules_lines(greedy.data, 0) == []


def test_sentences_of_a_hostile_run_name_its_tokens_visibly():
    model = hostile_model()
    run = explain(model, hostile_ids(model), max_new_tokens=4, eos_token_id=[])
    text = str(page_sentences(run.data, run.opening))
    assert not set("\u2028\u202e\x00\x1b") & set(text)
    assert len(page_sentences(run.data, run.opening)["here"]) == len(run.data["ids"])


def test_line_of_a_token_has_its_place_and_the_probability_that_the_model_gave_it(run, tales):
    data = run.data
    log_probs = log_softmax(tales.logits(data["ids"]))
    for position in range(1, len(data["ids"])):
        line, id = token_line(data, position), int(data["ids"][position])
        start, end = map(int, re.search(r"characters (\d+) to (\d+) of the text", line).groups())
        assert data["text"][start:end] == tales.tokenizer.decode([id]) and f", id {id}, bytes " in line
        shown, loss = re.search(r"a probability of (.*? %): a loss of (.*?) nats", line).groups()
        assert float(loss) == pytest.approx(-log_probs[position - 1, id], abs=6e-4)
        assert shown == "< 0.01 %" or float(shown[:-2]) == pytest.approx(100 * np.exp(log_probs[position - 1, id]), rel=6e-3)
        assert f"from the {'prompt' if position < data['prompt_length'] else 'generated'} text" in line
    assert "loss" not in token_line(data, 0)


def test_lines_of_an_embedding_have_its_length_and_the_nearest_tokens(run, tales):
    data, wte = run.data, tales.params.wte.weight.astype(float)
    unit = wte / np.linalg.norm(wte, axis=1, keepdims=True)
    for position in (0, len(data["ids"]) - 1):
        lengths, near = embedding_lines(data, position)
        id = int(data["ids"][position])
        found = [float(x) for x in re.findall(r"has length ([\d.]+\d)", lengths)]
        expected = [np.linalg.norm(wte[id]), np.linalg.norm(tales.params.wpe.weight[position])]
        assert found == pytest.approx(expected, abs=6e-4)
        cosines = np.delete(unit @ unit[id], id)
        assert [float(x) for x in re.findall(r"\((-?[\d.]+)\)", near)] == pytest.approx(np.sort(cosines)[:-6:-1], abs=6e-4)


def test_embedding_without_neighbours_says_none():
    model = random_model(vocab_size=1, bos_token_id=0, eos_token_id=0)
    assert embedding_lines(explain(model, [0, 0], "", ablate=False).data, 0)[1].endswith("by cosine: none.")


def test_candidates_are_named_by_what_they_are(run, tales):
    last = len(run.data["ids"]) - 1
    for position, names in (
        (0, ["the next token", "the likeliest other token"]),
        (run.data["prompt_length"] - 1, ["the chosen token", "the likeliest other token"]),
        (last, ["the likeliest next token", "the second likeliest"]),
    ):
        texts = [run.data["texts"][int(id)] for id in run.data["candidates"][position]]
        assert candidate_names(run.data, position) == [f"“{text}”, {name}" for text, name in zip(texts, names)]


def test_strongest_head_is_the_same_for_one_head_and_one_layer():
    model = random_model(std=0.3, num_heads=1, num_layers=1, attention_layers=["global"])
    assert strongest_head(explain(model, [3, 1, 4], "").data, 2) == (0, 0)


def test_shared_words_are_neither_in_the_script_nor_in_the_template():
    """Python and the script write the same tables, and each caption exists once."""
    for name, texts in WORDS.items():
        for text in [texts] if isinstance(texts, str) else texts:
            for piece in re.split(r"\{\w+\}", text):
                if len(piece.split()) >= 4:
                    assert piece.strip(" .") not in read_asset("page.js") + read_asset("page.html"), name


def test_words_are_filled_in_once():
    assert words("waterfall.sum", token="“{token}”") == "m of “{token}”"
    assert words("lens.heads", token="“a”")[3] == "rank of “a”"


@pytest.mark.parametrize(
    ("x", "shown"),
    [(0.0, "+0.000"), (-0.5, "\u22120.500"), (0.00012, "+1.20e-4"), (-12345.0, "\u22121.23e+4"), (0.0005, "+0.001")],
)
def test_numbers_are_short_and_have_a_sign(x, shown):
    assert signed(x) == shown and fixed(x).lstrip("-") == shown[1:]


@pytest.mark.parametrize(
    ("share", "shown"), [(0, "0 %"), (9.9e-5, "< 0.01 %"), (0.12345, "12.3 %"), (1.0, "100 %"), (2e-4, "0.02 %")]
)
def test_shares_are_percentages(share, shown):
    assert percent(share) == shown
