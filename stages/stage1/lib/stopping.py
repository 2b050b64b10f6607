"""The `stop` entrypoint, the same for every flavor: a signal to the process that runs the pod (contract H.6)."""

from __future__ import annotations

import fcntl
import os

from stages.stage1.lib import init
from stages.stage1.lib.errors import FAILURE, explain
from stages.stage1.lib.signals import signal

SUPERVISOR = "supervisor"


def main(argv: list[str]) -> int:
    """`[--force] UUID`, cwd is the pod: TERM, or KILL when forced, to the process in `pid`; returns the exit code."""
    force = "--force" in argv
    if _unlocked("."):
        # Nobody holds the lock, so nobody runs the pod, and the number in `pid` may be anybody's by now.
        init.say("the pod is already stopped")
        return 0
    try:
        process = _process("pid")
        # Where `pid` is the app's own, another process gives it its time to end.
        if not force and os.path.exists(SUPERVISOR):
            process = _process(SUPERVISOR)
        os.kill(process, signal.SIGKILL if force else signal.SIGTERM)
    except ProcessLookupError:
        return 0
    except (OSError, ValueError) as error:
        reason = explain(error) if isinstance(error, OSError) else str(error)
        init.say(f"cannot stop the pod: {reason}")
        return FAILURE
    return 0


def _process(path: str) -> int:
    with open(path, encoding="ascii") as file:
        return int(file.read())


def _unlocked(directory: str) -> bool:
    handle = os.open(directory, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        fcntl.flock(handle, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    finally:
        os.close(handle)
    return True
