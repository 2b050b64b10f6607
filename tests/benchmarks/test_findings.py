"""The arithmetic of the benchmarks: spreads, differences, ratios, and whether a target is met."""

from __future__ import annotations

import json

import pytest

from benchmarks.findings import Curve, Finding, Line, Plot, Series, decode, encode, judge, less, spread


def series(quantity: str, *values: float) -> Series:
    return [{quantity: value} for value in values]


def finding(line: Line, **found: Series) -> Finding:
    return Finding("test", "why", found, [line])


def test_a_spread_has_the_median_between_its_ends() -> None:
    assert spread(series("cpu", 5.0, 1.0, 2.0), "cpu") == (found := spread(series("cpu", 2.0, 5.0, 1.0), "cpu"))
    assert (found.low, found.median, found.high) == (1.0, 2.0, 5.0)


def test_samples_without_the_quantity_do_not_count() -> None:
    assert spread([{"wall": 1.0}, {"wall": 3.0, "first": 2.0}], "first").median == 2.0
    with pytest.raises(ValueError, match="first"):
        spread([{"wall": 1.0}], "first")


def test_a_difference_is_taken_run_by_run_and_is_never_negative() -> None:
    assert less(series("cpu", 3.0, 1.0), series("cpu", 1.0, 2.0), "cpu") == series("cpu", 2.0, 0.0)
    with pytest.raises(ValueError, match="shorter"):
        less(series("cpu", 1.0, 2.0), series("cpu", 1.0), "cpu")


@pytest.mark.parametrize(
    ("ours", "factor", "plus", "limit", "met"),
    [
        (4.0, 0.5, None, 5.0, True),
        (6.0, 0.5, None, 5.0, False),
        (5.0, 0.5, None, 5.0, True),
        (6.0, 0.5, 1.0, 6.0, True),
        (6.0, None, 7.0, 7.0, True),
        (6.0, None, None, None, None),
    ],
)
def test_a_target_is_a_multiple_of_the_peer_and_an_allowance(
    ours: float, factor: float | None, plus: float | None, limit: float | None, met: bool | None
) -> None:
    line = Line("a", "ours", "wall", "peer", factor, plus)
    judged = judge(finding(line, ours=series("wall", ours), peer=series("wall", 10.0)), line)
    assert (judged.limit, judged.met) == (limit, met)
    assert judged.ratio == ours / 10.0


def test_a_target_can_be_a_floor() -> None:
    line = Line("rate", "ours", "rate", "peer", factor=1.0, at_least=True)
    for ours, met in ((9.0, False), (10.0, True), (11.0, True)):
        assert judge(finding(line, ours=series("rate", ours), peer=series("rate", 10.0)), line).met is met


def test_a_peer_with_good_and_bad_runs_can_be_taken_at_its_best() -> None:
    line = Line("a", "ours", "first", "peer", factor=0.5, against="low")
    judged = judge(finding(line, ours=series("first", 2.0), peer=series("first", 3.0, 30.0, 40.0)), line)
    assert judged.limit == 1.5
    assert judged.met is False
    assert judged.ratio == pytest.approx(2 / 3)


def test_a_line_without_a_peer_has_no_ratio() -> None:
    line = Line("a", "ours", "disk", plus=5.0)
    judged = judge(finding(line, ours=series("disk", 4.0)), line)
    assert (judged.peer, judged.ratio, judged.limit, judged.met) == (None, None, 5.0, True)


def test_findings_survive_json() -> None:
    plot = Plot("p", "title", "x", "y", [Curve("c", [(1.0, 2.0), (3.0, 4.0)])], log=False)
    line = Line("a", "ours", "wall", "peer", 0.5)
    whole = Finding("test", "why", {"ours": series("wall", 1.0), "peer": series("wall", 2.0)}, [line], ["note"], [plot])
    assert decode(json.loads(json.dumps(encode(whole)))) == whole
