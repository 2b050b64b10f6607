"""What is shown of the benchmarks: figures with units, the table, and the block in the page."""

from __future__ import annotations

from pathlib import Path

import pytest

from benchmarks import report
from benchmarks.findings import Curve, Finding, Line, Plot

LINES = [Line("quick", "ours", "wall", "peer", factor=0.5), Line("small", "ours", "disk", plus=1e6)]
PLOT = Plot("growth", "Growth", "files", "ms", [Curve("ours", [(1.0, 1.0), (100.0, 2.0)])])
FINDING = Finding(
    "test", "why", {"ours": [{"wall": 0.004, "disk": 2e6}], "peer": [{"wall": 0.01}]}, LINES, ["a note"], [PLOT]
)
RESULTS = report.Results(
    "2026-01-02 03:04", "python -m benchmarks", 5, {"kernel": "6.18"}, [FINDING], {"gone": "no it"}
)


@pytest.mark.parametrize(
    ("value", "quantity", "shown"),
    [
        (1.234, "wall", "1.23 s"),
        (0.0999, "cpu", "99.9 ms"),
        (0.9999, "cpu", "1.00 s"),
        (0.000331, "wall", "331 us"),
        (0.0, "wall", "0.00 us"),
        (139_000_000, "peak", "139 MB"),
        (73_728, "disk", "73.7 kB"),
        (12, "disk", "12.0 B"),
        (2.5e9, "rate", "2.50 GB/s"),
    ],
)
def test_a_figure_has_the_unit_that_makes_it_short(value: float, quantity: str, shown: str) -> None:
    assert report.amount(value, quantity) == shown


def test_the_table_says_which_targets_are_met() -> None:
    rows = report.markdown(RESULTS).splitlines()
    assert [row.split("|")[-2].strip() for row in rows if row.startswith("| test:")] == ["yes", "**no**"]


def test_what_was_not_measured_is_told() -> None:
    assert "gone" in report.text(RESULTS)
    assert "no it" in report.markdown(RESULTS)


def test_results_survive_the_disk(tmp_path: Path) -> None:
    assert report.load(report.save(RESULTS, tmp_path / "results")) == RESULTS


def test_only_what_is_between_the_markers_is_replaced(tmp_path: Path) -> None:
    page = tmp_path / "page.md"
    page.write_text(f"before\n{report.BEGIN}\nold figures\n{report.END}\nafter\n")
    report.write(RESULTS, page)
    once = page.read_text()
    assert once.startswith(f"before\n{report.BEGIN}\n")
    assert once.endswith(f"\n{report.END}\nafter\n")
    assert "old figures" not in once
    assert "a note" in once
    report.write(RESULTS, page)
    assert page.read_text() == once
    assert (tmp_path / "plots" / "growth.svg").exists()


def test_a_page_without_markers_is_left_alone(tmp_path: Path) -> None:
    page = tmp_path / "page.md"
    page.write_text("nothing here\n")
    with pytest.raises(ValueError, match="markers"):
        report.write(RESULTS, page)
    assert page.read_text() == "nothing here\n"
