"""What a measure finds, and the arithmetic on it: series of samples, lines that compare two of them, targets."""

from __future__ import annotations

import statistics
from dataclasses import asdict, dataclass, field
from typing import Any

# One run of one thing. Seconds: "wall" to the end of the command, "cpu" of it and all it started, "first" until the
# app's first instruction. Bytes: "peak" resident memory, "disk". "rate": bytes a second.
Sample = dict[str, float]
Series = list[Sample]

UNITS = {"wall": "s", "cpu": "s", "first": "s", "peak": "B", "disk": "B", "rate": "B/s"}


@dataclass(frozen=True)
class Spread:
    """Of one quantity of a series: the smallest, the median, the largest."""

    low: float
    median: float
    high: float


def spread(series: Series, quantity: str) -> Spread:
    """Of the samples that have the quantity. Raises ValueError when none has."""
    values = [sample[quantity] for sample in series if quantity in sample]
    if not values:
        raise ValueError(f"no sample has {quantity!r}")
    return Spread(min(values), statistics.median(values), max(values))


def less(series: Series, base: Series, quantity: str) -> Series:
    """What a series costs beyond another, run by run in the order they were taken, and never less than nothing."""
    pairs = zip(series, base, strict=True)
    return [{quantity: max(0.0, one[quantity] - other[quantity])} for one, other in pairs]


@dataclass(frozen=True)
class Line:
    """One row of the table: the median of `ours` against the median of `peer`, both names of series.

    quantity: see Sample. The target is ours <= factor x peer + plus (at_least: >=); factor and plus None: there is
    none. against: "median" or "low", which figure of the peer counts (the best of a peer that has good and bad runs).
    """

    what: str
    ours: str
    quantity: str
    peer: str = ""
    factor: float | None = None
    plus: float | None = None
    at_least: bool = False
    against: str = "median"


@dataclass(frozen=True)
class Curve:
    """One line of a plot: points of (x, y), in the units that the plot's axes name."""

    label: str
    points: list[tuple[float, float]]


@dataclass(frozen=True)
class Plot:
    """A plot for docs/plots/<name>.svg. log: both axes are logarithmic."""

    name: str
    title: str
    x: str
    y: str
    curves: list[Curve]
    log: bool = True


@dataclass(frozen=True)
class Finding:
    """All that one measure found. why: what is compared with what, and why that is fair."""

    name: str
    why: str
    series: dict[str, Series]
    lines: list[Line]
    notes: list[str] = field(default_factory=list)
    plots: list[Plot] = field(default_factory=list)


@dataclass(frozen=True)
class Judged:
    """A line with its figures. ratio: ours to the peer's. limit: what the target comes to; met: None without one."""

    line: Line
    ours: Spread
    peer: Spread | None
    ratio: float | None
    limit: float | None
    met: bool | None


def judge(finding: Finding, line: Line) -> Judged:
    """Compare. The ratio is of what the line holds against each other."""
    ours = spread(finding.series[line.ours], line.quantity)
    peer = spread(finding.series[line.peer], line.quantity) if line.peer else None
    base = (peer.low if line.against == "low" else peer.median) if peer else 0.0
    limit = None
    if line.factor is not None or line.plus is not None:
        limit = (line.factor or 0.0) * base + (line.plus or 0.0)
    met = None if limit is None else (ours.median >= limit if line.at_least else ours.median <= limit)
    return Judged(line, ours, peer, ours.median / base if base else None, limit, met)


def encode(finding: Finding) -> dict[str, Any]:
    """As JSON values."""
    return asdict(finding)


def decode(document: dict[str, Any]) -> Finding:
    """What `encode` gave."""
    plots = [
        Plot(**{**plot, "curves": [Curve(one["label"], [(x, y) for x, y in one["points"]]) for one in plot["curves"]]})
        for plot in document["plots"]
    ]
    return Finding(**{**document, "lines": [Line(**line) for line in document["lines"]], "plots": plots})
