"""The page as a file: what it may do, what it holds without JavaScript, its size, its colours."""

import base64
import hashlib
import json
import re
from html import unescape
from html.parser import HTMLParser

import numpy as np
import pytest
from explain_helpers import HOSTILE, hostile_ids, hostile_model, page_data
from helpers import ROOT, random_model, word_model

from neo_np import NeoError
from neo_np.explain import explain, page, wording
from neo_np.explain.page import PANELS, THEMES, complete_opening, fill, read_asset, read_opening, to_json
from neo_np.explain.sentences import page_sentences
from neo_np.explain.tokens import visible
from neo_np.explain.wording import WORDS

SIZES = "vocab_size num_layers num_heads max_position_embeddings attention_layers window_size bos_token_id eos_token_id".split()


@pytest.fixture(scope="module")
def tales_run(tales):
    return explain(tales, "Once upon a time there was a", max_new_tokens=30)


@pytest.fixture(scope="module")
def tales_page(tales_run):
    return tales_run.html()


@pytest.fixture(scope="module")
def hostile_run():
    model = hostile_model()
    return explain(model, hostile_ids(model), max_new_tokens=6, eos_token_id=[])


class Elements(HTMLParser):
    """Collects the elements of a page, and the text outside scripts and styles."""

    def __init__(self, html):
        super().__init__()
        self.tags, self.attributes, self.text, self.inside = [], [], "", ""
        self.feed(html)

    def handle_starttag(self, tag, attributes):
        self.tags.append(tag)
        self.attributes += attributes
        self.inside = tag

    def handle_endtag(self, tag):
        self.inside = ""

    def handle_data(self, data):
        if self.inside not in ("script", "style"):
            self.text += data


def test_page_asks_for_nothing_from_elsewhere(tales_page):
    elements = Elements(tales_page)
    assert not {"link", "img", "iframe", "object", "embed", "audio", "video", "a", "form", "base"} & set(elements.tags)
    assert not [value for name, value in elements.attributes if name in ("src", "href", "srcset", "action")]
    assert not re.search(
        r"@import|url\(|https?:", re.sub(r'<script type="application/json".*?</script>', "", tales_page, flags=re.S)
    )


def test_page_policy_permits_its_own_script_only(tales_page):
    [policy] = re.findall(r'http-equiv="Content-Security-Policy" content="([^"]*)"', tales_page)
    scripts = re.findall(r"<script>(.*?)</script>", tales_page, re.S)
    digest = base64.b64encode(hashlib.sha256(scripts[0].encode()).digest()).decode()
    assert len(scripts) == 1 and f"script-src 'sha256-{digest}'" in policy
    assert policy.startswith("default-src 'none';") and "img-src data:" in policy
    assert not re.search(r"\son\w+=", tales_page.split("<script")[0]), "handlers in attributes would not run"


def test_hostile_tokens_make_no_elements(hostile_run, tales_page):
    hostile, plain = Elements(hostile_run.html()), Elements(tales_page)
    assert set(hostile.tags) <= set(plain.tags) | {"del"}
    for kind in ("script", "style", "iframe", "img"):
        assert hostile.tags.count(kind) == plain.tags.count(kind)
    for text in HOSTILE:
        assert visible(text) in hostile.text


def test_hostile_tokens_come_back_unchanged(hostile_run):
    data = page_data(hostile_run.html())
    model, decoded = hostile_model(), [bytes.fromhex(piece).decode("utf-8", "replace") for piece in data["bytes"]]
    for text in HOSTILE:
        assert text in decoded
    assert data["text"] == "".join(bytes.fromhex(piece).decode("latin-1") for piece in data["bytes"]).encode("latin-1").decode(
        "utf-8", "replace"
    )
    assert data["texts"][str(max(model.tokenizer.id_to_token) + 1)].endswith("(no text)")


def test_json_in_the_page_has_no_character_that_html_or_javascript_reads():
    text = to_json({"a": "</script><!-- &amp; \u2028\u2029 é"})
    assert not set("<>&\u2028\u2029é") & set(text)
    assert json.loads(text) == {"a": "</script><!-- &amp; \u2028\u2029 é"}


def test_fill_leaves_braces_of_the_parts_alone():
    assert fill("<{{a}}|{{b}}>", a="{{b}}", b="{{a}}{{c}}") == "<{{b}}|{{a}}{{c}}>"


def test_page_has_the_tables_without_javascript(tales_run, tales_page):
    """Tokens, loss, choices, the lens' top 1 and the strongest key of each head, all with captions and headed rows."""
    data = tales_run.data
    body = tales_page.split('<script type="application/json"')[0]
    tables = re.findall(r"<table[^>]*><caption>.*?</table>", body, re.S)
    names = [(re.findall(r'id="([\w-]+)"', found.split(">")[0]) or [None])[0] for found in tables]
    assert names == [
        "tokens-table",
        None,  # the candidates of the selected choice
        "choices-table",
        None,  # the lens at one position
        "lens-table",
        "heads-table",
        "waterfall",
        "sources",
        "gradient",
        "ablation",
    ]
    tokens, candidates, choices, here, lens, heads, waterfall, sources, gradient, ablation = tables
    for table in tables:
        assert table.count('<th scope="col">') >= 3
        assert table.count('<th scope="row">') == table.count("<tr") - 1
    assert tokens.count("<tr") == 1 + len(data["ids"])
    for position in range(1, len(data["ids"])):
        assert f"{data['loss'][position - 1]:.3f}" in tokens
    assert choices.count("<tr") == 1 + len(data["choice.token"])
    assert f"{data['choice.uniform'][3]:.4f} in [" in choices
    assert lens.count("<td>") == data["lens.top"].size
    position = data["prompt_length"] - 1
    strongest = data["attention"][1, 2, position].argmax()
    assert f'data-layer="1" data-head="2">{strongest} <span' in heads
    assert "hidden" in re.findall(r'<header id="controls"[^>]*>', body)[0]
    # One position: what the panels show first.
    for id, p in zip(data["choice.shown"][0], data["choice.probabilities"][0][0]):
        assert f'{data["texts"][int(id)]}</span></th><td class="number">{wording.percent(p)}</td>' in candidates
    assert here.count("<tr") == 1 + len(data["lens.top"])
    assert f"{wording.signed(data['direct'][position, 0].sum())}" in waterfall
    assert [found for found in re.findall(r'class="number \w+">(.*?)<', ablation)] == [
        wording.signed(x) for x in data["ablation.log_prob"][:, :, position].ravel()
    ]
    assert gradient.count("<tr") == sources.count("<tr") == 1 + position + 1
    assert wording.signed(data["gradient"][position, 2]) in gradient
    assert wording.signed(data["source.chosen"][:, :, position, 2].sum()) in sources


def test_page_has_its_sentences_and_its_text_without_javascript(tales_run, tales_page):
    text = unescape(re.sub(r"<[^>]*>", "", tales_page.split('<script type="application/json"')[0]))
    position, data = tales_run.opening["position"], tales_run.data
    found = page_sentences(data, tales_run.opening)
    assert text.count(found["where"][position]) == 8  # "In short" and panels 1 to 7
    for line in [*found["here"][position], *found["whole"], *([line] for line in found["rules"][position])]:
        for part in line:
            assert (part if isinstance(part, str) else "layer {} head {}".format(*part)) in text
    assert data["text"].replace("\n", "↵") in text


def test_waterfall_without_javascript_begins_each_bar_where_the_last_one_ended(tales_page):
    table = re.findall(r'<table id="waterfall">.*?</table>', tales_page, re.S)[0]
    bars = re.findall(r'<i( class="minus")? style="left:([\d.]+)%;width:([\d.]+)%"', table)
    at = float(bars[-1][1])  # where m begins: 0
    for minus, left, width in bars[:-1]:
        start, end = (float(left) + float(width), float(left)) if minus else (float(left), float(left) + float(width))
        assert start == pytest.approx(at, abs=0.03)
        at = end


def test_panels_are_numbered_without_a_gap(tales):
    for timings, last in ((False, 8), (True, 9)):
        html = explain(tales, "Once", max_new_tokens=2, timings=timings, ablate=False).html()
        assert f">{last}. How each number is made" in html
        assert [n for n in re.findall(r"<h2 [^>]*>(\d)\. (?!Timings)", html)] == [*"1234567", str(last)]


def test_header_says_how_the_text_was_made():
    model = word_model()

    def header(*arguments, **options):
        html = explain(model, *arguments, ablate=False, **options).html()
        return unescape(re.findall(r"<h1>.*?</h1>\s*<p>.*?<br>(.*?)</p>", html, re.S)[0])

    sampled = header("Once", max_new_tokens=2)
    assert "do_sample=True" in sampled and "temperature=0.9" in sampled and "top_k=50" in sampled and "seed=0" in sampled
    assert "top_k=0" in header("Once", max_new_tokens=2, top_k=0)
    greedy = header("Once", do_sample=False, max_new_tokens=2, repetition_penalty=1.5)
    assert "Options: max_new_tokens=2, repetition_penalty=1.5." in greedy
    assert header("Once", do_sample=False).endswith("each time.")
    given = header("Once", " upon a time")
    assert not re.search("do_sample|seed|max_new_tokens", given) and "temperature=0.9, top_k=50, top_p=0.95" in given
    only_prompt = header("Once upon", "")
    assert only_prompt.endswith("there is no continuation, so only the prompt is explained.")
    assert "The prompt was empty, so the text begins with the token <|endoftext|>." in header("", max_new_tokens=2)


def test_without_ablation_the_page_does_not_say_that_the_model_ran_again(tales):
    with_it, without = (explain(tales, "Once", max_new_tokens=2, ablate=ablate).html() for ablate in (True, False))
    assert "The model ran again once for each head" in with_it and "The model ran again" not in without
    assert "The model was not run without its heads" in without.split('<script type="application/json"')[0]


def test_every_panel_says_what_to_be_careful_about(tales_page):
    sections = re.findall(r'<section id="(\w+)".*?</section>', tales_page, re.S)
    careful = [s for s in re.split(r"(?=<section )", tales_page) if 'class="careful">Careful: ' in s]
    assert sections[:1] == ["summary"] and len(careful) == 7
    assert "ommon mistake" not in tales_page


def test_words_name_the_sizes_of_this_model(tales_page, tales):
    words_box = re.search(r'<details id="words">.*?</details>', tales_page, re.S)[0]
    assert f"vocabulary of {tales.config.vocab_size}" in words_box
    assert words_box.count(f"{tales.config.hidden_size} numbers") == 2
    for term in ("embedding", "gradient", "mixed"):
        assert f"<dt>{term}</dt>" in words_box


@pytest.mark.parametrize("name", ["tales_run", "hostile_run"])
def test_waterfall_has_every_head_of_in_short_and_compares_the_candidates(request, name):
    run = request.getfixturevalue(name)
    data, position = run.data, run.opening["position"]
    table = unescape(re.sub(r"</?span[^>]*>", "", re.findall(r'<table id="waterfall">.*?</table>', run.html(), re.S)[0]))
    named = [part for line in page_sentences(data, run.opening)["here"][position] for part in line if not isinstance(part, str)]
    assert named
    for layer, head in named:
        assert f'<th scope="row">layer {layer} head {head}</th>' in table
    one, other = (data["texts"][int(id)] for id in data["candidates"][position])
    assert f"“{one}” minus “{other}”</th>" in table
    rows = re.findall(
        r'<th scope="row">(.*?)</th><td class="number ?\w*">(.*?)</td><td>.*?</td><td class="number ?\w*">(.*?)</td>', table
    )
    sums = [0.0, 0.0]
    for name, *numbers in rows[:-1]:
        numbers = [float(x.replace("\u2212", "-")) for x in numbers]
        sums = [x + y for x, y in zip(sums, numbers)]
        if name in data["parts"]:
            mine, theirs = data["direct"][position, :, data["parts"].index(name)]
            assert numbers == pytest.approx([mine, mine - theirs], abs=6e-4)
    assert [float(x.replace("\u2212", "-")) for x in rows[-1][1:]] == pytest.approx(sums, abs=6e-4 * len(rows))


def test_every_explained_word_has_one_meaning():
    html = read_asset("page.html")
    used, meant = set(re.findall(r'<span data-word="([^"]*)"', html)), re.findall(r'<dd data-word="([^"]*)"', html)
    assert used <= set(meant) and len(meant) == len(set(meant)) and len(used) >= 10
    assert set(re.findall(r'<span data-panel="([^"]*)"', html)) <= set(PANELS)


def test_same_run_gives_the_same_bytes():
    first, second = (explain(word_model(), "Once upon a time there was a", max_new_tokens=30) for _ in range(2))
    assert first.html() == second.html()


def few_channels(model):
    """Return a random model with a model's layers, heads and tokens, which decide the size of a page, and few channels."""
    sizes = {name: getattr(model.config, name) for name in SIZES}
    return random_model(hidden_size=model.config.num_heads, std=0.3, tokenizer=model.tokenizer, **sizes)


@pytest.mark.parametrize("make", [few_channels, pytest.param(lambda model: model, marks=pytest.mark.slow, id="itself")])
def test_default_page_of_the_shipped_model_is_small(tales, make):
    run = explain(make(tales), "Once upon a time there was a", eos_token_id=[])
    assert 64 < len(run.data["ids"]) <= 96
    assert len(run.html().encode()) <= 3_000_000


@pytest.mark.parametrize("theme", THEMES)
def test_theme_is_set_on_the_page(theme):
    run = explain(word_model(), "Once", max_new_tokens=2, theme=theme)
    assert f'data-theme="{theme}"' in run.html().split("<head>")[0]


def test_open_names_panel_and_selection(tales):
    run = explain(
        tales,
        "Once upon a time",
        max_new_tokens=4,
        ablate=False,
        open="attention,position=2,layer=1,head=3,candidate=runner-up",
    )
    expected = {"panel": "attention", "position": 2, "layer": 1, "head": 3, "candidate": 1}
    assert page_data(run.html())["opening"] == expected


def test_page_opens_at_the_last_prompt_token_and_the_head_that_helped_most(tales_run):
    opening, changes = tales_run.opening, tales_run.data["ablation.log_prob"][:, :, tales_run.data["prompt_length"] - 1]
    assert (opening["panel"], opening["position"]) == ("summary", tales_run.data["prompt_length"] - 1)
    assert changes[opening["layer"], opening["head"]] == changes.min()


@pytest.mark.parametrize("text", ["nothing", "why,layer", "why,layer=x", "why,candidate=third", "why,size=3", "why,layer=-1"])
def test_open_that_says_nothing_known_is_refused(text):
    with pytest.raises(NeoError, match=r"^open (begins with|has) "):
        read_opening(text, timings=True)


def test_open_at_timings_is_refused_without_them():
    with pytest.raises(NeoError, match="this run has none: ask for them with timings=True, or --timings"):
        read_opening("timings", timings=False)
    assert read_opening("timings", timings=True) == {"panel": "timings"}


def test_open_at_a_position_beyond_the_run_is_refused(tales_run):
    last = len(tales_run.data["ids"]) - 1
    assert complete_opening({"panel": "why", "position": last}, tales_run.data)["position"] == last
    with pytest.raises(NeoError, match=f"open has position={last + 1}, and this run has positions 0 to {last}"):
        complete_opening({"panel": "why", "position": last + 1}, tales_run.data)


@pytest.mark.parametrize("text", ["lens,layer=2", "lens,head=4", "timings"])
def test_open_at_what_the_model_does_not_have_is_refused_before_anything_is_computed(monkeypatch, text):
    monkeypatch.setattr("neo_np.explain.run.explain_run", lambda *_: pytest.fail("it was computed"))
    with pytest.raises(NeoError, match="this run has"):
        explain(random_model(num_layers=2, num_heads=4), [1, 2], open=text)


def test_every_panel_is_a_section_with_a_heading(tales_page):
    sections = re.findall(r'<section id="(\w+)"[^>]*aria-labelledby="(\w+)-title"', tales_page)
    assert [id for id, _ in sections] == list(PANELS)
    for id, label in sections:
        assert id == label and f'<h2 id="{id}-title">' in tales_page


def test_page_over_budget_leaves_arrays_out_in_order_and_says_so(tales_run, monkeypatch):
    whole = len(tales_run.html())
    sizes = {name: len(json.dumps(page.packed(tales_run.data, [])[name])) for name in page.OPTIONAL}
    monkeypatch.setattr(page, "BUDGET", whole - 100)
    first = tales_run.html()
    assert "source.runner_up" not in page_data(first) and "source.chosen" in page_data(first)
    assert "Left out to keep the file small: the contributions to the likeliest other token" in first
    monkeypatch.setattr(page, "BUDGET", whole - sizes["source.runner_up"] - 1000)
    second = tales_run.html()
    assert not {"source.runner_up", "source.chosen"} & set(page_data(second))
    assert "and the contributions to the next token by source token" in second
    assert second.count(WORDS["left out"]) == 2  # in the table, and for the script
    monkeypatch.setattr(page, "BUDGET", whole // 10)
    with pytest.raises(NeoError, match=r"the page would have \d+\.\d MB, and it has at most"):
        tales_run.html()


def test_text_too_long_for_the_page_is_refused_before_the_run():
    model = random_model(num_layers=24, num_heads=24, attention_layers=["global"] * 24, max_position_embeddings=2048)
    with pytest.raises(NeoError, match=r"2003 tokens take \d+\.\d MB.* (\d+) tokens of this model"):
        explain(model, [1, 2, 3], max_new_tokens=2000)


def test_picture_of_the_readme_is_small():
    assert (ROOT / "neo_np" / "explain" / "page.png").stat().st_size < 300_000


# Colours.


def colours(css, theme):
    """Return {variable: (r, g, b)} of one theme."""
    dark = re.search(r':root\[data-theme="dark"\] \{(.*?)\}', css, re.S)[1]
    block = dark if theme == "dark" else re.search(r":root \{(.*?)\}", css, re.S)[1]
    found = {name: tuple(bytes.fromhex(value)) for name, value in re.findall(r"--(\S+): #(\w{6})", block)}
    return found | {"shade": tuple(map(int, re.search(r"--shade: (.*?);", block)[1].split(",")))}


def contrast(one, other):
    """Return the contrast ratio of two colours (WCAG 2.2)."""

    def luminance(rgb):
        parts = [c / 255 / 12.92 if c / 255 <= 0.04045 else ((c / 255 + 0.055) / 1.055) ** 2.4 for c in rgb]
        return 0.2126 * parts[0] + 0.7152 * parts[1] + 0.0722 * parts[2]

    low, high = sorted([luminance(one), luminance(other)])
    return (high + 0.05) / (low + 0.05)


@pytest.mark.parametrize("theme", ["light", "dark"])
def test_text_has_contrast_on_every_background(theme):
    found = colours(read_asset("page.css"), theme)
    for paper in ("paper", "panel"):
        for ink in ("ink", "quiet", "accent", "plus", "minus"):
            assert contrast(found[ink], found[paper]) >= 4.5, (ink, paper)
        # The darkest shades behind text: 0.45 in the strip, 0.36 in the lens, 0.14 in a selected row.
        for ink, alpha in (("ink", 0.45), ("quiet", 0.14), ("plus", 0.14), ("minus", 0.14)):
            mixed = tuple(alpha * s + (1 - alpha) * p for s, p in zip(found["shade"], found[paper]))
            assert contrast(found[ink], mixed) >= 4.5, (ink, alpha)
    assert contrast(found["on-accent"], found["accent"]) >= 4.5


@pytest.mark.parametrize("theme", ["light", "dark"])
def test_scale_of_attention_is_one_way_in_grey(theme):
    found = colours(read_asset("page.css"), theme)
    greys = [sum(np.array(found["low"]) + share * (np.array(found["high"]) - found["low"])) for share in np.linspace(0, 1, 11)]
    assert (np.diff(greys) < 0).all() if theme == "light" else (np.diff(greys) > 0).all()


def test_dark_colours_are_the_same_by_choice_and_by_system():
    css = read_asset("page.css")
    by_choice = re.search(r':root\[data-theme="dark"\] \{(.*?)\}', css, re.S)[1]
    by_system = re.search(r':root\[data-theme="auto"\] \{(.*?)\}', css, re.S)[1]
    assert by_choice.split() == by_system.split()


# Notebooks.


def test_notebook_has_a_line_a_table_and_a_sandboxed_frame(tales_run, tales_page):
    html = tales_run._repr_html_()
    assert html.startswith("<p>Model(GPT-Neo")
    assert html.index("<details>") < html.index("<table>") < html.index("</details>") < html.index("<iframe")
    [sandbox, document] = re.search(r'<iframe [^>]*sandbox="([^"]*)"[^>]*srcdoc="([^"]*)"', html).groups()
    assert sandbox == "allow-scripts"
    assert unescape(document) == tales_page


def test_script_uses_no_storage_no_history_and_no_links():
    script = read_asset("page.js")
    assert not re.search(
        r"localStorage|sessionStorage|indexedDB|cookie|history\.|location|innerHTML|insertAdjacentHTML|eval\(|fetch\(", script
    )
    assert 'href="#' not in read_asset("page.html")
