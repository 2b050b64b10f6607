"""The states of a pod: what its phase file says, and whether somebody holds its lock.

The lock is a flock on the pod directory. Whoever prepares or runs the pod holds it; stage1 inherits it, so the
kernel itself ends "running" when the last process of stage1 is gone.
"""

from __future__ import annotations

import os
import time
from enum import Enum

from stages.base import files
from stages.base.errors import PodError
from stages.base.paths import PodPaths
from stages.linux import locks
from stages.pod import again

# For readers to be done with their look, in seconds; and between two attempts.
_PATIENCE, _PAUSE = 10.0, 0.001


class State(Enum):
    """rkt's words (contract C.2)."""

    ABSENT = "absent"
    PREPARING = "preparing"
    ABORTED = "aborted prepare"
    PREPARED = "prepared"
    RUNNING = "running"
    EXITED = "exited"
    DELETING = "deleting"


class Phase(Enum):
    """How far the pod has come: the text of the phase file."""

    PREPARING = "preparing"
    PREPARED = "prepared"
    RUN = "run"
    DELETING = "deleting"


# (phase, lock held) -> state. A pod whose phase cannot be read is one whose preparation broke off.
_TABLE = {
    (None, False): State.ABORTED,
    (None, True): State.PREPARING,
    (Phase.PREPARING, False): State.ABORTED,
    (Phase.PREPARING, True): State.PREPARING,
    (Phase.PREPARED, False): State.PREPARED,
    (Phase.PREPARED, True): State.PREPARING,
    (Phase.RUN, False): State.EXITED,
    (Phase.RUN, True): State.RUNNING,
    (Phase.DELETING, False): State.DELETING,
    (Phase.DELETING, True): State.DELETING,
}


def phase(pod: PodPaths) -> Phase | None:
    """What the phase file says; None when it is missing or says nothing we know."""
    try:
        return Phase((files.read_small(pod.phase) or b"").decode().strip())
    except ValueError:
        return None


def state(pod: PodPaths) -> State:
    """The pod's state at this moment; never an error for a damaged or foreign directory."""
    try:
        held = locks.is_locked(pod.root)
    except NotADirectoryError:
        return State.ABSENT
    if not pod.root.is_dir():
        return State.ABSENT
    # Read after the lock was looked at: a pod only moves forward while it is locked.
    return _TABLE[(phase(pod), held)]


def enter(pod: PodPaths, new: Phase) -> None:
    """Write the phase. The caller holds the pod's lock. Not synced: after a crash an older phase is as good.

    "preparing" is told by no file at all: in place of another, a file is sent to the disk by the rename (ext4's
    auto_da_alloc), and a start would wait for a busy one.
    """
    if new is Phase.PREPARING:
        files.delete(pod.phase)
        return
    if pod.phase.is_dir() and not pod.phase.is_symlink():
        files.delete(pod.phase)
    files.publish(pod.phase, f"{new.value}\n".encode(), 0o644, durable=False)


def acquire(pod: PodPaths, name: str) -> int:
    """The pod's lock, for the one who prepares, runs or removes it; makes the directory.

    Never waits for another such; who only looks whether the pod is locked shares the lock for a moment, and is let go.

    Raises PodError when somebody else holds it. The descriptor is close-on-exec until the hand-over. Where the pod has
    run, it seems to run from here on until its phase is another one: whose number it had is forgotten at once.
    """
    end = time.monotonic() + _PATIENCE
    while True:
        files.make_directory(pod.root, 0o750)
        try:
            descriptor = locks.try_lock(pod.root)
        except FileNotFoundError:
            # Whoever was removing the old pod is done with it.
            continue
        if descriptor is not None:
            again.forget_process(str(pod.root))
            return descriptor
        if locks.is_locked(pod.root) or time.monotonic() > end:
            raise busy(pod, name)
        time.sleep(_PAUSE)


def busy(pod: PodPaths, name: str) -> PodError:
    """What to say when somebody holds the lock of the pod."""
    now = phase(pod)
    if now is Phase.RUN:
        hint = f"`doit stop pod={name}` ends it, `doit run --replace pod={name}` runs it anew"
        return PodError(f"pod {name} is running", hint=hint, reason="locked")
    doing = "removed" if now is Phase.DELETING else "prepared"
    hint = "another command works on it; try again when that has ended"
    return PodError(f"pod {name} is being {doing}", hint=hint, reason="locked")


def release(descriptor: int) -> None:
    """Give the lock back."""
    os.close(descriptor)
