"""About how long a run will take: from the tokens of each case, the size of the model and a short test of this machine."""

import numpy as np

from neo_np.bench.backends.roofline import FLOAT, weight_bytes
from neo_np.bench.benchmarks import BENCHMARKS, NEO, PEERS, THREADED, Benchmark
from neo_np.bench.cases import Tokens
from neo_np.bench.job import Job
from neo_np.bench.measure import seconds_per_call
from neo_np.bench.process import PAUSE

STARTS_EACH_TIME = "start", "load", "memory"  # benchmarks in which every measurement starts a process
# Rough numbers: the seconds until a process is ready, those to export or compile a model, and how many times as long as
# neo_np another backend takes for a call.
OWN_START, PEER_START = 0.3, 8.0
SETUP = {"torch.compile": 40.0, "onnxruntime": 30.0, "openvino": 30.0}
SLOWER = 3


def total_seconds(plan: dict[str, list[str]], job: Job, rounds: int, peer_seconds: float) -> float:
    """Return about how many seconds {benchmark: backends} will take."""
    speeds = machine_speeds()
    return sum(
        benchmark_seconds(name, backend, job, rounds, peer_seconds, speeds)
        for name, backends in plan.items()
        for backend in backends
    )


def machine_speeds() -> tuple[float, float]:
    """Return the floating-point operations per second of a matrix product, and the bytes per second that BLAS reads."""
    square, large = np.ones((1024, 1024), "f"), np.ones((4096, 4096), "f")
    flop, vector = 2 * square.size * len(square), large[0]
    return flop / seconds_per_call(lambda: square @ square, 0.05), large.nbytes / seconds_per_call(lambda: large @ vector, 0.05)


def benchmark_seconds(name, backend, job, rounds, peer_seconds, speeds) -> float:
    """Return about how many seconds one backend takes for a benchmark."""
    benchmark, is_peer = BENCHMARKS[name], backend in PEERS
    start = PEER_START if is_peer else OWN_START
    start_each_time = start if name in STARTS_EACH_TIME else 0.0
    measurements = rounds + (4 if backend in THREADED else 1)  # the warm-up tries two numbers of threads, each twice
    total = start + SETUP.get(backend, 0.0)
    for case in benchmark.cases(benchmark.config(job)).values():
        before, call = call_seconds(benchmark, job, case, speeds)
        call *= 1 if backend == NEO else SLOWER
        measurement = PAUSE + start_each_time + call + max(call, job.seconds)  # one call before them does not count
        in_all = measurements * measurement
        # The first answer of a peer is not part of its peer_seconds, and its last one may begin just before they end.
        total += before + (min(in_all, peer_seconds + 2 * measurement) if is_peer else in_all)
    return total


def call_seconds(benchmark: Benchmark, job: Job, case, speeds: tuple[float, float]) -> tuple[float, float]:
    """Return about how many seconds the model needs before all calls of a case, and for each call."""
    config, tokens = benchmark.config(job), benchmark.tokens(job, case)
    if config is None or tokens == Tokens():
        return 0.0, 0.0
    flop_per_second, bytes_per_second = speeds
    size = weight_bytes(config)
    read, write = 2 * size / FLOAT / flop_per_second, size / bytes_per_second  # seconds of a token
    return read * tokens.before, read * tokens.read + write * tokens.written


def duration(seconds: float) -> str:
    """Return a rounded duration with its unit, such as 40 s, 3 min or 2.0 h."""
    if seconds < 90:
        return f"{max(10, round(seconds, -1)):.0f} s"
    return f"{seconds / 60:.0f} min" if seconds < 90 * 60 else f"{seconds / 3600:.1f} h"
