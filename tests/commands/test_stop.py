"""`doit stop` of a pod that begins to run at this moment."""

from __future__ import annotations

from pathlib import Path

import pytest

from stages.base.errors import PodError
from stages.base.paths import DataDir
from stages.commands import stop
from stages.pod import state
from stages.pod.find import Found
from stages.pod.stage1 import Interface
from stages.pod.state import State

UUID = "7f140a3e-6a0e-4f5e-9a57-0d5b0d2f7f10"


def test_a_pod_that_begins_while_it_is_looked_at_is_not_asked_before_it_has_a_pid(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    seen = iter([State.PREPARING])
    monkeypatch.setattr(state, "state", lambda pod: next(seen, State.RUNNING))
    with pytest.raises(PodError) as caught:
        stop.end(Found(UUID, "shop", DataDir(tmp_path).pod(UUID)))
    assert caught.value.reason == "not-running"


def test_a_pod_whose_directory_goes_while_it_is_asked_is_told_of_in_a_sentence(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What a child meets before its exec is subprocess's own error, no OSError."""
    pod = Found(UUID, "shop", DataDir(tmp_path).pod(UUID))
    monkeypatch.setattr(state, "state", lambda pod: State.RUNNING)
    monkeypatch.setattr(stop.facts, "await_pid", lambda *_: None)
    monkeypatch.setattr(stop.stage1, "interface", lambda _: Interface({"stop": "/stop"}, 5))
    monkeypatch.setattr(stop.lifecycle, "stage1_root", lambda *_: tmp_path)
    (tmp_path / "stop").write_text("#!/bin/true\n")
    (tmp_path / "stop").chmod(0o755)
    with pytest.raises(PodError) as caught:
        stop.end(pod, seconds=1)
    assert caught.value.reason == "stop"
