"""The tables."""

from neo_np.bench import report
from neo_np.bench.backends import roofline
from neo_np.bench.benchmarks import NEO, ROOFLINE
from neo_np.bench.job import Job


def entry(*rounds, **more):
    return {"rounds": list(rounds), "median": sorted(rounds)[len(rounds) // 2], "threads": None, "peak_mb": 99.6} | more


def words(lines):
    return [line.split() for line in lines]


def test_rows_with_a_roofline_begin_with_its_share(tiny):
    job = Job(str(tiny))
    entries = {NEO: entry(300.0, 1200.0, 100.0), "transformers": entry(150.0, 10.0, 200.0, threads=2), ROOFLINE: entry(400.0)}
    head = report.table_head("decode", list(entries))
    assert head[2].split() == "tokens/s, more is better of roofline median lowest highest ratio".split()
    rows = report.case_rows("decode", "batch 1 after 8 tokens", entries, job)
    rate = 400 * roofline.decode_bytes(job.config, 1, 8) / 1e9
    assert words(rows) == [
        "batch 1 after 8 tokens neo_np 75% 300 100 1,200".split(),
        "transformers, 2 threads 38% 150 10.0 200 2.00 x".split(),
        f"roofline {rate:.1f} GB/s 400 400 400".split(),
    ]
    assert max(map(len, [*head, *rows])) < 100
    flop = 400 / 8 * roofline.prefill_flop(job.config, 8) / 1e9
    assert f"{flop:.1f} GFLOP/s" in report.case_rows("prefill", "8 tokens", entries, job)[2]


def test_rows_of_a_benchmark_where_less_is_better_turn_the_ratio(tiny):
    rows = report.case_rows("start", "", {NEO: entry(0.25), "transformers": entry(4.0, threads=1)}, Job(str(tiny)))
    assert words(rows) == ["neo_np 0.250 0.250 0.250".split(), "transformers, 1 thread 4.00 4.00 4.00 16.0 x".split()]


def test_last_column_is_what_else_was_measured(tiny):
    job = Job(str(tiny))
    weights = roofline.weight_bytes(job.config) / 2**20
    assert report.case_rows("memory", "long", {NEO: entry(50 + weights)}, job)[0].endswith(" 50.0 MB")
    assert report.case_rows("train", "", {NEO: entry(7.0)}, job)[0].endswith(" 100 MB")
    assert report.case_rows("speculative", "ordinary text", {NEO: entry(7.0, accepted=0.25)}, job)[0].endswith(" 25%")


def test_rows_of_parts_have_medians_and_their_share_of_all(tiny):
    parts = {"linear": [1.0, 2.0, 9.0], "the rest": [3.0, 1.0, 2.0]}
    rows = report.case_rows("parts", "after 8 tokens", {NEO: entry(4.0, 8.0, 10.0, parts=parts)}, Job(str(tiny)))
    assert words(rows) == [
        "after 8 tokens: all neo_np 8.00 4.00 10.0".split(),
        "linear neo_np 2.00 1.00 9.00 25%".split(),
        "the rest neo_np 2.00 1.00 3.00 25%".split(),
    ]


def test_notes_follow_the_row_or_take_its_place(tiny):
    entries = {
        NEO: entry(4.0),
        "transformers": entry(2.0, threads=1, note="1 of 5 rounds"),
        "openvino": {"rounds": [], "threads": None, "note": "no answer within 600 s"},
    }
    rows = report.case_rows("prefill", "8 tokens", entries, Job(str(tiny)))
    assert [line.strip() for line in rows[2:]] == ["(transformers: 1 of 5 rounds)", "(openvino: no answer within 600 s)"]


def test_short_has_three_digits():
    numbers = {0.00123: "0.001", 0.25: "0.250", 2.345: "2.35", 23.45: "23.4", 234.5: "234", 23456.0: "23,456", -2.0: "-2.00"}
    assert {number: report.short(number) for number in numbers} == numbers
