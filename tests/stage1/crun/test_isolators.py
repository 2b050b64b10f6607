"""Isolators as limits of an OCI configuration."""

from __future__ import annotations

from typing import Any

import pytest

from stages.stage1.crun import isolators
from stages.stage1.lib.errors import Stage1Error
from stages.stage1.lib.manifest import App

ALL = frozenset(("cpu", "memory", "pids"))


def read(
    found: list[tuple[str, Any]], controllers: frozenset[str] = ALL, bounding: frozenset[str] = frozenset()
) -> tuple[isolators.Limits, list[str]]:
    pairs = [{"name": name, "value": value} for name, value in found]
    app = App({"name": "web", "app": {"exec": ["x"], "isolators": pairs}}, {})
    told: list[str] = []
    return isolators.read(app, isolators.Host(bounding, controllers, 0), told.append), told


def test_resources() -> None:
    limits, told = read(
        [
            ("resource/memory", {"request": "4Mi", "limit": "8Mi"}),
            ("resource/cpu", {"request": "250m", "limit": "500m"}),
            ("resource/pids", {"limit": "10"}),
        ]
    )
    assert limits.resources == {
        "memory": {"limit": 8 << 20, "reservation": 4 << 20},
        "cpu": {"quota": 50000, "period": 100000, "shares": 256},
        "pids": {"limit": 10},
    }
    assert told == []


def test_the_last_of_several_isolators_counts() -> None:
    limits, _ = read([("resource/memory", {"limit": "1M"}), ("resource/memory", {"limit": "2M"})])
    assert limits.resources["memory"] == {"limit": 2_000_000}


def test_explicit_shares_win_over_the_request_in_either_order() -> None:
    pair = [("os/linux/cpu-shares", 12345), ("resource/cpu", {"request": "1", "limit": "2"})]
    for order in (pair, pair[::-1]):
        assert read(order)[0].resources["cpu"]["shares"] == 12345


def test_a_missing_controller_is_told_and_its_limit_left_out() -> None:
    limits, told = read([("resource/memory", {"limit": "1M"})], frozenset({"cpu"}))
    assert limits.resources == {} and "memory" in told[0]


def test_oom_score_is_clamped_without_the_right_and_told() -> None:
    limits, told = read([("os/linux/oom-score-adj", -50)])
    assert limits.oom_score_adj == 0 and "-50" in told[0]
    limits, told = read([("os/linux/oom-score-adj", -50)], bounding=frozenset({"CAP_SYS_RESOURCE"}))
    assert limits.oom_score_adj == -50 and told == []


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("resource/memory", {"limit": "lots"}),
        ("resource/memory", {"limit": "-1"}),
        ("resource/cpu", None),
        ("os/linux/cpu-shares", 1),
        ("os/linux/oom-score-adj", 1001),
        ("os/linux/oom-score-adj", True),
        ("os/linux/no-new-privileges", "yes"),
        ("resource/pids", {"limit": 0}),
    ],
)
def test_a_malformed_isolator_is_refused_by_name(name: str, value: Any) -> None:
    with pytest.raises(Stage1Error, match=name):
        read([(name, value)])


def test_an_unknown_isolator_is_told() -> None:
    assert "example.com/odd" in read([("example.com/odd", 1)])[1][0]
