"""About how long a run takes."""

import pytest

from neo_np.bench import estimate
from neo_np.bench.backends import roofline
from neo_np.bench.benchmarks import BENCHMARKS, NEO
from neo_np.bench.job import Job

SPEEDS = 1e6, 1e5  # floating-point operations and bytes per second of a slow machine


def test_calls_take_the_time_of_their_products_and_of_the_weights_they_read(tiny):
    job = Job(str(tiny))
    weights = roofline.weight_bytes(job.config) / 4
    found = [estimate.call_seconds(BENCHMARKS["memory"], job, case, SPEEDS) for case in (16,)]
    assert found == [(0.0, pytest.approx(16 * 2 * weights / 1e6 + 16 * 4 * weights / 1e5))]
    assert estimate.call_seconds(BENCHMARKS["decode"], job, (8, 24), SPEEDS)[0] == pytest.approx(8 * 24 * 2 * weights / 1e6)
    assert estimate.call_seconds(BENCHMARKS["tokenizer"], job, "decode", SPEEDS) == (0.0, 0.0)


def test_fast_calls_fill_the_seconds_of_each_round(tiny):
    found = estimate.benchmark_seconds("prefill", NEO, Job(str(tiny), seconds=2.0), 9, 60.0, (1e15, 1e15))
    assert found == pytest.approx(2 * 10 * (2.0 + estimate.PAUSE), rel=0.1)  # two cases; a warm-up and nine rounds


def test_peers_with_threads_measure_four_times_before_the_rounds(tiny):
    found = estimate.benchmark_seconds("prefill", "transformers", Job(str(tiny), seconds=2.0), 9, 1e9, (1e15, 1e15))
    assert found == pytest.approx(estimate.PEER_START + 2 * (9 + 4) * (2.0 + estimate.PAUSE))


def test_slow_peers_are_bounded(tiny):
    job, seconds = Job(str(tiny), seconds=1.0), {}
    for peer_seconds in (10.0, 1e9):
        seconds[peer_seconds] = estimate.benchmark_seconds("prefill", "transformers", job, 100, peer_seconds, (1e9, 1e9))
    assert seconds[10.0] < 60 < 200 < seconds[1e9]


def test_machine_speeds_are_those_of_a_computer():
    flop_per_second, bytes_per_second = estimate.machine_speeds()
    assert 1e7 < flop_per_second < 1e15
    assert 1e6 < bytes_per_second < 1e13


def test_durations_are_rounded():
    durations = {0.4: "10 s", 44: "40 s", 89: "90 s", 100: "2 min", 3000: "50 min", 5400: "1.5 h", 36000: "10.0 h"}
    assert {seconds: estimate.duration(seconds) for seconds in durations} == durations
