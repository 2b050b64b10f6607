"""The states of a pod, from its phase and its lock."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from stages.base.errors import PodError
from stages.base.paths import PodPaths
from stages.linux import locks
from stages.pod import state
from stages.pod.state import Phase, State

ROOT = Path(__file__).parents[2]


@pytest.fixture
def pod(tmp_path: Path) -> PodPaths:
    return PodPaths(tmp_path / "pod")


@pytest.mark.contract("M 21")
@pytest.mark.parametrize(
    ("phase", "free", "held"),
    [
        (None, State.ABORTED, State.PREPARING),
        (Phase.PREPARING, State.ABORTED, State.PREPARING),
        (Phase.PREPARED, State.PREPARED, State.PREPARING),
        (Phase.RUN, State.EXITED, State.RUNNING),
        (Phase.DELETING, State.DELETING, State.DELETING),
    ],
)
def test_the_table(pod: PodPaths, phase: Phase | None, free: State, held: State) -> None:
    assert state.state(pod) is State.ABSENT
    pod.root.mkdir()
    if phase:
        state.enter(pod, phase)
    assert state.state(pod) is free
    lock = locks.try_lock(pod.root)
    assert lock is not None
    assert state.state(pod) is held
    os.close(lock)


@pytest.mark.parametrize("text", [b"", b"nonsense", b"\xff\xfe"])
def test_a_phase_that_says_nothing_is_a_broken_off_preparation(pod: PodPaths, text: bytes) -> None:
    pod.root.mkdir()
    pod.phase.write_bytes(text)
    assert state.state(pod) is State.ABORTED


@pytest.mark.contract("M 18")
def test_the_lock_is_refused_at_once_with_what_its_holder_does(pod: PodPaths) -> None:
    first = state.acquire(pod, "web")
    with pytest.raises(PodError) as preparing:
        state.acquire(pod, "web")
    state.enter(pod, Phase.RUN)
    with pytest.raises(PodError) as running:
        state.acquire(pod, "web")
    assert "being prepared" in preparing.value.sentence and "is running" in running.value.sentence
    state.release(first)
    state.release(state.acquire(pod, "web"))


LOOKS = """
import sys, pathlib
from stages.linux import locks
print(flush=True)
while True:
    locks.is_locked(pathlib.Path(sys.argv[1]))
"""


def test_who_only_looks_keeps_nobody_from_the_lock(pod: PodPaths) -> None:
    """Readers share the lock for a moment, and there may always be one: `watch doit ps`."""
    pod.root.mkdir()
    with subprocess.Popen([sys.executable, "-c", LOOKS, str(pod.root)], cwd=ROOT, stdout=subprocess.PIPE) as reader:
        assert reader.stdout is not None and reader.stdout.readline()
        try:
            for _ in range(200):
                state.release(state.acquire(pod, "shop"))
        finally:
            reader.kill()
