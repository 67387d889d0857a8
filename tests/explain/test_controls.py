"""The strip of tokens and the grid of heads: every token and every head once, with a name that says what it is."""

import re
from html import unescape

import numpy as np
import pytest
from explain_helpers import hostile_ids, hostile_model
from helpers import random_model

from neo_np.explain import explain
from neo_np.explain.controls import heads_grid, strip, windows_html

OPTION = r'<span role="option" class="([\w ]+)" data-position="(\d+)" aria-label="([^"]*)">([^<]*)</span>'
CELL = r'<div role="gridcell" data-layer="(\d+)" data-head="(\d+)" aria-label="([^"]*)"><canvas[^>]*></canvas>([^<]*)</div>'


@pytest.fixture(scope="module")
def data():
    model = hostile_model()
    return explain(model, hostile_ids(model), max_new_tokens=3, eos_token_id=[]).data


def test_strip_has_every_token_with_its_name(data):
    options = re.findall(OPTION, strip(data))
    assert re.sub(OPTION, "", strip(data)) == ""
    assert [int(position) for _, position, _, _ in options] == list(range(len(data["ids"])))
    for kind, position, label, shown in options:
        is_new, text = int(position) >= data["prompt_length"], data["texts"][int(data["ids"][int(position)])]
        assert kind == ("token new" if is_new else "token")
        assert unescape(label).startswith(f"{position} {text}") and label.endswith("generated" if is_new else "prompt")
        assert unescape(shown).startswith(text)


def test_strip_shows_the_character_of_several_tokens_at_the_last_of_them(data):
    options = [tuple(map(unescape, option)) for option in re.findall(OPTION, strip(data))]
    [last] = [int(position) for _, position, _, shown in options if shown == "⟨A9⟩ = é"]
    assert options[last - 1][3] == "⟨C3⟩"
    assert [int(position) for _, position, label, _ in options if "part of é" in label] == [last - 1, last]
    assert [shown for _, _, _, shown in options].count("⟨C3⟩") == 2, "half a character makes none"


def test_grid_has_every_head_with_the_pattern_that_has_the_largest_mean_weight():
    model = random_model(std=0.3, num_layers=3, attention_layers=["global", "local", "local"], window_size=2, num_heads=2)
    data = explain(model, [3, 1, 4, 1, 5, 9, 2, 6], "", ablate=False).data
    data["patterns"][0, 0], data["patterns"][0, 1] = [0.1, 0.85, 0, 0], [0.19, 0.1, 0, 0.19]
    grid = heads_grid(data)
    layers = [f"layer {kind}" for kind in ("0 (global)", "1 (local, window 2)", "2 (local, window 2)")]
    assert re.findall(r'"rowheader">(.*?)<', grid) == layers
    cells = re.findall(CELL, grid)
    assert [f"{layer} {head}" for layer, head, _, _ in cells] == ["0 0", "0 1", "1 0", "1 1", "2 0", "2 1"]
    assert cells[0][2:] == ("layer 0 head 0, on average: token before 85 %", "head 0: token before 85 %")
    assert cells[1][2:] == ("layer 0 head 1, on average: mixed", "head 1: mixed")
    for layer, head, _, shown in cells[2:]:
        weights = data["patterns"][int(layer), int(head)]
        assert shown.endswith(f" {100 * weights.max():.0f} %" if weights.max() >= 0.2 else ": mixed")


def test_windows_are_explained_once_and_by_their_length():
    def said(windows):
        return re.findall("<p>(.*?)</p>", windows_html({"ids": np.arange(8), "windows": windows}))

    assert said([None, None]) == []
    [short] = said([None, 4, None, 4])
    assert "the last 4 tokens" in short and "hatched" in short
    assert said([8, 9]) == [
        "The window of 8 tokens is as long as the text of 8, so it hides nothing here.",
        "The window of 9 tokens is longer than the text of 8, so it hides nothing here.",
    ]
