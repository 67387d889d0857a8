"""The process of one side: `python -m neo_np.bench.worker WORK SIDE`, the job as JSON on the first line of standard input.

Each further line is a list [case] or [case, threads], and is answered with one line {"value", "peak_mb"} of JSON; the value
is what run(case) returns, or what it has under this name in a dict of several things.
"""

import json
import sys

from neo_np.bench.job import Job
from neo_np.bench.measure import peak_mb
from neo_np.bench.works import WORKS
from neo_np.terminal import run_command


def main(arguments=None):
    """Answer until the input ends, and return the exit status."""
    work, side = sys.argv[1:] if arguments is None else arguments
    return run_command(lambda: serve(WORKS[work].sides[side]))


def serve(side):
    """Set a side up and measure whatever it is asked for."""
    run = side(Job(**json.loads(sys.stdin.readline())))
    for line in sys.stdin:
        found = run(*json.loads(line))
        answer = found if isinstance(found, dict) else {"value": found}
        print(json.dumps(answer | {"peak_mb": peak_mb()}), flush=True)
    return 0


if __name__ == "__main__":
    sys.exit(main())
