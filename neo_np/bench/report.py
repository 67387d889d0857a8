"""What is measured, as a table for a terminal of a hundred columns."""

from neo_np.bench import limits
from neo_np.bench.works import LIMIT, NEO, WORKS

LAST_COLUMN = {
    "decode": "of limit",
    "prefill": "of limit",
    "speculative": "accepted",
    "memory": "- weights",
    "train": "peak memory",
    "parts": "of all",
}
WIDTHS = 27, 24, 9, 9, 9, 8, 12


def heading(facts):
    """Return the lines that stand above the tables: the machine, the model, the other sides, the rounds."""
    m = facts["machine"]
    lines = [
        f"machine: {m['processor']}, {m['cores']} cores; {m['system']}",
        f"python:  {m['python']}, NumPy {m['numpy']} ({m['blas']})",
    ]
    if m["environment"]:
        lines.append(f"set:     {m['environment']}")
    if facts["model"]:
        lines.append(f"model:   {facts['model']}")
    lines += [f"{'peer:':<9}{name}{f' ({made_of})' if made_of else ''}" for name, made_of in facts["peers"].items()]
    return [*lines, f"rounds:  {facts['rounds']}, the sides taking turns; ratio: how many times as good as the peer neo_np is"]


def ratio(work, sides, name):
    """Return how many times as good as another side ours is, by the medians."""
    ours, theirs = sides[NEO]["median"], sides[name]["median"]
    return theirs / ours if WORKS[work].less_is_better else ours / theirs


def table(work, found, job):
    """Return the lines of a work: a row for each side of each case, with medians, ranges, ratios."""
    better = "less" if WORKS[work].less_is_better else "more"
    last = LAST_COLUMN.get(work, "")
    compared = any(name not in (NEO, LIMIT) for sides in found.values() for name in sides)
    lines = [
        "",
        f"{work}: {WORKS[work].about}",
        row(f"{WORKS[work].unit}, {better} is better", "", "median", "lowest", "highest", "ratio" if compared else "", last),
    ]
    for label, sides in found.items():
        for name, entry in sides.items():
            threads = f", {entry['threads']} thread{'s' * (entry['threads'] > 1)}" if entry["threads"] else ""
            numbers = [short(x) for x in (entry["median"], min(entry["rounds"]), max(entry["rounds"]))]
            times = "" if name in (NEO, LIMIT) else f"{ratio(work, sides, name):.2f} x"
            last_cell = remark(work, label, sides, name, job)
            lines.append(row(label if name == NEO else "", name + threads, *numbers, times, last_cell))
    return lines


def remark(work, label, sides, name, job):
    """Return what the last column says: the share of a limit or of guesses, the memory beyond the weights, the peak."""
    entry = sides[name]
    if name == LIMIT:
        rate, unit = limit_rate(work, WORKS[work].cases(job.config)[label], entry["median"], job.config)
        return f"{rate:.1f} {unit}"
    if LIMIT in sides:
        return f"{entry['median'] / sides[LIMIT]['median']:.0%}"
    if work == "speculative":
        return f"{entry['accepted']:.0%}" if name == NEO else ""
    if work == "parts":
        return f"{entry['share']:.0%}"
    if work == "memory":
        return f"{short(entry['median'] - limits.weight_bytes(job.config) / 2**20)} MB"
    return f"{entry['peak_mb']:,.0f} MB" if work == "train" and entry["peak_mb"] else ""


def limit_rate(work, case, tokens_per_second, config):
    """Return the rate behind a limit in tokens per second, and its unit."""
    if work == "decode":
        batch, context = case
        return tokens_per_second / batch * limits.decode_bytes(config, batch, context) / 1e9, "GB/s"
    return tokens_per_second / case * limits.prefill_flop(config, case) / 1e9, "GFLOP/s"


def row(label, side, *cells):
    """Return one line of a table: two columns from the left, the others from the right."""
    widths = iter(WIDTHS)
    line = f"{label:<{next(widths)}}{side:<{next(widths)}}" + "".join(f"{cell:>{next(widths)}}" for cell in cells)
    return line.rstrip()


def short(number):
    """Return a number with three digits, or with all before the point where there are more."""
    digits = 3 if abs(number) < 1 else 2 if abs(number) < 10 else 1 if abs(number) < 100 else 0
    return f"{number:,.{digits}f}"
