"""A process that does one thing for this one, and ends with it. Light: before the start of a pod."""

from __future__ import annotations

import _signal  # type: ignore[import-not-found]
import os
import sys
import time

from stages.linux import process

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable

# Seconds in which it ends by itself if it was interrupted with us, and between two looks whether it has.
_GRACE, _PAUSE = 1.0, 0.01


def run(work: Callable[[], int], meanwhile: Callable[[], object] | None = None) -> int:
    """The exit code of `work`, which is done in a forked process; as in a shell where a signal ended it.

    Nothing that this process planned for its own end is done there. Ctrl-C ends both; so does SIGTERM to this one, with
    SystemExit here. meanwhile: what is done here before the end of the other is waited for.
    """
    # Until each of the two does with it what it is to do: else it ends this one, and that kills the other.
    held = _signal.pthread_sigmask(_signal.SIG_BLOCK, (_signal.SIGTERM,))
    us, child = os.getpid(), os.fork()
    if child == 0:
        _signal.pthread_sigmask(_signal.SIG_SETMASK, held)
        _serve(us, work)
    asked: list[int] = []

    def pass_on(number: int, _: object) -> None:
        asked.append(number)
        try:  # noqa: SIM105 - contextlib is not loaded here
            os.kill(child, number)
        except ProcessLookupError:
            pass  # it has just ended

    before = _signal.signal(_signal.SIGTERM, pass_on)
    try:
        _signal.pthread_sigmask(_signal.SIG_SETMASK, held)
        if meanwhile:
            meanwhile()
        code = os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
    except KeyboardInterrupt:
        try:  # noqa: SIM105 - as above
            _end(child)
        except ChildProcessError:
            pass  # it had ended when we were interrupted
        raise
    finally:
        _signal.signal(_signal.SIGTERM, before)
    if asked:
        sys.exit(128 + _signal.SIGTERM)
    return code if code >= 0 else 128 - code


def _serve(parent: int, work: Callable[[], int]) -> None:
    code = 1
    try:
        from stages.linux import kernel

        kernel.die_with(parent)
        code = process.outcome(work)
    finally:
        process.leave(code)


def _end(child: int) -> None:
    """At a terminal it was interrupted too, and leaves things as they should be; else it is asked to."""
    end = time.monotonic() + _GRACE
    while os.waitpid(child, os.WNOHANG)[0] == 0:
        if time.monotonic() > end:
            os.kill(child, _signal.SIGTERM)
            os.waitpid(child, 0)
            return
        time.sleep(_PAUSE)
