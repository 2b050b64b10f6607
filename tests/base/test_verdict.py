"""Differences between two values, told leaf by leaf."""

from __future__ import annotations

from stages.base.verdict import FRESH, Reason, Verdict, compare


def test_equal_values_give_no_reason() -> None:
    assert compare({"a": [1, {"b": 2}]}, {"a": [1, {"b": 2}]}) == ()
    assert FRESH.fresh and not Verdict.stale("x").fresh


def test_a_changed_leaf_is_named_by_its_path() -> None:
    assert compare({"a": [1, {"b": 2}]}, {"a": [1, {"b": 3}]}, "doc") == (Reason("doc.a[1].b", "2", "3"),)


def test_what_came_and_what_went_is_told() -> None:
    assert compare({"old": 1}, {"new": 2}) == (Reason("new", "(none)", "2"), Reason("old", "1", "(none)"))


def test_lists_of_other_lengths_are_told_whole() -> None:
    assert compare({"a": [1]}, {"a": [1, 2]}) == (Reason("a", "[1]", "[1, 2]"),)


def test_digests_and_long_texts_are_cut() -> None:
    (reason,) = compare("sha512-" + "a" * 128, "x" * 100)
    assert reason.old == "sha512-" + "a" * 12
    assert len(reason.new) == 60
