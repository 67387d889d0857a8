"""The cases of each benchmark, and what they work on."""

from helpers import random_model

from neo_np.bench.benchmarks import BENCHMARKS
from neo_np.bench.cases import Tokens, decode_cases, growth_cases, memory_cases, parts_cases, prefill_cases
from neo_np.bench.job import Job


def test_cases_of_a_large_model_reach_2048_tokens():
    large = random_model(max_position_embeddings=2048).config
    assert list(prefill_cases(large).values()) == [8, 512, 2048]
    assert list(decode_cases(large).values()) == [(1, 8), (1, 1536), (8, 8), (8, 1536)]
    assert list(memory_cases(large)) == ["prefill 2032, decode 16"]
    assert list(parts_cases(large).values()) == [("prefill", 512), ("decode", 8), ("decode", 1536)]
    assert [case[2] for case in growth_cases(large).values()][:8] == [240, 496, 752, 1008, 1264, 1520, 1776, 2032]
    assert [case[2] for case in growth_cases(large).values()][-8:] == [256, 512, 768, 1024, 1280, 1536, 1792, 2048]


def test_cases_of_a_tiny_model_fit_its_positions():
    small = random_model(max_position_embeddings=16).config
    assert list(prefill_cases(small).values()) == [8, 16]
    assert list(decode_cases(small).values()) == [(1, 4), (1, 12), (8, 4), (8, 12)]
    assert list(memory_cases(small).values()) == [8]


def test_tokens_of_each_case_are_those_of_one_call(tiny):
    job = Job(str(tiny), train={"steps": 4, "batch_size": 2, "sequence_length": 16})  # 32 positions
    tokens = {
        name: [benchmark.tokens(job, case) for case in benchmark.cases(job.config).values()]
        for name, benchmark in BENCHMARKS.items()
    }
    assert tokens["prefill"] == [Tokens(8), Tokens(32)]
    assert tokens["decode"][0] == Tokens(written=16, before=8)
    assert tokens["decode"][3] == Tokens(written=8, before=8 * 24)
    assert tokens["batch"][1] == Tokens(read=2 + 4 + 6 + 8 + 10 + 12 + 14 + 16, written=16)
    assert tokens["speculative"] == [Tokens(8, 24)] * 2
    assert tokens["memory"] == [Tokens(16, 16)]
    assert tokens["tokenizer"] == [Tokens()] * 3
    assert tokens["train"] == [Tokens(3 * 4 * 2 * 16)]


def test_text_without_a_file_is_half_a_megabyte_of_english(tiny):
    text = Job(str(tiny)).text()
    assert 400_000 < len(text) <= 500_000
    words = text.lower().split()
    assert words.count("the") > len(words) / 40
    assert len(set(words)) > 5000


def test_text_with_a_byte_order_mark_is_read_without_it(tiny, tmp_path):
    (tmp_path / "text.txt").write_bytes(b"\xef\xbb\xbfking")
    assert Job(str(tiny), text_file=str(tmp_path / "text.txt")).text() == "king"
