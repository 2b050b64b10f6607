"""What people read of an error."""

from __future__ import annotations

from stages.base.errors import PodwrightError, worded


def test_no_terminal_obeys_a_name_in_a_sentence() -> None:
    told = PodwrightError("no file \x1b]0;x\x07 here\r", hint="é \u202e\udc80").text()
    assert told == "no file \\x1b]0;x\\x07 here\\r\n  hint: é \\u202e\\udc80"
    assert PodwrightError("one\n  hint: of somebody else's").text() == "one\\n  hint: of somebody else's"
    assert PodwrightError("one", hint="two").text() == "one\n  hint: two"


def test_a_sentence_with_a_book_in_it_can_be_read() -> None:
    told = PodwrightError(f"begin {'x' * 10_000_000} end", hint="h" * 10_000_000).text()
    assert told.startswith("begin xxx") and "xxx end\n  hint: hhh" in told and len(told) < 15_000
    path = "p" * 4095
    assert PodwrightError(f"{path}: not {path}").text() == f"{path}: not {path}"


def test_a_refusal_about_a_name_of_bytes_shows_the_name() -> None:
    assert worded(FileNotFoundError(2, "No such file", b"/a\xff")).text() == "/a\\udcff: No such file"
    assert worded(IsADirectoryError(21, "Is a directory", 5)).text() == "5: Is a directory"
