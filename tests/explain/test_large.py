"""A run at the shape of GPT-Neo 125M: how long it takes, and how large the page is."""

import time

import pytest
from helpers import ROOT

import neo_np
from neo_np.checkpoint.loading import load_config
from neo_np.explain import explain
from neo_np.gpt_neo.params import random_params

FOLDER = ROOT / "weights" / "gpt-neo-125M"


@pytest.mark.slow
def test_page_at_the_125m_shape_takes_less_than_a_minute_and_10_mb():
    config = load_config(FOLDER / "config.json")
    model = neo_np.Model(config, random_params(config), neo_np.Tokenizer.load(FOLDER))
    prompt = model.tokenizer.encode("A model with 125 million parameters reads this text")
    began = time.perf_counter()
    run = explain(model, prompt, max_new_tokens=128 - len(prompt), eos_token_id=[])
    html = run.html()
    seconds = time.perf_counter() - began
    assert len(run.data["ids"]) == 128 and "ablation.m" not in run.data
    assert len(html.encode()) <= 10_000_000
    assert "Left out to keep the file small" in html
    assert seconds < 60
