"""How the words of `enter` are read, and which app is meant."""

from __future__ import annotations

import errno
import os
import signal
import sys
from pathlib import Path
from typing import Any

import pytest

from stages.base.errors import PodError
from stages.base.paths import PodPaths
from stages.commands import enter
from stages.graph import words
from stages.pod.find import Found
from stages.pod.stage1 import Interface


@pytest.mark.parametrize(
    ("line", "pod", "command"),
    [
        ("enter pod=web -- ls -l", "web", ["ls", "-l"]),
        ("enter pod=web -- env A=1 pod=other -- B", "web", ["env", "A=1", "pod=other", "--", "B"]),
        ("pod=a enter pod=b", "b", []),
        ("enter web -- sh", None, ["sh"]),
        ("enter pod= --", "", []),
    ],
)
def test_only_what_stands_before_the_dashes_is_ours(
    line: str, pod: str | None, command: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sys, "argv", ["doit", *line.split()])
    assert (words.pod(), words.behind_dashes()) == (pod, command)


def test_the_app_is_the_only_one_or_the_one_that_is_named() -> None:
    assert enter._app(("web",), "") == "web"
    assert enter._app(("web", "db"), "db") == "db"
    with pytest.raises(PodError) as which:
        enter._app(("web", "db"), "")
    assert which.value.reason == "which-app" and "web, db" in which.value.hint
    with pytest.raises(PodError) as unknown:
        enter._app(("web",), "wbe")
    assert unknown.value.reason == "no-app"


def test_stage1_s_enter_ignores_no_signal_that_python_ignores(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A stage1 that is no program in Python would hand it on: `yes | head` in the app ended with an error."""
    seen: list[Any] = []

    def executed(*_: object) -> None:
        seen.append([signal.getsignal(one) for one in (signal.SIGPIPE, signal.SIGXFSZ)])
        raise OSError(errno.ENOEXEC, "Exec format error")

    pod = Found("7f140a3e-6a0e-4f5e-9a57-0d5b0d2f7f10", "web", PodPaths(tmp_path))
    monkeypatch.setattr(sys, "argv", ["doit", "enter", "web"])
    monkeypatch.setattr(enter.find, "one", lambda *_: pod)
    monkeypatch.setattr(enter.facts, "entered_pid", lambda _: 1)
    monkeypatch.setattr(enter.stage1, "interface", lambda _: Interface({"enter": "/enter"}, 5))
    monkeypatch.setattr(enter.lifecycle, "stage1_root", lambda *_: tmp_path)
    monkeypatch.setattr(enter.inside, "join", lambda _: None)
    monkeypatch.setattr(os, "execv", executed)
    (tmp_path / "appsinfo/web").mkdir(parents=True)
    before = {one: signal.getsignal(one) for one in (signal.SIGPIPE, signal.SIGXFSZ)}
    try:
        with pytest.raises(PodError):
            enter.Enter().do({"app": ""}, ["web"])
    finally:
        for one, handler in before.items():
            signal.signal(one, handler)
    assert seen == [[signal.SIG_DFL, signal.SIG_DFL]]
