"""Advisory locks on directories and files: flock, as rkt uses it, because it follows the inode and survives exec."""

from __future__ import annotations

import contextlib
import fcntl
import os
import time
from collections.abc import Collection, Iterator
from pathlib import Path

from stages.base.files import listed, make_directory
from stages.linux.flock import is_still, shared, try_lock

__all__ = ["held", "is_locked", "shared", "sweep", "tried", "try_lock", "wait"]

# Between two looks at a lock, in seconds: the first, and the longest.
_PAUSE, _LONGEST_PAUSE = 0.001, 0.02


def is_locked(directory: Path) -> bool:
    """Whether somebody holds the directory's lock exclusively, at this moment. A missing directory is not locked."""
    try:
        descriptor = try_lock(directory, exclusive=False)
    except FileNotFoundError:
        return False
    if descriptor is None:
        return True
    os.close(descriptor)
    return False


def wait(directory: Path, seconds: float | None = None) -> bool:
    """Until nobody holds the directory's lock exclusively, at most `seconds`; whether that came true.

    A directory that is missing, or goes away, or is none, is held by nobody.
    """
    try:
        descriptor = os.open(directory, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC)
    except (FileNotFoundError, NotADirectoryError):
        return True
    try:
        if seconds is None:
            fcntl.flock(descriptor, fcntl.LOCK_SH)
            return True
        return _free_until(descriptor, time.monotonic() + seconds)
    finally:
        os.close(descriptor)


def _free_until(descriptor: int, end: float) -> bool:
    """flock knows no time limit, so a limited wait looks again and again."""
    pause = _PAUSE
    while True:
        try:
            fcntl.flock(descriptor, fcntl.LOCK_SH | fcntl.LOCK_NB)
            return True
        except BlockingIOError:
            if time.monotonic() >= end:
                return False
        time.sleep(pause)
        pause = min(1.2 * pause, _LONGEST_PAUSE)


@contextlib.contextmanager
def tried(path: Path) -> Iterator[bool]:
    """Hold the lock file `path` exclusively during the block if nobody else has it; yields whether it is held."""
    make_directory(path.parent)
    descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        got = is_still(path, descriptor)
    except BlockingIOError:
        got = False
    try:
        yield got
    finally:
        os.close(descriptor)


def sweep(folder: Path, needed: Collection[str]) -> None:
    """Delete the lock files in a folder that nobody holds, but for those of the names that are needed."""
    for path in (one for one in listed(folder) if one.name not in needed):
        with tried(path) as alone:
            if alone:
                path.unlink()


@contextlib.contextmanager
def held(path: Path, *, exclusive: bool = True) -> Iterator[None]:
    """Hold the lock file `path` (made if missing) during the block, waiting for it. The file stays."""
    make_directory(path.parent)
    descriptor = _waited_for(path, fcntl.LOCK_EX if exclusive else fcntl.LOCK_SH)
    try:
        yield
    finally:
        os.close(descriptor)


def _waited_for(path: Path, operation: int) -> int:
    """A locked descriptor. Who had the lock may have taken the file away: then it is another file's that counts."""
    while True:
        descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        try:
            fcntl.flock(descriptor, operation)
            if is_still(path, descriptor):
                return descriptor
        except BaseException:
            os.close(descriptor)
            raise
        os.close(descriptor)
