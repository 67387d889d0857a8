"""The limits of the machine."""

import numpy as np
import pytest
from helpers import random_model

from neo_np.bench.backends import roofline
from neo_np.bench.job import Job


@pytest.mark.parametrize("tied", [True, False])
def test_decode_bytes_are_all_weights_keys_and_values_that_a_step_reads(tied):
    model = random_model(tie_word_embeddings=tied)
    named = model.params.flat()
    read = [a.nbytes for name, a in named.items() if name != "wpe.weight" and (tied or name != "wte.weight")]
    cache = model.new_cache(batch=3, capacity=32)
    tokens = 26  # after 20 tokens there is room for 12 steps; this is the number of tokens in the middle of them
    assert roofline.weight_bytes(model.config) == sum(a.nbytes for a in named.values())
    keys_and_values = [cache.k[0, :, :, :tokens], cache.v[0, :, :, :tokens], cache.k[1, :, :, -4:], cache.v[1, :, :, -4:]]
    assert roofline.decode_bytes(model.config, 3, 20) == sum(read) + sum(a.nbytes for a in keys_and_values)


def test_prefill_flop_counts_every_product_that_a_prompt_needs():
    config = random_model().config  # C=24, F=96, V=50, a global layer and a local one that sees 4
    keys_and_values, others = [(24, 24)] * 2, [(24, 24)] * 2 + [(24, 96), (96, 24)]
    first = sum(2 * 5 * rows * columns for rows, columns in keys_and_values + others)
    first += sum(2 * 2 * 24 for query in range(5) for key in range(query + 1))
    # In the last block, only the last token is needed; for it, the keys and values of all tokens are.
    last = sum(2 * 5 * rows * columns for rows, columns in keys_and_values)
    last += sum(2 * rows * columns for rows, columns in others)
    last += sum(2 * 2 * 24 for key in range(5) if key > 4 - 4)
    assert roofline.prefill_flop(config, 5) == first + last + 2 * 50 * 24


def test_rooflines_are_the_rates_of_what_they_read_and_multiply(tiny, monkeypatch):
    job = Job(str(tiny))
    monkeypatch.setattr(roofline, "seconds_per_call", lambda way, seconds: (way(), 1.0)[1])
    read = roofline.weight_bytes(job.config) / roofline.decode_bytes(job.config, 8, 24)
    assert roofline.decode(job)([8, 24]) == pytest.approx(8 * read)
    products = 2 * 8 * (4 * 24 * 24 + 2 * 24 * 96)
    assert roofline.prefill(job)(8) == pytest.approx(8 * products / (4 / 2) / roofline.prefill_flop(job.config, 8))


def test_ways_to_read_read_every_number():
    matrix = np.arange(12.0, dtype="f").reshape(3, 4)
    products, sums, maxima = [0, 1], 3, 2
    ways = roofline.ways_to_read(matrix)
    assert [np.sum(ways[i]()) for i in products] == [66, 66]
    assert np.sum(ways[sums]()) == 66
    assert np.max(ways[maxima]()) == 11
