"""The page in a real browser: what it asks for, what it shows, and that keyboard and screen reader reach everything."""

import random
import re
import subprocess

import numpy as np
import pytest
from explain_helpers import HOSTILE, hostile_model

from neo_np.explain import explain
from neo_np.explain.sentences import page_sentences
from neo_np.explain.tokens import visible
from neo_np.explain.wording import signed

PANELS = ["summary", "tokens", "choice", "lens", "attention", "why", "mlp", "residual", "method"]


def complaints(page):
    """Return everything that the page wrote to the console, and every exception."""
    kinds = ("Log.entryAdded", "Runtime.consoleAPICalled", "Runtime.exceptionThrown")
    return [event for kind in kinds for event in page.events(kind)]


def readout(page):
    """Return the text of the one live region."""
    return page.evaluate("document.getElementById('readout').textContent")


def number(text):
    """Return the percentage in a text as a share."""
    return float(re.search(r"([\d.]+) %", text)[1]) / 100


def centre(page, selector):
    """Return the middle of an element in the window, after scrolling it there."""
    box = page.evaluate(
        f"(() => {{ const e = document.querySelector({selector!r}); e.scrollIntoView({{block: 'center'}});"
        " const r = e.getBoundingClientRect(); return [r.left, r.top, r.width, r.height]; })()"
    )
    return box[0] + box[2] / 2, box[1] + box[3] / 2


def choose(page, **selection):
    """Change the selection as the controls do."""
    for name, value in selection.items():
        if name == "position":
            page.evaluate(f"document.getElementById('strip').children[{value}].click()")
        else:
            page.evaluate(
                f"(() => {{ const e = document.getElementById('{name}'); e.value = {value};"
                " e.dispatchEvent(new Event('change')); })()"
            )


@pytest.mark.parametrize("name", ["story", "hostile"])
def test_page_from_a_file_makes_one_request_and_says_nothing(request, open_page, name):
    run, file = request.getfixturevalue(name)
    page = open_page(file)
    for position in range(0, len(run.data["ids"]), 7):
        choose(page, position=position)
    for panel in page.evaluate(
        "[...document.querySelectorAll('#nav button')].map((b) => { b.click(); return b.textContent; })"
    ):
        assert panel
    assert [event["request"]["url"] for event in page.events("Network.requestWillBeSent")] == [file.as_uri()]
    assert complaints(page) == []


def test_readout_at_random_cells_equals_the_model(story, open_page, tales):
    run, file = story
    page, rng = open_page(file, 1280, 1000), random.Random(0)
    attention = np.stack(tales.attentions(run.data["ids"]))
    L, H, T, _ = attention.shape
    seen = set()
    for _ in range(40):
        layer, head, query = rng.randrange(L), rng.randrange(H), rng.randrange(T)
        key = rng.randrange(query + 1)
        choose(page, layer=layer, head=head)
        left, top, width, height = page.evaluate(
            "(() => { const m = document.getElementById('matrix'); m.scrollIntoView({block: 'center'});"
            " const r = m.getBoundingClientRect(), b = m.clientLeft;"
            " return [r.left + b, r.top + b, m.clientWidth, m.clientHeight]; })()"
        )
        page.move(left + (key + 0.5) * width / T, top + (query + 0.5) * height / T)
        text = readout(page)
        assert text.startswith(f"Layer {layer} head {head}, standing at {query} ") and f" {key} “" in text
        window = tales.config.window(layer)
        if window is not None and query - key >= window:
            assert "outside window" in text
            seen.add("outside")
        elif attention[layer, head, query, key] < 1e-4 - 1e-5:
            assert "< 0.01 %" in text or " 0 %" in text
        else:
            assert number(text) == pytest.approx(attention[layer, head, query, key], rel=6e-3, abs=1e-5)
            seen.add("inside")
    assert seen == {"outside", "inside"}


def test_numbers_that_the_script_decodes_equal_the_run(story, open_page):
    run, file = story
    page, rng, data = open_page(file), random.Random(1), run.data
    L, H, T, _ = data["attention"].shape
    for _ in range(100):
        layer, head, query = rng.randrange(L), rng.randrange(H), rng.randrange(T)
        key, row = rng.randrange(query + 1), rng.randrange(2 * L + 1)
        weight, chosen, runner_up, kl = page.evaluate(
            f"[weight({layer}, {head}, {query}, {key}), bySource(0, {layer}, {head}, {query}, {key}),"
            f" bySource(1, {layer}, {head}, {query}, {key}), at('lens.kl', {row}, {query})]"
        )
        assert weight == pytest.approx(data["attention"][layer, head, query, key], abs=7.7e-6)
        for found, name in ((chosen, "source.chosen"), (runner_up, "source.runner_up")):
            rows = data[name][layer, head, query]
            assert found == pytest.approx(rows[key], abs=0.51 / 32767 * np.abs(rows).max())
        assert kl == pytest.approx(data["lens.kl"][row, query], rel=1e-6)


def test_panels_follow_the_selected_token(story, open_page):
    run, file = story
    page, data = open_page(file), run.data
    for position in (3, data["prompt_length"] - 1, len(data["ids"]) - 2, len(data["ids"]) - 1):
        choose(page, position=position)
        shown = page.evaluate("document.getElementById('why').innerText + document.getElementById('choice-live').innerText")
        token = data["texts"][int(data["candidates"][position, 0])]
        total = data["direct"][position, 0].sum()
        assert f"m of “{token}”" in shown and f"+{total:.3f}" in shown
        where = page.evaluate("[...document.querySelectorAll('.where')].map((line) => line.textContent)")
        assert len(where) == 8
        for line in where:
            assert line.startswith(
                f"Standing at “{data['texts'][int(data['ids'][position])]}” (position {position}), predicting what follows."
            )
        step = position - data["prompt_length"] + 1
        drawn = (
            f"the random number {data['choice.uniform'][step]:.5f}"
            if 0 <= step < len(data["choice.token"])
            else "nothing was chosen"
        )
        assert drawn in shown


def test_removed_tokens_stay_visible_and_struck_through(story, open_page):
    page = open_page(story[1])
    found = page.evaluate(
        "(() => { for (let p = 0; p < T - 1; p++) { select({position: p});"
        " const d = document.querySelector('#choice-live del');"
        " if (d) return [getComputedStyle(d).textDecorationLine, d.parentElement.textContent]; } })()"
    )
    assert found[0] == "line-through" and re.search(r"[\d.]+ % removed", found[1])


def test_outside_the_window_is_hatched_and_said_in_words(story, open_page, tales):
    run, file = story
    page = open_page(file)
    layer = next(i for i in range(tales.config.num_layers) if tales.config.window(i))
    last = len(run.data["ids"]) - 1
    choose(page, layer=layer, position=last)
    assert last >= tales.config.window(layer), "the text must be longer than the window"
    cells = page.evaluate("[...document.querySelectorAll('#row tbody tr')].map((row) => row.cells[2].textContent)")
    outside = last + 1 - tales.config.window(layer)
    assert cells[:outside] == ["outside window"] * outside and "outside window" not in cells[outside:]
    assert page.evaluate("document.querySelectorAll('#row i.outside').length") == outside
    # The hatch: the far corner of the matrix has more than one colour, and none of them is that of a weight.
    corner = page.evaluate(
        "(() => { const c = document.createElement('canvas'); drawHead(c, S.layer, S.head);"
        " return [...c.getContext('2d').getImageData(0, T - 1, 6, 1).data]; })()"
    )
    assert len({tuple(corner[i : i + 3]) for i in range(0, 24, 4)}) == 2


def test_window_longer_than_the_text_is_said(tmp_path, open_page, tales):
    explain(tales, "Once upon", max_new_tokens=4, out=tmp_path / "short.html")
    page = open_page(tmp_path / "short.html")
    assert "is longer than the text of" in page.evaluate("document.getElementById('windows').textContent")


def test_scales_change_the_picture_as_they_say(story, open_page):
    page = open_page(story[1])
    for scale, check in (
        ("one", "weights"),
        ("row", "weights.map((w) => w / Math.max(...weights))"),
        ("rest", "weights.map((w, k) => k ? w / (1 - weights[0]) : 0)"),
    ):
        page.evaluate(f"document.querySelector('#scale input[value={scale}]').click()")
        far = page.evaluate(
            f"(() => {{ const q = 9, weights = Array.from({{length: q + 1}}, (_, k) => weight(1, 0, q, k));"
            f" const wanted = {check}; return Math.max(...strengths(1, 0, q).map((x, i) => Math.abs(x - wanted[i]))); }})()"
        )
        assert far < 1e-9


def test_keyboard_reaches_and_moves_everything(story, open_page):
    run, file = story
    page = open_page(file)
    focused = "(() => { const e = document.activeElement; return e.id || e.getAttribute('role') || e.tagName; })()"
    page.press("Tab")
    reached = []
    for _ in range(130):
        reached.append(page.evaluate(focused))
        page.press("Tab")
    for wanted in ("theme", "option", "layer", "head", "gridcell", "matrix", "all-rows", "region", "SUMMARY", "TH", "TD"):
        assert wanted in reached, wanted

    page.evaluate("document.querySelector('#strip [tabindex=\"0\"]').focus()")
    start = run.opening["position"]
    position = "[S.position, [...document.getElementById('strip').children].indexOf(document.activeElement)]"
    for key, expected in (
        ("ArrowRight", start + 1),
        ("ArrowLeft", start),
        ("Home", 0),
        ("ArrowLeft", 0),
        ("End", len(run.data["ids"]) - 1),
    ):
        page.press(key)
        assert page.evaluate(position) == [expected, expected]
        assert f"Position {expected} " in readout(page)

    page.evaluate("select({layer: 0, head: 0}); headCell(0, 0).focus()")
    heads, layers = run.data["heads"], len(run.data["layers"])
    for key, expected in (
        ("ArrowRight", [0, 1]),
        ("ArrowDown", [1, 1]),
        ("End", [1, heads - 1]),
        ("Home", [1, 0]),
        ("ArrowUp", [0, 0]),
        ("ArrowUp", [0, 0]),
    ):
        page.press(key)
        assert page.evaluate("[S.layer, S.head]") == expected
        assert page.evaluate("document.activeElement.getAttribute('aria-label')").startswith(
            f"layer {expected[0]} head {expected[1]},"
        )
        assert readout(page) == page.evaluate("document.activeElement.getAttribute('aria-label')")
    assert layers > 1


def test_matrix_is_locked_by_enter_and_unlocked_by_escape(story, open_page):
    page = open_page(story[1])
    page.evaluate("select({position: 8}); document.getElementById('matrix').focus()")
    cell = "[V.query, V.key, V.locked, S.position]"
    page.press("End", "ArrowDown", "ArrowDown", "ArrowLeft")
    assert page.evaluate(cell) == [10, 7, False, 8]
    page.press("Enter")
    assert page.evaluate(cell) == [10, 7, True, 10] and readout(page).endswith("Locked.")
    page.press("ArrowUp", "Home")
    assert page.evaluate(cell) == [10, 7, True, 10]
    x, y = centre(page, "#matrix")
    page.move(x, y)
    assert page.evaluate(cell) == [10, 7, True, 10]
    page.press("Escape")
    assert page.evaluate("V.locked") is False and readout(page) == "Unlocked."
    page.press("Home")
    assert page.evaluate(cell)[:2] == [10, 0]
    page.click(*centre(page, "#matrix"))
    locked = page.evaluate(cell)
    assert locked[2] is True and locked[0] == locked[3]


def test_accessibility_tree_has_roles_and_names(story, open_page):
    run, file = story
    page = open_page(file)
    nodes = page.call("Accessibility.getFullAXTree")["nodes"]
    found = {}
    for node in nodes:
        if not node.get("ignored"):
            found.setdefault(node["role"]["value"], []).append(node.get("name", {}).get("value", ""))
    T, heads, layers = len(run.data["ids"]), run.data["heads"], len(run.data["layers"])
    assert len(found["option"]) >= T and all(found["option"])
    assert len([name for name in found["gridcell"] if re.match(r"layer \d+ head \d+, ", name)]) == layers * heads
    assert any("All heads" in name for name in found["grid"])
    assert any(name.startswith("The tokens of the text") for name in found["listbox"])
    assert any(
        re.match(r"Layer \d+ head \d+: rows are queries", name)
        for name in [*found.get("application", []), *found.get("Canvas", [])]
    )
    assert all(found["button"]) and all(found["radio"]) and all(found["combobox"]) and all(found["checkbox"])
    assert all(found["table"]), "every table has a caption"
    regions = [name for name in found["region"] if name]
    assert len(regions) == len(found["region"]) and len(regions) >= 12
    assert len(found["columnheader"]) > 40 and len(found["rowheader"]) > T
    assert len([node for node in nodes if node["role"]["value"] == "status" or "output" in str(node.get("role"))]) >= 1
    assert page.evaluate("document.documentElement.lang") == "en"
    assert page.evaluate("document.querySelectorAll('[aria-live]').length") == 1


def test_hostile_tokens_do_nothing_and_come_back_unchanged(hostile, open_page):
    run, file = hostile
    page, title = open_page(file), "document.title"
    before = page.evaluate(title)
    for position in range(len(run.data["ids"])):
        choose(page, position=position)
    assert page.evaluate(title) == before and "harm" not in before.split("neo_np run: ")[0]
    assert page.evaluate("document.querySelectorAll('img, script').length") == 2
    texts = page.evaluate("[...document.getElementById('strip').children].map((e) => e.textContent)")
    pieces = page.evaluate("DATA.bytes.map((hex) => hex ? hex.split(' ').map((b) => parseInt(b, 16)) : [])")
    tokenizer = hostile_model().tokenizer
    for id, shown, piece in zip(run.data["ids"].tolist(), texts, pieces):
        if id in tokenizer.id_to_token:
            assert bytes(piece) == tokenizer.token_bytes(id)
        else:
            assert shown == f"id {id} (no text)"
    for text in HOSTILE:
        assert visible(text) in texts
    assert complaints(page) == []


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("width", [1280, 400])
def test_page_fits_its_window_and_has_contrast(story, open_page, tmp_path, width, scheme):
    page = open_page(story[1], width, 900, scheme)
    assert page.evaluate("document.documentElement.scrollWidth") <= width
    assert page.evaluate("document.getElementById('controls').offsetHeight") < (260 if width == 400 else 200)
    dark = page.evaluate("getComputedStyle(document.body).backgroundColor") != "rgb(255, 255, 255)"
    assert dark == (scheme == "dark")
    # The ratio of every text to the colours behind it, layer upon layer.
    worst = page.evaluate(
        """(() => {
          const parse = (c) => (c.match(/[\\d.]+/g) || [0, 0, 0, 0]).map(Number);
          const over = (top, below) => { const a = top[3] ?? 1; return [0, 1, 2].map((i) => a * top[i] + (1 - a) * below[i]); };
          const linear = (x) => x / 255 <= 0.04045 ? x / 255 / 12.92 : ((x / 255 + 0.055) / 1.055) ** 2.4;
          const light = (c) => { const p = c.map(linear); return 0.2126 * p[0] + 0.7152 * p[1] + 0.0722 * p[2]; };
          const behind = (e) => { const own = parse(getComputedStyle(e).backgroundColor);
            return e.parentElement ? over(own, behind(e.parentElement)) : over(own, [255, 255, 255]); };
          let worst = [99, ''];
          for (const e of document.querySelectorAll('body *')) {
            const hasText = [...e.childNodes].some((n) => n.nodeType === 3 && n.data.trim());
            if (!hasText || !e.offsetParent || e.closest('select')) continue;
            const back = behind(e), a = light(over(parse(getComputedStyle(e).color), back)), b = light(back);
            const ratio = (Math.max(a, b) + 0.05) / (Math.min(a, b) + 0.05);
            if (ratio < worst[0]) worst = [ratio, e.outerHTML.slice(0, 200)];
          }
          return worst;
        })()"""
    )
    assert worst[0] >= 4.5, worst[1]
    page.screenshot(tmp_path / f"{width}-{scheme}.png")


def test_theme_button_changes_colours_without_the_system(story, open_page):
    page = open_page(story[1], scheme="light")
    colours = []
    for _ in range(3):
        colours.append(
            page.evaluate("[document.getElementById('theme').textContent, getComputedStyle(document.body).backgroundColor]")
        )
        page.evaluate("document.getElementById('theme').click()")
    assert [name for name, _ in colours] == ["Theme: auto", "Theme: light", "Theme: dark"]
    assert colours[0][1] == colours[1][1] != colours[2][1]


def test_forced_colours_and_reduced_motion_keep_the_page_usable(story, open_page):
    page = open_page(story[1])
    page.media("light", forced_colors="active", prefers_reduced_motion="reduce")
    selected = page.evaluate("getComputedStyle(document.querySelector('#strip [aria-selected=true]')).outlineStyle")
    assert selected == "solid"
    assert page.evaluate("getComputedStyle(document.documentElement).scrollBehavior") == "auto"


def test_page_without_javascript_has_the_tables(story, open_page):
    run, file = story
    page = open_page(file, prepare=lambda page: page.call("Emulation.setScriptExecutionDisabled", value=True))
    page.call("Emulation.setScriptExecutionDisabled", value=False)
    assert page.evaluate("[...document.querySelectorAll('.live')].every((e) => e.hidden)")
    assert page.evaluate("document.querySelectorAll('table caption').length") == 10
    assert "Which heads mattered?" in page.evaluate("document.getElementById('short').innerText")
    assert page.evaluate("document.getElementById('short').offsetHeight") > 0
    assert page.evaluate("document.getElementById('tokens-table').rows.length") == 1 + len(run.data["ids"])


PARTS = ["whole", "choice-live", "lens-live", "heads-table", "waterfall", "sources", "gradient", "ablation"]


@pytest.mark.parametrize("name", ["story", "hostile"])
def test_script_writes_the_same_words_and_numbers_as_python(request, open_page, name):
    """The first view of the page, before and after the script has drawn it."""
    _, file = request.getfixturevalue(name)
    parts = "(id) => [...document.getElementById(id).querySelectorAll('caption, th, td, li')].map((e) => e.textContent)"
    texts = f"{[*PARTS, 'short']}.map({parts})"
    page = open_page(file, prepare=lambda page: page.call("Emulation.setScriptExecutionDisabled", value=True))
    page.call("Emulation.setScriptExecutionDisabled", value=False)
    *before, short = page.evaluate(texts)
    *after, (*short_after, selected) = open_page(file).evaluate(texts)
    assert short == short_after and selected.startswith("The selected head, layer")
    for part, texts_before, texts_after in zip(PARTS, before, after):
        assert len(texts_before) == len(texts_after) > 0
        for one, other in zip(texts_before, texts_after):
            if one != other:  # the script reads the contributions by source token as 16-bit codes
                found, expected = (float(text.replace("\u2212", "-")) for text in (other, one))
                assert part == "sources" and found == pytest.approx(expected, abs=1.1e-3)


def test_sentences_follow_the_selected_token(story, open_page):
    run, file = story
    page, sentences = open_page(file), page_sentences(run.data, run.opening)
    for position in (0, 5, run.data["prompt_length"], len(run.data["ids"]) - 1):
        choose(page, position=position)
        shown = page.evaluate("document.getElementById('short').textContent")
        for line in sentences["here"][position]:
            assert "".join(part if isinstance(part, str) else "layer {} head {}".format(*part) for part in line) in shown
        rules = page.evaluate("[...document.querySelectorAll('#choice-live li')].map((line) => line.textContent)")
        assert rules == sentences["rules"][position]


def test_arrow_keys_work_on_a_fresh_page(story, open_page):
    run, file = story
    page, start = open_page(file), run.opening["position"]
    page.press("ArrowRight", "ArrowRight", "ArrowLeft")
    assert page.evaluate("S.position") == start + 1 and f"Position {start + 1} " in readout(page)
    page.evaluate("document.querySelector('#nav button').focus()")
    page.press("ArrowLeft")
    assert page.evaluate("S.position") == start
    page.press("ArrowDown", "Home")  # these scroll the page
    assert page.evaluate("S.position") == start


def test_rows_and_cells_of_the_tables_select_by_mouse_and_keyboard(story, open_page):
    run, file = story
    page = open_page(file)
    for table, position in (("tokens-table", 4), ("lens-table", 9), ("choices-table", run.data["prompt_length"] + 1)):
        page.click(*centre(page, f"#{table} tr[data-position='{position}'] > td"))
        assert page.evaluate("S.position") == position
        marked = f"[...document.querySelectorAll('#{table} tr.selected')].map((row) => Number(row.dataset.position))"
        assert page.evaluate(marked) == [position]
        page.evaluate(f"document.querySelector('#{table} [tabindex=\"0\"]').focus()")
        page.press("ArrowDown")
        assert (
            page.evaluate("[S.position, Number(document.activeElement.parentElement.dataset.position)]") == [position + 1] * 2
        )
        page.press("End", "ArrowDown")
        last = page.evaluate(f"Number([...document.querySelectorAll('#{table} tr')].pop().dataset.position)")
        assert page.evaluate("S.position") == last
    page.evaluate("select({position: 6})")
    for table in ("ablation", "heads-table"):
        page.click(*centre(page, f"#{table} td[data-layer='1'][data-head='1']"))
        assert page.evaluate("[S.layer, S.head]") == [1, 1]
        page.evaluate(f"document.querySelector('#{table} td.selected').focus()")
        page.press("ArrowRight", "ArrowUp")
        assert page.evaluate("[S.layer, S.head, Number(document.activeElement.dataset.head)]") == [0, 2, 2]
        page.press("Home", "ArrowLeft")
        assert page.evaluate("[S.layer, S.head, S.position]") == [0, 0, 6]


def test_table_beside_the_matrix_follows_the_pointer(story, open_page):
    page = open_page(story[1])
    page.evaluate("select({position: 6, layer: 0, head: 1})")
    left, top, width, height = page.evaluate(
        "(() => { const m = document.getElementById('matrix'); m.scrollIntoView({block: 'center'});"
        " const r = m.getBoundingClientRect(); return [r.left, r.top, r.width, r.height]; })()"
    )
    rows, T = "document.getElementById('row').tBodies[0].rows.length", len(story[0].data["ids"])
    page.move(left + width * 5 / T, top + height * 43.5 / T)
    assert page.evaluate(rows) == 44 and page.evaluate("S.position") == 6
    assert "standing at 43 " in page.evaluate("document.getElementById('row').caption.textContent")
    page.move(left + width + 200, top + 5)
    assert page.evaluate(rows) == 7


def test_table_beside_the_matrix_shows_the_largest_weight(story, open_page, tales):
    """The marked row is in view, the line above it names the three largest weights, and 0 % has no bar."""
    run, file = story
    page, attention = open_page(file), np.stack(tales.attentions(run.data["ids"]))
    marked = (
        "(() => { const box = document.getElementById('row').parentElement.getBoundingClientRect(),"
        " row = document.querySelector('#row tr.selected'), r = row.getBoundingClientRect(),"
        " head = document.getElementById('row').tHead.getBoundingClientRect();"
        " return [Number(row.cells[0].textContent), r.top >= head.bottom - 1 && r.bottom <= box.bottom + 1]; })()"
    )
    page.evaluate("document.getElementById('row').scrollIntoView(); select({position: 80, layer: 0, head: 0})")
    page.evaluate("document.querySelector('#strip [tabindex=\"0\"]').focus()")
    for key, position in (("ArrowRight", 81), ("ArrowLeft", 80), ("End", len(run.data["ids"]) - 1), ("Home", 0)):
        page.press(key)
        for layer in range(len(attention)):
            head = (layer + position) % attention.shape[1]
            page.evaluate(f"select({{layer: {layer}, head: {head}}})")
            weights = attention[layer, head, position, : position + 1]
            key, is_in_view = page.evaluate(marked)
            assert is_in_view and weights[key] == pytest.approx(weights.max(), abs=2e-5)
            said = page.evaluate("document.getElementById('most').textContent")
            found = re.findall(r"(\d+) “.*?” (?:< )?([\d.]+) %", said)
            assert said.startswith("Most: ") and len(found) == min(3, position + 1)
            for (key, shown), expected in zip(found, np.sort(weights)[::-1]):
                assert float(shown) == pytest.approx(100 * weights[int(key)], rel=6e-3, abs=1e-2)
                assert weights[int(key)] == pytest.approx(expected, abs=2e-5)
    page.evaluate("select({position: T - 1})")
    bars = page.evaluate(
        "[...document.querySelectorAll('#row tbody tr')].map((row) => [row.cells[2].textContent, !!row.querySelector('i')])"
    )
    assert all(has_bar == (text not in ("0 %", "< 0.01 %")) for text, has_bar in bars)


def test_locked_cell_stays_when_another_head_is_selected(story, open_page):
    page = open_page(story[1])
    page.evaluate("select({position: 8}); document.getElementById('matrix').focus()")
    page.press("Home", "ArrowRight", "ArrowRight", "Enter")
    assert page.evaluate("[V.query, V.key, V.locked]") == [8, 2, True]
    page.evaluate("select({head: 1})")
    assert page.evaluate("[V.query, V.key, V.locked]") == [8, 2, True]
    page.press("Escape")
    page.evaluate("select({head: 2})")
    assert page.evaluate("V.key === strongestKey(S.layer, 2, 8)")


def test_locked_cell_is_unlocked_when_another_token_is_selected(story, open_page):
    page = open_page(story[1])
    page.evaluate("select({position: 8}); document.getElementById('matrix').focus()")
    page.press("Home", "ArrowRight", "Enter")
    assert page.evaluate("[V.query, V.key, V.locked]") == [8, 1, True]
    page.evaluate("select({position: 9})")
    assert page.evaluate("[V.query, V.locked]") == [9, False]
    page.evaluate("say('free again')")
    assert readout(page) == "free again"


def test_candidate_chosen_by_arrow_keys_keeps_the_focus(story, open_page):
    page = open_page(story[1])
    page.evaluate("document.querySelector('#candidates input').focus()")
    for key, expected in (("ArrowRight", 1), ("ArrowLeft", 0)):
        page.press(key)
        focused = "[...document.querySelectorAll('#candidates input')].indexOf(document.activeElement)"
        assert page.evaluate(f"[S.candidate, {focused}]") == [expected, expected]


def test_answers_begin_on_the_first_screen(story, open_page):
    page = open_page(story[1], 1280, 900)
    lines = page.evaluate(
        "[...document.querySelectorAll('#short li')].slice(0, 4).map((line) => line.getBoundingClientRect().bottom)"
    )
    assert max(lines) < page.evaluate("document.getElementById('bottom').getBoundingClientRect().top")


def test_buttons_have_the_numbers_of_the_panels(story, open_page):
    page = open_page(story[1])
    labels = page.evaluate("[...document.querySelectorAll('#nav button')].map((button) => button.textContent)")
    titles = page.evaluate("[...document.querySelectorAll('section:not([hidden]) > h2')].map((title) => title.textContent)")
    assert len(labels) == len(titles) == len(PANELS) and labels[0] == "In short"
    assert [label.split(" ")[0] for label in labels[1:]] == [title.split(" ")[0] for title in titles[1:]]


def test_bar_of_the_draw_is_labelled(story, open_page):
    run, file = story
    page, data = open_page(file), run.data
    for step in (0, 3, len(data["choice.token"]) - 1):
        choose(page, position=data["prompt_length"] - 1 + step)
        labels = page.evaluate(
            "[...document.querySelectorAll('#unit span')].map((label) => [label.className, label.textContent])"
        )
        assert dict(labels) == {
            "first": "0", "last": "1", "above": f"{data['choice.uniform'][step]:.5f}",
            "below token": data["texts"][int(data["choice.token"][step])],
        }  # fmt: skip
        bar, mark, above = page.evaluate(
            "['#unit', '#unit b', '#unit .above'].map((name) => {"
            " const r = document.querySelector(name).getBoundingClientRect(); return [r.left, r.right, r.width]; })"
        )
        middle = (above[0] + above[1]) / 2
        assert abs(middle - mark[0]) < 50 and bar[0] - 2 <= above[0] and above[1] <= bar[1] + 2
        assert "in the order of their ids" in page.evaluate("document.getElementById('choice-live').textContent")


def test_parts_about_the_next_token_only_say_so_when_the_other_is_explained(story, open_page):
    run, file = story
    page = open_page(file)
    notes = "[...document.querySelectorAll('.about')].map((note) => note.hidden ? '' : note.textContent)"
    labels = "[...document.querySelectorAll('#candidates label')].map((label) => label.textContent.trim())"
    last, text = len(run.data["ids"]) - 1, lambda p, i: run.data["texts"][int(run.data["candidates"][p, i])]
    for position, names in (
        (2, ["the next token", "the likeliest other token"]),
        (run.data["prompt_length"] - 1, ["the chosen token", "the likeliest other token"]),
        (last, ["the likeliest next token", "the second likeliest"]),
    ):
        choose(page, position=position)
        page.evaluate("select({candidate: 0})")
        assert page.evaluate(labels) == [f"“{text(position, i)}”, {name}" for i, name in enumerate(names)]
        explained = "document.getElementById('explained').textContent"
        assert page.evaluate(notes) == [""] * 2 and page.evaluate(explained) == f"Explained here: “{text(position, 0)}”"
        page.evaluate("document.querySelectorAll('#candidates input')[1].click()")
        assert page.evaluate(notes) == [f"This part is about “{text(position, 0)}” only."] * 2
        assert page.evaluate(explained) == f"Explained here: “{text(position, 1)}”"
        raised = page_sentences(run.data, run.opening)["raised"][position][1]
        assert page.evaluate("document.getElementById('raised').textContent") == raised
        total, difference = page.evaluate(
            "[...document.querySelector('#waterfall tbody').lastChild.cells].filter((_, i) => i % 2).map((c) => c.textContent)"
        )
        m = run.data["direct"][position].sum(axis=-1)
        assert [total, difference] == [signed(m[1]), signed(m[1] - m[0])]


def test_signs_have_the_colour_of_help_in_every_answer(story, open_page):
    """Ablation: a negative change means that the head helped, so it has the colour of what pushes for the token."""
    page = open_page(story[1])
    found = page.evaluate(
        "[...document.querySelectorAll('#ablation td')].map((cell) => [cell.textContent, getComputedStyle(cell).color])"
    )
    plus = page.evaluate("getComputedStyle(document.querySelector('#waterfall td.plus')).color")
    assert {text[0] for text, _ in found} == {"+", "\u2212"}
    assert all((colour == plus) == (text[0] == "\u2212") for text, colour in found)


def test_explained_words_say_their_meaning_in_the_readout(story, open_page):
    page = open_page(story[1])
    for number in range(page.evaluate("document.querySelectorAll('.term').length")):
        page.evaluate(f"document.querySelectorAll('.term')[{number}].focus()")
        word, said = page.evaluate(f"document.querySelectorAll('.term')[{number}].textContent"), readout(page)
        assert said.startswith(f"{word}: ") and len(said) > len(word) + 20
    page.evaluate("[...document.querySelectorAll('button')].find((button) => button.textContent === 'panel 3').click()")
    assert 0 <= page.evaluate("document.getElementById('lens').getBoundingClientRect().top") <= 300


def test_answer_of_the_model_is_in_view_in_the_table_of_the_lens(story, open_page):
    for width in (1280, 400):
        page = open_page(story[1], width, 900)
        right, edge, head = page.evaluate(
            "(() => { const t = document.getElementById('lens-table'), row = t.tBodies[0].rows[3];"
            " const cell = row.cells[row.cells.length - 1].getBoundingClientRect();"
            " return [cell.right, t.parentElement.getBoundingClientRect().right, t.tHead.rows[0].lastChild.textContent]; })()"
        )
        assert right <= edge + 1 and head.endswith("the model's answer")


def test_strip_shows_the_character_that_several_tokens_make(tmp_path, open_page, tales):
    run = explain(tales, "Hi \U0001f600!", "", ablate=False)
    run.save(tmp_path / "a.html")
    page = open_page(tmp_path / "a.html")
    strip = page.evaluate(
        "[...document.getElementById('strip').children].map((e) => [e.textContent, e.getAttribute('aria-label')])"
    )
    parts = [position for position, whole in enumerate(run.data["characters"]) if whole]
    assert (
        len(parts) > 1 and [position for position, (text, _) in enumerate(strip) if text.endswith("= \U0001f600")] == parts[-1:]
    )
    assert all("part of \U0001f600" in strip[position][1] for position in parts)


def test_print_has_the_tables_in_light_colours(story, open_page, tmp_path):
    run, file = story
    page = open_page(file, scheme="dark")
    (tmp_path / "run.pdf").write_bytes(page.pdf())
    text = subprocess.run(
        ["pdftotext", "-layout", tmp_path / "run.pdf", "-"], capture_output=True, text=True, check=True
    ).stdout
    data = run.data
    for caption in ("All tokens.", "All choices:", "Logit lens:", "The token that each head looks at most"):
        assert caption in text
    for position in range(1, len(data["ids"])):
        assert f"{data['loss'][position - 1]:.3f}" in text
    for step in range(len(data["choice.token"])):
        assert f"{data['choice.uniform'][step]:.4f}" in text
    assert "".join(data["text"].split()) in "".join(text.replace("\u21b5", "").split())
    assert "Theme:" not in text
    assert page.evaluate("document.documentElement.dataset.theme") == "auto", "the theme of the screen comes back"


def test_page_in_a_sandboxed_frame_works_and_leaves_the_outer_page_alone(story, open_page, tmp_path):
    run, _ = story
    outer = tmp_path / "outer.html"
    outer.write_text(
        f"<!doctype html><title>outer</title><p>above</p>{run._repr_html_()}<p style='height: 3000px'>below</p>",
        encoding="utf-8",
    )
    page = open_page(outer)
    page.browser.listen(1)
    frame = page.call("Page.getFrameTree")["frameTree"]["childFrames"][0]["frame"]["id"]
    world = page.call("Page.createIsolatedWorld", frameId=frame)["executionContextId"]

    def inside(expression):
        return page.call("Runtime.evaluate", expression=expression, contextId=world, returnByValue=True)["result"].get("value")

    assert inside("document.getElementById('controls').hidden") is False
    assert inside("document.getElementById('strip').children.length") == len(run.data["ids"])
    inside("[...document.querySelectorAll('#nav button')].forEach((b) => b.click())")
    inside("document.getElementById('strip').children[2].click()")
    assert "(position 2)" in inside("document.getElementById('where').textContent")
    assert page.evaluate("[document.title, window.scrollY, location.hash]") == ["outer", 0, ""]
    assert page.evaluate("document.querySelector('details table').rows.length") == 1 + len(run.data["ids"])
    assert complaints(page) == []


def test_panel_named_by_open_is_in_view(tmp_path, open_page, tales):
    explain(
        tales,
        "Once upon a time",
        max_new_tokens=8,
        open="why,position=2,layer=1,head=1,candidate=runner-up",
        out=tmp_path / "a.html",
    )
    page = open_page(tmp_path / "a.html")
    assert page.evaluate("[S.position, S.layer, S.head, S.candidate]") == [2, 1, 1, 1]
    top, controls = page.evaluate(
        "[document.getElementById('why').getBoundingClientRect().top, document.getElementById('controls').offsetHeight]"
    )
    assert 0 <= top - controls <= 20
    assert page.evaluate("document.querySelectorAll('section').length") == len(PANELS) + 1
