"""The generation loop against loops that are slow and obvious."""

import numpy as np
import pytest
from helpers import BYTES, byte_model, forced, random_model

from neo_np import NeoError, Tokenizer
from neo_np.gpt_neo.forward import softmax

BYTE_MODEL = byte_model()


def slow_greedy(model, ids, number, eos_ids=()):
    """Feed the whole text, take the likeliest token, append it; repeat."""
    ids = list(ids)
    for _ in range(number):
        ids.append(int(np.argmax(model.logits(ids)[-1])))
        if ids[-1] in eos_ids:
            break
    return ids


# one text


@pytest.mark.parametrize("seed", range(5))
def test_greedy_random_model_equals_slow_loop(seed):
    model = random_model(seed)
    prompt = np.random.default_rng(seed).integers(0, 50, 5).tolist()
    found = model.generate(prompt, max_new_tokens=27, eos_token_id=[])
    assert found == slow_greedy(model, prompt, 27)
    assert len(set(found)) > 5


def test_greedy_shipped_checkpoint_equals_slow_loop(tales):
    prompt = "Once upon a time there was a king"
    ids = slow_greedy(tales, tales.tokenizer.encode(prompt), 30, tales.config.eos_token_ids)
    assert tales.generate(prompt, max_new_tokens=30) == tales.tokenizer.decode(ids)
    assert len(ids) > 30


def test_sampling_with_seed_equals_slow_draws_from_the_probabilities():
    """A draw is where a random number falls in the cumulative probabilities; row i takes its numbers from (seed, i)."""
    model, prompts, new = random_model(std=0.3), [[1, 2, 3], [4, 5]], 20
    texts = model.generate(prompts, max_new_tokens=new, do_sample=True, top_k=0, temperature=0.7, seed=5, eos_token_id=[])
    for row, prompt in enumerate(prompts):
        rng, ids = np.random.default_rng([5, row]), list(prompt)
        for _ in range(new):
            probabilities = softmax(model.logits(ids)[-1].astype(float) / 0.7)
            number, token = rng.random(), 0
            while number >= probabilities[token]:
                number -= probabilities[token]
                token += 1
            ids.append(token)
        assert texts[row] == ids


def test_sampling_same_seed_repeats_and_other_seeds_differ():
    model, options = random_model(), {"do_sample": True, "max_new_tokens": 20, "eos_token_id": []}
    texts = [model.generate([1, 2], seed=seed, **options) for seed in (0, 0, 1, None, None)]
    assert texts[0] == texts[1]
    assert len({tuple(text) for text in texts}) == 4


# batches

PROMPTS = [[7], [1, 2, 3, 4, 5, 6, 7, 8, 9], [3, 1], [49, 20, 20, 4, 11], [1, 2, 3]]


@pytest.mark.parametrize("limit", [{"max_new_tokens": 12}, {"max_length": 20}])
@pytest.mark.parametrize("eos_ids", [[], [5, 9, 12, 23, 30, 31, 35, 40, 44, 47]])
def test_batch_greedy_rows_equal_each_prompt_by_itself(limit, eos_ids):
    """However many tokens their neighbours began with, and whenever those end."""
    model = random_model(3, std=0.2)
    together = model.generate(PROMPTS, eos_token_id=eos_ids, **limit)
    longest = [len(prompt) + 12 if "max_new_tokens" in limit else 20 for prompt in PROMPTS]
    for prompt, length, text in zip(PROMPTS, longest, together):
        assert text == slow_greedy(model, prompt, length - len(prompt), eos_ids)
    lengths = {len(text) - len(prompt) for text, prompt in zip(together, PROMPTS)}
    assert len(lengths) > 2 or (limit == {"max_new_tokens": 12} and not eos_ids)  # they do end at different times


def test_batch_sampled_row_does_not_depend_on_other_rows():
    model, options = random_model(3, std=0.2), {"do_sample": True, "seed": 1, "max_new_tokens": 12, "eos_token_id": [5, 9, 12]}
    first = model.generate(PROMPTS[0], **options)
    assert model.generate(PROMPTS, **options)[0] == first
    assert model.generate(PROMPTS[:1] * 4, **options)[0] == first
    fourth = [model.generate([*others, PROMPTS[3]], **options)[3] for others in (PROMPTS[:3], PROMPTS[2::-1], [[8] * 20] * 3)]
    assert fourth[0] == fourth[1] == fourth[2]


def test_batch_equal_prompts_get_different_draws():
    options = {"do_sample": True, "seed": 0, "max_new_tokens": 12, "eos_token_id": []}
    texts = random_model().generate([[1, 2]] * 4, **options)
    assert len({tuple(text) for text in texts}) == 4
    assert random_model().generate([1, 2], num_return_sequences=4, **options) == texts


def test_num_return_sequences_several_prompts_stay_side_by_side():
    texts = BYTE_MODEL.generate(["one", "two"], do_sample=True, num_return_sequences=3, seed=0, max_new_tokens=4)
    assert [text[:3] for text in texts] == ["one"] * 3 + ["two"] * 3
    assert len(set(texts)) == 6


# the end


def test_end_token_ends_the_text_and_is_kept():
    model, ids = random_model(), list(range(10, 20))
    options = {"logits_processor": [forced(ids, 2)], "max_new_tokens": 10}
    assert model.generate([1, 2], **options) == [1, 2, *ids]
    assert model.generate([1, 2], eos_token_id=12, **options) == [1, 2, 10, 11, 12]
    assert model.generate([1, 2], eos_token_id=[17, 14], **options) == [1, 2, 10, 11, 12, 13, 14]
    assert model.generate([1, 12], eos_token_id=12, **options) == [1, 12, 10, 11, 12]  # one in the prompt ends nothing
    model.generation_config["eos_token_id"] = 11
    assert model.generate([1, 2], **options) == [1, 2, 10, 11]
    assert model.generate([1, 2], eos_token_id=[], **options) == [1, 2, *ids]


@pytest.mark.parametrize("given, length", [({}, 24), ({"max_new_tokens": 3}, 7), ({"max_length": 9}, 9)])
def test_length_limit_ends_the_text(given, length):
    assert len(random_model().generate([1, 2, 3, 4], eos_token_id=[], **given)) == length


@pytest.mark.parametrize("given, forced", [({}, 0), ({"min_length": 9}, 5), ({"min_new_tokens": 7}, 7), ({"min_length": 3}, 0)])
def test_minimum_length_delays_the_end_token(given, forced):
    """All tokens but one would end this one; that one is all there is until the least length is reached."""
    ends = [id for id in range(50) if id != 33]
    text = random_model().generate([1, 2, 3, 4], max_new_tokens=20, eos_token_id=ends, **given)
    assert text[4:-1] == [33] * forced and text[-1] != 33


def test_padded_vocabulary_never_generates_an_id_without_token():
    """Rows for such ids are in the weights, and here they would win by far."""
    model = byte_model(vocab_size=len(BYTES) + 43)
    model.params.wte.weight[len(BYTES) :] = model.params.wte.weight[:43] * 5
    assert model.logits([97])[-1].argmax() >= len(BYTES)
    for options in ({}, {"do_sample": True, "temperature": 5.0, "top_k": 0}, {"num_beams": 3}):
        ids = model.generate([[97], [98]], max_new_tokens=30, eos_token_id=[], **options)
        assert max(max(row) for row in ids) < len(BYTES)


def test_vocabulary_of_the_same_size_with_other_ids_never_generates_an_id_without_token():
    """As many tokens as the model has rows, but one of them has an id beyond: one row has no token."""
    tokens = {token: id for token, id in BYTES.vocab.items() if id != len(BYTES) - 1}
    model = byte_model(tokenizer=Tokenizer(tokens | {"<pad>": len(BYTES)}, [], {"<pad>": len(BYTES)}))
    model.params.wte.weight[len(BYTES) - 1] = model.params.wte.weight[model.logits([97])[-1].argmax()] * 5
    assert model.logits([97])[-1].argmax() == len(BYTES) - 1
    assert len(BYTES) - 1 not in model.generate([97], max_new_tokens=30, eos_token_id=[])


# sliding past the last position


def slow_slide(model, prompt, number):
    """Greedy; a full model continues with the last half of its positions, from position 0."""
    positions = model.config.max_position_embeddings
    ids, seen = list(prompt), list(prompt)
    for _ in range(number):
        if len(seen) > positions:
            seen = seen[-max(1, positions // 2) :]
        ids.append(int(np.argmax(model.logits(seen)[-1])))
        seen.append(ids[-1])
    return ids


@pytest.mark.parametrize("positions", [1, 2, 7, 16])
@pytest.mark.parametrize("prompt_length", [1, 7, 40])
def test_slide_full_model_continues_with_the_last_half(positions, prompt_length):
    model = random_model(max_position_embeddings=positions)
    prompt = np.random.default_rng(positions).integers(0, 50, prompt_length).tolist()
    assert model.generate(prompt, max_new_tokens=30, slide=True, eos_token_id=[]) == slow_slide(model, prompt, 30)


def test_slide_batch_rows_equal_each_prompt_by_itself():
    model = random_model(1, std=0.3, max_position_embeddings=16)
    prompts = [[1, 2, 3], [5, 6, 7] * 4, [9] * 40]
    together = model.generate(prompts, max_new_tokens=40, slide=True, eos_token_id=[])
    assert together == [slow_slide(model, prompt, 40) for prompt in prompts]


def test_slide_with_beams_continues_past_the_last_position():
    """One beam that is always far ahead is the greedy text."""
    model = random_model(max_position_embeddings=8)
    ids = np.random.default_rng(0).integers(0, 50, 30).tolist()
    options = {"logits_processor": [forced(ids, 1)], "max_new_tokens": 30, "slide": True, "eos_token_id": []}
    assert model.generate([1], num_beams=2, **options) == [1, *ids]


def test_no_slide_last_position_is_the_limit():
    with pytest.raises(NeoError, match=r"32 positions.*slide=True"):
        random_model().generate([1, 2], max_new_tokens=31)
    assert len(random_model().generate([1, 2], max_new_tokens=30, eos_token_id=[])) == 32


ABSURD = [
    {"num_beams": 10**9},
    {"num_return_sequences": 10**9, "do_sample": True},
    {"num_return_sequences": 10**9, "do_sample": True, "slide": True},
    {"num_beams": 10**9, "num_return_sequences": 10**9},
]


@pytest.mark.parametrize("options", ABSURD)
def test_generate_of_more_sequences_than_memory_holds_is_refused_at_once(options):
    with pytest.raises(NeoError, match=r"1,000,000,000 sequences needs at least .* GB of memory.*num_beams"):
        random_model().generate([1, 2], max_new_tokens=3, **options)
