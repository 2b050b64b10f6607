"""What is shown of findings: a table for the terminal, the figures block of docs/performance.md, and the JSON."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from benchmarks.findings import UNITS, Finding, Judged, Line, Spread, decode, encode, judge
from stages.base import files

BEGIN, END = "<!-- figures: begin (written by `python -m benchmarks --write`) -->", "<!-- figures: end -->"
_COLUMNS = ("what", "podwright", "compared with", "ratio", "target", "met")
_QUANTITIES = {"cpu": "CPU", "wall": "time", "first": "to the first instruction", "peak": "memory"}


class Results(NamedTuple):
    """One run of the benchmarks. command: as it was typed. machine: see machine.facts. missing: measure -> why not."""

    date: str
    command: str
    rounds: int
    machine: dict[str, str]
    findings: list[Finding]
    missing: dict[str, str]


def save(results: Results, folder: Path) -> Path:
    """Keep a run as <folder>/<date>.json."""
    folder.mkdir(exist_ok=True)
    document = {**results._asdict(), "findings": [encode(one) for one in results.findings]}
    path = folder / f"{results.date.replace(':', '').replace(' ', '-')}.json"
    files.publish(path, json.dumps(document, indent=1).encode(), 0o644)
    return path


def load(path: Path) -> Results:
    """What `save` kept."""
    document: dict[str, Any] = json.loads(path.read_bytes())
    return Results(**{**document, "findings": [decode(one) for one in document["findings"]]})


def text(results: Results) -> str:
    """The table for a terminal."""
    rows = [_COLUMNS, *(row for finding in results.findings for row in _rows(finding))]
    widths = [max(len(row[column]) for row in rows) for column in range(len(_COLUMNS))]
    lines = ["  ".join(word.ljust(width) for word, width in zip(row, widths, strict=True)).rstrip() for row in rows]
    lines += [f"not measured: {name} ({why})" for name, why in results.missing.items()]
    return "\n".join(lines)


def markdown(results: Results) -> str:
    """The figures block: the run, the machine, the table, what the measures noted, the plots."""
    machine = "; ".join(f"{name} {value}" for name, value in results.machine.items())
    parts = [
        f"`{results.command}` on {results.date} (UTC), {results.rounds} runs of everything, in turn. {machine}.",
        "Each cell: the median (smallest to largest).",
        _table(results.findings),
    ]
    notes = [f"- {finding.name}: {note}" for finding in results.findings for note in finding.notes]
    notes += [f"- {name} was not measured: {why}." for name, why in results.missing.items()]
    if notes:
        parts.append("\n".join(notes))
    parts += [f"![{plot.title}](plots/{plot.name}.svg)" for finding in results.findings for plot in finding.plots]
    return "\n\n".join(parts)


def write(results: Results, page: Path) -> None:
    """Put the figures into the page between its markers, and the plots beside it. Raises ValueError without markers."""
    from benchmarks import plots

    before, begin, rest = page.read_text().partition(BEGIN)
    _, end, after = rest.partition(END)
    if not begin or not end:
        raise ValueError(f"{page} has no markers for the figures")
    folder = page.parent / "plots"
    folder.mkdir(exist_ok=True)
    for finding in results.findings:
        for plot in finding.plots:
            files.publish(folder / f"{plot.name}.svg", plots.svg(plot).encode(), 0o644)
    files.publish(page, f"{before}{begin}\n{markdown(results)}\n{end}{after}".encode(), 0o644)


def _table(findings: Sequence[Finding]) -> str:
    lines = ["| " + " | ".join(_COLUMNS) + " |", "|---" * len(_COLUMNS) + "|"]
    for finding in findings:
        for row in _rows(finding):
            lines.append("| " + " | ".join(word.replace("|", "\\|") for word in row) + " |")
    return "\n".join(lines)


def _rows(finding: Finding) -> Iterator[tuple[str, ...]]:
    for line in finding.lines:
        found = judge(finding, line)
        peer = f"{line.peer}: {shown(found.peer, line.quantity)}" if found.peer else ""
        ratio = "" if found.ratio is None else f"{found.ratio:.3g}"
        met = "" if found.met is None else ("yes" if found.met else "**no**")
        what = f"{finding.name}: {line.what}, {_QUANTITIES.get(line.quantity, line.quantity)}"
        yield what, shown(found.ours, line.quantity), peer, ratio, _target(line, found), met


def _target(line: Line, found: Judged) -> str:
    if found.limit is None:
        return ""
    sign = "≥" if line.at_least else "≤"
    plus = amount(line.plus, line.quantity) if line.plus is not None else ""
    if line.factor is None:
        return f"{sign} {plus}"
    times = f"{sign} {line.factor:g} x" + (" its best" if line.against == "low" else "")
    return f"{times} + {plus}" if plus else times


def shown(spread: Spread | None, quantity: str) -> str:
    """A spread for people: median (smallest to largest)."""
    if spread is None:
        return ""
    low, median, high = (amount(one, quantity) for one in (spread.low, spread.median, spread.high))
    return f"{median} ({low} to {high})"


def amount(value: float, quantity: str) -> str:
    """A figure with its unit, three digits that matter: 0.0123 s is 12.3 ms."""
    unit = UNITS[quantity]
    if unit == "s":
        steps = [(1.0, "s"), (1e-3, "ms"), (1e-6, "us")]
    else:
        tail = unit.removeprefix("B")
        steps = [(1e9, f"GB{tail}"), (1e6, f"MB{tail}"), (1e3, f"kB{tail}"), (1.0, unit)]
    for size, name in steps:
        if abs(value) >= size * 0.9995 or name == steps[-1][1]:
            return f"{_digits(value / size)} {name}"
    raise AssertionError("the last step takes everything")


def _digits(value: float) -> str:
    whole = len(str(int(abs(value))))
    return f"{value:.{max(0, 3 - whole)}f}"
