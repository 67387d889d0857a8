"""Measurements as the lines of tables, for a terminal of a hundred columns."""

import statistics

from neo_np.bench.backends import roofline
from neo_np.bench.benchmarks import BENCHMARKS, NEO, ROOFLINE
from neo_np.bench.job import Job

LAST_COLUMN = {"speculative": "accepted", "memory": "- weights", "train": "peak memory", "parts": "of all"}
LABEL, BACKEND, SHARE, NUMBER, RATIO, LAST = 27, 24, 13, 9, 8, 12  # widths


def heading(facts: dict) -> list[str]:
    """Return the lines above the tables: the machine, the model, the peers, the rounds."""
    m = facts["machine"]
    lines = [
        f"machine: {m['processor']}, {m['cores']} core{'s' * (m['cores'] > 1)}; {m['system']}",
        f"python:  {m['python']}, NumPy {m['numpy']} ({m['blas']})",
    ]
    if m["environment"]:
        lines.append(f"set:     {m['environment']}")
    if facts["model"]:
        lines.append(f"model:   {facts['model']}")
    lines += [f"{'peer:':<9}{name}{f' ({packages})' if packages else ''}" for name, packages in facts["peers"].items()]
    return [
        *lines,
        f"rounds:  {facts['rounds']}; each backend measures once in every round, and medians are compared",
        "ratio:   2.0 x means that neo_np is twice as good as this backend",
    ]


def ratio(benchmark: str, entries: dict[str, dict], backend: str) -> float:
    """Return the ratio of neo_np to another backend, by the medians: 2 if neo_np is twice as good."""
    neo, other = entries[NEO]["median"], entries[backend]["median"]
    return other / neo if BENCHMARKS[benchmark].less_is_better else neo / other


def table_head(benchmark: str, backends: list[str]) -> list[str]:
    """Return the lines above the rows of a benchmark: what it measures, and the names of the columns."""
    better = "less" if BENCHMARKS[benchmark].less_is_better else "more"
    is_compared = any(name not in (NEO, ROOFLINE) for name in backends)
    share = "of roofline" if ROOFLINE in backends else None
    return [
        "",
        f"{benchmark}: {BENCHMARKS[benchmark].about}",
        row(
            f"{BENCHMARKS[benchmark].unit}, {better} is better",
            "",
            share,
            ["median", "lowest", "highest"],
            "ratio" if is_compared else "",
            LAST_COLUMN.get(benchmark, ""),
        ),
    ]


def case_rows(benchmark: str, label: str, entries: dict[str, dict], job: Job) -> list[str]:
    """Return the rows of a case: one for each backend, one for each part of the model, one for each note."""
    lines = []
    has_roofline = ROOFLINE in BENCHMARKS[benchmark].backends
    for name, entry in entries.items():
        if entry["rounds"]:
            lines.append(
                row(
                    f"{label}: all" if "parts" in entry else label if name == NEO else "",
                    name + (f", {entry['threads']} thread{'s' * (entry['threads'] > 1)}" if entry["threads"] else ""),
                    share_of_roofline(benchmark, label, entries, name, job) if has_roofline else None,
                    numbers(entry["rounds"]),
                    f"{short(ratio(benchmark, entries, name))} x" if name not in (NEO, ROOFLINE) and NEO in entries else "",
                    remark(benchmark, entry, name, job),
                )
            )
        for part, rounds in entry.get("parts", {}).items():
            share = statistics.median(rounds) / entry["median"]
            lines.append(row(f"  {part}", name, None, numbers(rounds), "", f"{share:.0%}"))
        if "note" in entry:
            lines.append(row("", f"({name}: {entry['note']})"))
    return lines


def numbers(rounds: list[float]) -> list[str]:
    """Return median, lowest and highest of the rounds."""
    return [short(x) for x in (statistics.median(rounds), min(rounds), max(rounds))]


def share_of_roofline(benchmark: str, label: str, entries: dict[str, dict], name: str, job: Job) -> str:
    """Return the share of the roofline that a backend reaches, or the roofline's own rate in GB/s or GFLOP/s."""
    if ROOFLINE not in entries:
        return ""
    if name != ROOFLINE:
        return f"{entries[name]['median'] / entries[ROOFLINE]['median']:.0%}"
    case, speed = BENCHMARKS[benchmark].cases(job.config)[label], entries[name]["median"]
    if benchmark == "decode":
        batch, context = case
        return f"{speed / batch * roofline.decode_bytes(job.config, batch, context) / 1e9:.1f} GB/s"
    return f"{speed / case * roofline.prefill_flop(job.config, case) / 1e9:.1f} GFLOP/s"


def remark(benchmark: str, entry: dict, name: str, job: Job) -> str:
    """Return the last column: draft tokens accepted, memory beyond the weights, or peak memory."""
    if benchmark == "speculative":
        return f"{entry['accepted']:.0%}" if name == NEO else ""
    if benchmark == "memory":
        return f"{short(entry['median'] - roofline.weight_bytes(job.config) / 2**20)} MB"
    return f"{entry['peak_mb']:,.0f} MB" if benchmark == "train" and entry["peak_mb"] else ""


def row(label: str, backend: str, share: str | None = None, values: list[str] | None = None, times: str = "", last: str = ""):
    """Return one line of a table; a benchmark without a roofline (None) has no such column."""
    line = f"{label:<{LABEL}}{backend:<{BACKEND}}" + ("" if share is None else f"{share:>{SHARE}}")
    line += "".join(f"{value:>{NUMBER}}" for value in values or [])
    return f"{line}{times:>{RATIO}}{last:>{LAST}}".rstrip()


def short(number: float) -> str:
    """Return a number with three digits, or with all digits before the point if there are more."""
    digits = 3 if abs(number) < 1 else 2 if abs(number) < 10 else 1 if abs(number) < 100 else 0
    return f"{number:,.{digits}f}"
