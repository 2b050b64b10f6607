"""Specs that another process reads, for this one."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from stages.spec import ahead, parse

SPEC = """\
apiVersion: v1
kind: Pod
metadata: {name: web, uid: 33333333-0000-4000-8000-000000000003}
spec: {containers: [{name: app, image: web.aci, command: [a, "%s"]}]}
"""


@pytest.fixture
def file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    monkeypatch.setattr(os, "sched_getaffinity", lambda _: {0, 1})
    monkeypatch.setattr(ahead, "_found", [])
    yield tmp_path / "web.yaml"
    ahead.forget()


def begin(file: Path) -> None:
    os.waitpid(ahead.begin(str(file), lambda: None), 0)


def test_it_is_what_this_process_would_have_read(file: Path) -> None:
    file.write_text(SPEC % "b")
    begin(file)
    # Asked for the pod's name first, and then for all of it.
    for _ in range(2):
        assert ahead.data(file.read_bytes()) == parse.validated(file.read_bytes(), file)


def test_of_other_bytes_nothing_is_known(file: Path) -> None:
    file.write_text(SPEC % "b")
    begin(file)
    assert ahead.data((SPEC % "c").encode()) is None


@pytest.mark.parametrize("text", ["a: [", "kind: Pod\n", ""])
def test_what_is_wrong_is_for_this_process_to_tell(file: Path, text: str, capfd: pytest.CaptureFixture[str]) -> None:
    file.write_text(text)
    begin(file)
    assert ahead.data(text.encode()) is None and capfd.readouterr() == ("", "")


def test_a_spec_larger_than_a_pipe(file: Path) -> None:
    file.write_text(SPEC % ("b" * 500_000))
    process = ahead.begin(str(file), lambda: None)
    assert ahead.data(file.read_bytes())
    os.waitpid(process, 0)


def test_who_does_not_ask_holds_nobody_up(file: Path) -> None:
    file.write_text(SPEC % ("b" * 500_000))
    process = ahead.begin(str(file), lambda: None)
    ahead.forget()
    os.waitpid(process, 0)
    assert ahead.data(file.read_bytes()) is None


def test_nothing_is_begun_for_no_file_and_on_one_processor(file: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert ahead.begin(str(file), lambda: None) == 0
    file.write_text(SPEC % "b")
    monkeypatch.setattr(os, "sched_getaffinity", lambda _: {0})
    assert ahead.begin(str(file), lambda: None) == 0
