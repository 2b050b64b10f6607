"""The caller's stdin, stdout and stderr, which runtimes give to the app's user: what is the host's stays the host's."""

from __future__ import annotations

import os
import stat

from stages.stage1.lib import beneath
from stages.stage1.lib.errors import Stage1Error

_STREAMS = (0, 1, 2)


def owners() -> dict[int, tuple[int, int]]:
    """Owner and group of what the caller gave."""
    return {number: (status.st_uid, status.st_gid) for number, status in _given()}


def give_back(before: dict[int, tuple[int, int]]) -> None:
    """Runtimes give the streams to the app's user, so that it can open /dev/stdout; the caller gets its files back."""
    for number, owner in before.items():
        status = os.fstat(number)
        if (status.st_uid, status.st_gid) != owner:
            os.fchown(number, *owner)


def take_own_null() -> None:
    """Streams that are the host's /dev/null become the one of the place: a runtime gives them to the app's user, and
    pods that run side by side would take that user for the owner to whom to give it back.
    """
    for number in _nulls():
        _replace(number, os.devnull)


def take_null_of(root: int, app: str) -> None:
    """Streams that are the host's /dev/null become the one in the app's root, whose descriptor is `root`.

    Of the host's the app's root could change the mode, for everybody: crun keeps it from an app that it starts, not
    from a command that is entered. Raises Stage1Error where the app has none.
    """
    numbers = _nulls()
    if not numbers:
        return
    with beneath.Walk(root) as walk:
        try:  # noqa: SIM105 - contextlib is not loaded here
            walk.go(os.devnull)
        except OSError:
            pass
        if not _is_null(walk.status()):
            raise Stage1Error(f"app {app} has no {os.devnull} to put in place of the host's")
        for number in numbers:
            _replace(number, f"/proc/self/fd/{walk.here}")


def _given() -> list[tuple[int, os.stat_result]]:
    result = []
    for number in _STREAMS:
        try:
            result.append((number, os.fstat(number)))
        except OSError:
            continue  # closed by the caller
    return result


def _nulls() -> list[int]:
    return [number for number, status in _given() if _is_null(status)]


def _is_null(status: os.stat_result) -> bool:
    return stat.S_ISCHR(status.st_mode) and status.st_rdev == os.makedev(1, 3)


def _replace(number: int, path: str) -> None:
    own = os.open(path, os.O_RDWR)
    os.dup2(own, number)
    os.close(own)
