"""Becoming stage1: what cannot be done is a sentence and an exit code."""

from __future__ import annotations

import errno

import pytest

from stages.graph.handoff import Handover
from stages.pod import start


def test_a_disk_that_is_full_at_the_hand_over_is_told_in_a_sentence(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def full(*_: object) -> None:
        raise OSError(errno.ENOSPC, "No space left on device", "pods/x/phase")

    monkeypatch.setattr(start, "ready", full)
    monkeypatch.setattr("sys.__stderr__", None)  # capsys has sys.stderr
    handover = Handover()
    handover.by_command, handover.lock_fd = True, 0
    handover.plan({})
    assert handover.perform() == 1
    assert capsys.readouterr().err.startswith("podwright: pods/x/phase: No space left on device\n  hint: make room")
