"""doit's command line with what follows `--` left alone."""

from __future__ import annotations

from doit import get_var

from stages.commands.main import Main


def test_variables_are_taken_before_the_dashes_only() -> None:
    words = Main().process_args(["enter", "pod=web", "--", "env", "A=1", "pod=other", "", "--", "x"])
    assert words == ["enter", "--", "env", "A=1", "pod=other", "", "--", "x"]
    assert get_var("pod") == "web" and get_var("A") is None


def test_an_empty_word_is_no_reason_to_stumble() -> None:
    assert Main().process_args(["rm", "", "pod=a=b"]) == ["rm"]
    assert get_var("pod") == "a=b"
