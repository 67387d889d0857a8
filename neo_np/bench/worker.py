"""The process of one backend: `python -m neo_np.bench.worker BENCHMARK BACKEND`.

The first line of standard input is the job as JSON. Each further line is a list [case] or [case, threads], and is answered with
one line of JSON: {"value": ..., "peak_mb": ...}. The value is the result of run(case); a result that is a dict is added whole.
"""

import json
import sys
from collections.abc import Callable

from neo_np.bench.benchmarks import BENCHMARKS
from neo_np.bench.job import Job
from neo_np.bench.measure import peak_mb
from neo_np.terminal import run_command


def main(arguments: list[str] | None = None) -> int:
    """Answer until the input ends, and return the exit status."""
    benchmark, backend = sys.argv[1:] if arguments is None else arguments
    return run_command(lambda: serve(BENCHMARKS[benchmark].backends[backend]))


def serve(backend: Callable) -> int:
    """Set a backend up and measure each case that is asked for."""
    run = backend(Job(**json.loads(sys.stdin.readline())))
    for line in sys.stdin:
        result = run(*json.loads(line))
        answer = result if isinstance(result, dict) else {"value": result}
        print(json.dumps(answer | {"peak_mb": peak_mb()}), flush=True)
    return 0


if __name__ == "__main__":
    sys.exit(main())
