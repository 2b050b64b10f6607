"""How the words of `enter` are read, and which app is meant."""

from __future__ import annotations

import sys

import pytest

from stages.base.errors import PodError
from stages.commands import enter
from stages.graph import words


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
