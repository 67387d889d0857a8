"""`explain`: its defaults, what it refuses, what it writes."""

import numpy as np
import pytest
from explain_helpers import hostile_model
from helpers import random_model, word_model

from neo_np import NeoError
from neo_np.explain import Explanation, explain, run
from neo_np.gpt_neo.loss import log_softmax

MODEL = word_model()


def test_default_run_is_about_96_tokens_with_seed_0():
    found = explain(MODEL, "Once upon a time there was a", ablate=False).data
    prompt = MODEL.tokenizer.encode("Once upon a time there was a")
    options = {"do_sample": True, "seed": 0, "temperature": 0.9, "top_p": 0.95, "max_new_tokens": 96 - len(prompt)}
    assert found["ids"].tolist() == MODEL.generate(prompt, **options)
    assert found["prompt_length"] == len(prompt)


def test_long_prompt_still_gets_a_few_new_tokens():
    found = explain(MODEL, [5] * 100, ablate=False, eos_token_id=[]).data
    assert len(found["ids"]) == 108


def test_data_has_named_arrays_of_the_expected_shapes(tales):
    data = explain(tales, "Once upon a time", max_new_tokens=6).data
    L, H, T, V = tales.config.num_layers, tales.config.num_heads, len(data["ids"]), tales.config.vocab_size
    shapes = {
        "ids": (T,),
        "loss": (T - 1,),
        "attention": (L, H, T, T),
        "lens.kl": (2 * L + 1, T),
        "residual.cosine": (2 * L + 1, T),
        "direct": (T, 2, L * (H + 2) + 3),
        "source.chosen": (L, H, T, T),
        "gradient": (T, T),
        "ablation.m": (L, H, T),
        "neurons.adds": (L, T, 8, 2),
        "neighbours": (T, 5),
        "choice.token": (T - data["prompt_length"],),
    }
    assert {name: data[name].shape for name in shapes} == shapes
    assert data["vocabulary"] == V
    logits = tales.logits(data["ids"])
    assert data["loss"] == pytest.approx(-log_softmax(logits)[np.arange(T - 1), data["ids"][1:]], abs=1e-5)


@pytest.mark.parametrize(
    "options",
    [
        {"num_beams": 2, "do_sample": False},
        {"num_return_sequences": 3},
        {"slide": True},
        {"prompt_lookup_num_tokens": 3},
    ],
    ids=str,
)
def test_several_sequences_drafts_and_slide_are_refused(options):
    with pytest.raises(NeoError, match="a page explains one text"):
        explain(MODEL, "Once", **options)


def test_assistant_model_is_refused():
    with pytest.raises(NeoError, match="a page explains one text"):
        explain(MODEL, "Once", assistant_model=MODEL)


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        ({"theme": "blue"}, "theme is 'blue'"),
        ({"inline": False}, "inline=False shows only the path"),
        ({"open": "cellar"}, "open begins with 'cellar'"),
        ({"temprature": 1}, "did you mean 'temperature'"),
        ({"continuation": [10**6]}, "1000000 is not a token"),
        ({"continuation": [5] * 9999}, "positions: shorten one of them"),
        ({"out": "/nowhere/run.html", "max_new_tokens": 1}, "cannot be written"),
    ],
    ids=lambda value: str(value)[:40],
)
def test_bad_arguments_are_refused_in_a_sentence(arguments, sentence):
    with pytest.raises(NeoError, match=sentence):
        explain(MODEL, "Once", **arguments)


@pytest.mark.parametrize("prompt", [["a", "b"], [[1], [2]], 5])
def test_lists_of_prompts_are_refused(prompt):
    with pytest.raises(NeoError, match="each prompt must be"):
        explain(MODEL, prompt)


def test_save_writes_the_page(tmp_path):
    found = explain(MODEL, "Once", max_new_tokens=2, out=tmp_path / "a.html")
    assert isinstance(found, Explanation)
    assert (tmp_path / "a.html").read_bytes() == found.html().encode()
    found.save(tmp_path / "b.html")
    assert (tmp_path / "b.html").read_bytes() == found.html().encode()


def test_inline_false_shows_only_the_path(tmp_path):
    found = explain(MODEL, "Once", max_new_tokens=2, out=tmp_path / "<a>.html", inline=False)
    assert found._repr_html_() == f"<p>The page is in {tmp_path}/&lt;a&gt;.html.</p>"


def test_timings_are_there_only_if_wanted():
    assert "timings" not in explain(MODEL, "Once", max_new_tokens=2).data
    timings = explain(MODEL, "Once", max_new_tokens=2, timings=True).data["timings"]
    assert {"generation", "gradients", "ablation"} <= set(timings) and min(timings.values()) >= 0


def test_large_model_gets_gradients_of_new_tokens_and_ablation_only_if_asked(monkeypatch):
    monkeypatch.setattr(run, "SMALL_MODEL", 1000)
    data = explain(MODEL, [5, 6, 7, 8], max_new_tokens=3, eos_token_id=[]).data
    assert "ablation.m" not in data
    assert data["gradient.positions"].tolist() == [3, 4, 5, 6]
    assert "ablation.m" in explain(MODEL, "Once", max_new_tokens=2, ablate=True).data


def test_progress_grows_to_its_total():
    seen = []
    options = {"max_new_tokens": 5, "eos_token_id": []}
    explain(MODEL, [5, 6, 7], progress=lambda done, total: seen.append((done, total)), **options)
    assert [done for done, _ in seen] == sorted(done for done, _ in seen)
    assert len({total for _, total in seen}) == 1 and seen[-1][0] > 0.8 * seen[-1][1]


def test_model_without_a_tokenizer_is_explained_by_its_ids():
    found = explain(random_model(std=0.3), [3, 1, 4], max_new_tokens=3, eos_token_id=[])
    assert found.data["texts"][3] == "id 3 (no text)"
    assert "id 3 (no text)" in found.html()


@pytest.mark.parametrize(
    "changes", [{"num_heads": 1}, {"window_size": 1}, {"num_layers": 1, "attention_layers": ["local"]}, {"dtype": np.float64}]
)
def test_unusual_models_make_a_page(changes):
    model = random_model(std=0.3, **changes)
    for prompt in ([7], [3, 1, 4]):
        assert "<h1>" in explain(model, prompt, max_new_tokens=1, eos_token_id=[]).html()
        assert "<h1>" in explain(model, prompt, "").html()


def test_tiny_vocabulary_makes_a_page():
    assert "<h1>" in explain(random_model(vocab_size=3, intermediate_size=5), [1, 2], max_new_tokens=4, eos_token_id=[]).html()


def test_run_with_broken_characters_keeps_all_bytes():
    model = hostile_model()
    data = explain(model, [0xC3, 0xA9, 0xE2, 0x41], max_new_tokens=4, eos_token_id=[]).data
    assert bytes.fromhex("".join(data["bytes"][:4])) == b"\xc3\xa9\xe2A"
    assert data["text"].startswith("é\ufffdA")
    assert data["offsets"][:4].tolist() == [[0, 1], [0, 1], [1, 2], [2, 3]]
