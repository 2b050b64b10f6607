"""`doit stop` of a pod that begins to run at this moment."""

from __future__ import annotations

from pathlib import Path

import pytest

from stages.base.errors import PodError
from stages.base.paths import DataDir
from stages.commands import stop
from stages.pod import state
from stages.pod.find import Found
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
