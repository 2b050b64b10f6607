"""Plots: every point is drawn inside the picture, where its value says."""

from __future__ import annotations

import re
from xml.etree import ElementTree

import pytest

from benchmarks.findings import Curve, Plot
from benchmarks.plots import svg

SPACE = "{http://www.w3.org/2000/svg}"


def drawn(plot: Plot) -> list[list[tuple[float, float]]]:
    root = ElementTree.fromstring(svg(plot))
    lines = [line.attrib["points"].split() for line in root.iter(f"{SPACE}polyline")]
    return [[(float(x), float(y)) for x, y in (point.split(",") for point in line)] for line in lines]


@pytest.mark.parametrize("log", [True, False])
def test_points_lie_in_the_frame_in_the_order_of_their_values(log: bool) -> None:
    curve = Curve("a", [(1_000.0, 0.3), (10_000.0, 40.0), (100_000.0, 3_400.0)])
    (points,) = drawn(Plot("p", "title", "x", "y", [curve], log))
    assert points == sorted(points)
    assert [y for _, y in points] == sorted((y for _, y in points), reverse=True)
    width, height = map(int, re.findall(r'viewBox="0 0 (\d+) (\d+)"', svg(Plot("p", "t", "x", "y", [curve], log)))[0])
    assert all(0 < x < width and 0 < y < height for x, y in points)


def test_on_logarithmic_axes_equal_factors_are_equal_distances() -> None:
    (points,) = drawn(Plot("p", "title", "x", "y", [Curve("a", [(1.0, 1.0), (10.0, 10.0), (100.0, 100.0)])]))
    assert points[1][0] - points[0][0] == pytest.approx(points[2][0] - points[1][0], abs=0.2)


def test_a_flat_curve_is_a_flat_line() -> None:
    (points,) = drawn(Plot("p", "title", "x", "y", [Curve("a", [(1.0, 5.0), (2.0, 5.0)])]))
    assert points[0][1] == points[1][1]


def test_words_are_escaped() -> None:
    ElementTree.fromstring(svg(Plot("p", "a < b & c", "x", "y", [Curve("<", [(1.0, 1.0)])])))
