"""Damage every file that neo_np reads, and use it: the answer must be a result or a NeoError.

    python tests/fuzz/fuzz.py --count 1000000
    python tests/fuzz/fuzz.py --seed 17 --count 1     # one input again

Input number n is made from the seed n only.
"""

import argparse
import os
import random
import resource
import shutil
import signal
import sys
import tempfile
import time
import traceback
import warnings
from collections import Counter
from dataclasses import dataclass
from pathlib import Path

os.environ["OPENBLAS_NUM_THREADS"] = "1"  # before NumPy is imported: for small models, threads only wait for each other
if __name__ == "__main__":
    sys.path.pop(0)  # this folder, in which "fuzz" is this file and not the folder
sys.path.insert(0, str(Path(__file__).resolve().parents[1]))
sys.path.insert(0, str(Path(__file__).resolve().parents[2]))

from fuzz.damage import damage
from fuzz.targets import TARGETS

from neo_np import NeoError

MEMORY = Path("/dev/shm")  # a folder in memory, where there is one
MOST_SECONDS = 60  # for one input, on a machine that may be busy
MOST_MEMORY = 8 * 2**30  # bytes of addresses: what asks for more fails at once


class TooLongError(BaseException):
    """Raised if an input takes more than MOST_SECONDS."""


@dataclass(frozen=True)
class Outcome:
    """What became of one input. failure: None, or the exception that was no NeoError."""

    seed: int
    target: str
    damage: str
    refused: bool = False
    failure: BaseException | None = None

    def __str__(self):
        return f"seed {self.seed}, {self.target}: {self.damage}"

    @property
    def cause(self):
        """The kind of exception and the line of neo_np that raised it."""
        frames = [frame for frame in traceback.extract_tb(self.failure.__traceback__) if "neo_np/" in frame.filename]
        line = f"{frames[-1].filename.rpartition('neo_np/')[2]}:{frames[-1].lineno}" if frames else "elsewhere"
        return f"{type(self.failure).__name__} in {line}"


class Fuzzer:
    """Undamaged files of every target, in a temporary folder."""

    def __init__(self, folder):
        self.folder, self.work = Path(folder), Path(folder) / "work"
        for name, target in TARGETS.items():
            target.make(self.folder / name)
            self.prepare(name)
            target.use(self.work, seed=0)  # undamaged files are not refused

    def prepare(self, name):
        """Copy the files of a target to the work folder."""
        for leftover in (self.work, self.work.with_name("again")):
            shutil.rmtree(leftover, ignore_errors=True)
        shutil.copytree(self.folder / name, self.work)

    def run(self, seed):
        """Make the input with this seed, use it, and return its `Outcome`."""
        rng = random.Random(seed)
        [name] = rng.choices(list(TARGETS), [target.weight for target in TARGETS.values()])
        self.prepare(name)
        files = sorted(path for path in self.work.rglob("*") if path.is_file())
        chosen = rng.choices(files, [1 if path.suffix == ".safetensors" else 3 for path in files], k=rng.choice([1, 1, 1, 2]))
        done = "; ".join(damage(path, rng) for path in dict.fromkeys(chosen))
        signal.setitimer(signal.ITIMER_REAL, MOST_SECONDS)
        try:
            TARGETS[name].use(self.work, seed)
            return Outcome(seed, name, done)
        except NeoError:
            return Outcome(seed, name, done, refused=True)
        except (Exception, TooLongError, SystemExit) as error:
            return Outcome(seed, name, done, failure=error)
        finally:
            signal.setitimer(signal.ITIMER_REAL, 0)


def on_alarm(number, frame):
    """End the input that takes too long."""
    raise TooLongError(f"more than {MOST_SECONDS} seconds")


def main(arguments=None):
    """Run inputs and print what happened; return 1 if any failed, else 0."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--count", type=int, default=3000, help="how many inputs (default: 3000)")
    parser.add_argument("--seed", type=int, default=0, help="the first seed (default: 0)")
    args = parser.parse_args(arguments)
    warnings.simplefilter("ignore")
    signal.signal(signal.SIGALRM, on_alarm)
    resource.setrlimit(resource.RLIMIT_AS, (MOST_MEMORY, MOST_MEMORY))
    began, counts, causes = time.perf_counter(), Counter(), Counter()
    with tempfile.TemporaryDirectory(dir=MEMORY if MEMORY.is_dir() else None) as folder:
        fuzzer = Fuzzer(folder)
        for seed in range(args.seed, args.seed + args.count):
            outcome = fuzzer.run(seed)
            counts["failed" if outcome.failure else "refused" if outcome.refused else "worked"] += 1
            if outcome.failure:
                causes[outcome.cause] += 1
                if causes[outcome.cause] == 1:
                    print(f"\n{outcome}", flush=True)
                    traceback.print_exception(outcome.failure, limit=-4, file=sys.stdout)
    for cause, times in causes.most_common():
        print(f"{times:6} x {cause}")
    seconds = time.perf_counter() - began
    print(
        f"{args.count} inputs in {seconds:.0f} s: "
        + ", ".join(f"{counts[key]} {key}" for key in ("worked", "refused", "failed"))
    )
    return 1 if counts["failed"] else 0


if __name__ == "__main__":
    sys.exit(main())
