"""What all our commands share, and how their words are read: before, between and after the options."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from stages.base.errors import PodError, PodwrightError, SpecError
from stages.commands import common
from stages.graph import words


class Probe(common.PodCommand):
    """Keeps what it was called with."""

    cmd_options = (common.FORMAT_OPTION, {"name": "dry", "long": "dry", "short": "n", "default": False, "type": bool})
    called_with: tuple[Any, ...] = ()

    def do(self, options: Any, words: list[str]) -> int:
        self.called_with = (options["format"], options["dry"], words)
        return 7


class Carrier(Probe):
    carries_command = True


@pytest.fixture(autouse=True)
def _here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)


@pytest.mark.parametrize(
    ("line", "called"),
    [
        ("a b", ("text", False, ["a", "b"])),
        ("a --format json b -n", ("json", True, ["a", "b"])),
        ("--format=json a", ("json", False, ["a"])),
        ("a -- --format -n", ("text", False, ["a", "--format", "-n"])),
    ],
)
def test_options_may_come_after_words(line: str, called: tuple[Any, ...]) -> None:
    command = Probe()
    assert command.main(line.split(), {}) == 7
    assert command.called_with == called


def test_somebody_elses_command_line_is_not_ours() -> None:
    command = Carrier()
    command.main("web -n -- ls --format".split(), {})
    assert command.called_with == ("text", True, ["web"])


@pytest.mark.parametrize(
    ("line", "said"),
    [
        ("--nope", "option --nope not recognized"),
        ("a --format", "option --format requires argument"),
        ("--format xml", "--format has no 'xml'; it has text, json"),
    ],
)
def test_a_wrong_option_gets_one_line(line: str, said: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert Probe().main(line.split(), {}) == 3
    assert capsys.readouterr().err == f"ERROR: {said}\n  hint: see `doit help probe`\n"


def test_what_was_told_elsewhere_counts_where_the_words_are_silent() -> None:
    command = Probe()
    command.main(["-n"], {"format": "json", "dry": False})
    assert command.called_with == ("json", True, [])


def make_project(folder: Path) -> Path:
    (folder / "pods").mkdir(parents=True)
    (folder / "dodo.py").write_text("")
    return folder / "dodo.py"


def test_the_project_is_found_here_above_and_by_name(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert common.dodo({}) is None
    dodo = make_project(tmp_path / "project")
    assert common.dodo({"dodoFile": str(dodo)}) == dodo
    below = dodo.parent / "a" / "b"
    below.mkdir(parents=True)
    monkeypatch.chdir(below)
    assert common.dodo({"dodoFile": "dodo.py"}) == dodo
    with pytest.raises(SpecError):
        common.dodo({"dodoFile": "other.py"})


def test_another_program_of_that_name_above_us_is_not_ours(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "dodo.py").write_text("")
    (tmp_path / "below").mkdir()
    monkeypatch.chdir(tmp_path / "below")
    assert common.dodo({}) is None


ROOM = "make room there; what was stored before is whole"


def raising(error: BaseException) -> Callable[[], int]:
    def work() -> int:
        raise error

    return work


@pytest.mark.parametrize(
    ("error", "code", "said"),
    [
        (PodError("no pod", hint="look"), 1, "ERROR: no pod\n  hint: look\n"),
        (SpecError("bad"), 3, "ERROR: bad\n"),
        (OSError(28, "No space left on device", "/x"), 1, f"ERROR: /x: No space left on device\n  hint: {ROOM}\n"),
        (KeyboardInterrupt(), 130, ""),
    ],
    ids=["ours", "spec", "kernel", "ctrl-c"],
)
def test_errors_are_sentences(error: BaseException, code: int, said: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert common.guarded(raising(error)) == code
    assert capsys.readouterr().err == said


def test_one_failure_does_not_stop_the_others(capsys: pytest.CaptureFixture[str]) -> None:
    done = []

    def work(item: int) -> None:
        if item == 2:
            raise PodError("two")
        done.append(item)

    assert common.each([1, 2, 3], work) == 1 and done == [1, 3]
    assert common.each([1, 3], work) == 0
    assert "ERROR: two" in capsys.readouterr().err


def test_columns_are_aligned_and_nothing_speaks_to_the_terminal(capsys: pytest.CaptureFixture[str]) -> None:
    common.show([("a\x1b[31m\n", "b"), ("c", "d")], ("ONE", "TWO"))
    assert capsys.readouterr().out == "ONE      TWO\na?[31m?  b\nc        d\n"
    common.show([], ("ONE", "TWO"))
    assert capsys.readouterr().out == "ONE  TWO\n"


def test_json_takes_any_name(capsys: pytest.CaptureFixture[str]) -> None:
    common.show_json({"name": os.fsdecode(b"\xff")})
    assert capsys.readouterr().out.isascii()


@pytest.mark.parametrize(("text", "seconds"), [("0", 0), ("90s", 90), ("30m", 1800), ("24h", 86400), ("7d", 604800)])
def test_durations(text: str, seconds: int) -> None:
    assert common.seconds(text) == seconds


@pytest.mark.parametrize("text", ["", "-1s", "1w", "1.5h", "m", "9" * 30])
def test_what_is_no_duration(text: str) -> None:
    with pytest.raises(PodwrightError):
        common.seconds(text)


def test_sizes_for_people() -> None:
    told = {0: "0 B", 999: "999 B", 1000: "1.0 kB", 999_949: "999.9 kB", 999_950: "1.0 MB", 2_500_000: "2.5 MB"}
    assert {size: common.size_text(size) for size in told} == told


@pytest.mark.parametrize("line", ["web", "--dry web", "pod=web"])
def test_a_command_about_the_whole_host_does_nothing_for_somebody_who_names_a_pod(
    line: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    class Whole(Probe):
        instead = "say it so"

    monkeypatch.setattr(sys, "argv", ["doit", "whole", *line.split()])
    command = Whole()
    assert command.main(words.others(line.split()), {}) == 1 and not command.called_with
    assert "for the whole host, not for 'web'\n  hint: say it so" in capsys.readouterr().err
