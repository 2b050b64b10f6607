"""Plots as SVG, drawn by hand: two axes, a grid, a line a curve. No library is worth it for three pictures."""

from __future__ import annotations

import math
from collections.abc import Iterator

from benchmarks.findings import Plot

_WIDTH, _HEIGHT, _LEFT, _RIGHT, _TOP, _BOTTOM = 720, 400, 80, 190, 44, 56
_COLOURS = ("#1b6ca8", "#c8553d", "#4f772d", "#7b5ea7", "#8d6b00")


class _Axis:
    """Where the values of one axis lie. low, high: of the data; begin, end: pixels."""

    def __init__(self, values: list[float], begin: float, end: float, log: bool) -> None:
        self.log, self.begin, self.end = log, begin, end
        if log:
            low, high = math.log10(min(values)), math.log10(max(values))
            self.low, self.high = float(math.floor(low)), float(math.ceil(high))
        else:
            self.low, self.high = 0.0, max(values) * 1.1
        if self.low == self.high:
            self.high = self.low + 1

    def place(self, value: float) -> float:
        """The pixel of a value."""
        at = math.log10(value) if self.log else value
        return self.begin + (at - self.low) / (self.high - self.low) * (self.end - self.begin)

    def ticks(self) -> list[float]:
        """The values that get a line of the grid: powers of ten, or some round numbers."""
        if self.log:
            return [10.0**power for power in range(int(self.low), int(self.high) + 1)]
        step = 10.0 ** math.floor(math.log10(self.high))
        while self.high / step < 4:
            step /= 2
        return [step * number for number in range(int(self.high / step) + 1)]


def svg(plot: Plot) -> str:
    """The picture, as text."""
    points = [point for curve in plot.curves for point in curve.points]
    across = _Axis([x for x, _ in points], _LEFT, _WIDTH - _RIGHT, plot.log)
    up = _Axis([y for _, y in points], _HEIGHT - _BOTTOM, _TOP, plot.log)
    body = [*_frame(plot, across, up), *_curves(plot, across, up)]
    look = 'font-family="sans-serif" font-size="12"'
    head = f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {_WIDTH} {_HEIGHT}" {look}>'
    return "\n".join([head, f'<rect width="{_WIDTH}" height="{_HEIGHT}" fill="#fff"/>', *body, "</svg>", ""])


def _frame(plot: Plot, across: _Axis, up: _Axis) -> Iterator[str]:
    middle = (across.begin + across.end) / 2
    yield _text(middle, 24, plot.title, 'text-anchor="middle" font-size="15"')
    yield _text(middle, _HEIGHT - 14, plot.x, 'text-anchor="middle"')
    centre = (up.begin + up.end) / 2
    yield _text(18, centre, plot.y, f'text-anchor="middle" transform="rotate(-90 18 {centre:.0f})"')
    for value in across.ticks():
        at = across.place(value)
        yield _line(at, up.begin, at, up.end)
        yield _text(at, up.begin + 18, _label(value), 'text-anchor="middle"')
    for value in up.ticks():
        at = up.place(value)
        yield _line(across.begin, at, across.end, at)
        yield _text(across.begin - 8, at + 4, _label(value), 'text-anchor="end"')


def _curves(plot: Plot, across: _Axis, up: _Axis) -> Iterator[str]:
    for number, curve in enumerate(plot.curves):
        colour = _COLOURS[number % len(_COLOURS)]
        places = [(across.place(x), up.place(y)) for x, y in curve.points]
        path = " ".join(f"{x:.1f},{y:.1f}" for x, y in places)
        yield f'<polyline points="{path}" fill="none" stroke="{colour}" stroke-width="2"/>'
        if len(places) <= 20:
            yield from (f'<circle cx="{x:.1f}" cy="{y:.1f}" r="3" fill="{colour}"/>' for x, y in places)
        height = _TOP + 16 + 20 * number
        yield _line(across.end + 12, height - 4, across.end + 32, height - 4, colour, 2)
        yield _text(across.end + 38, height, curve.label)


def _line(x1: float, y1: float, x2: float, y2: float, colour: str = "#ddd", width: int = 1) -> str:
    return f'<line x1="{x1:.1f}" y1="{y1:.1f}" x2="{x2:.1f}" y2="{y2:.1f}" stroke="{colour}" stroke-width="{width}"/>'


def _text(x: float, y: float, words: str, more: str = "") -> str:
    escaped = words.replace("&", "&amp;").replace("<", "&lt;")
    return f'<text x="{x:.1f}" y="{y:.1f}" {more}>{escaped}</text>'


def _label(value: float) -> str:
    for size, letter in ((1e9, "G"), (1e6, "M"), (1e3, "k")):
        if value >= size:
            return f"{value / size:g}{letter}"
    return f"{value:.6g}"
