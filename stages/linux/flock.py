"""The two locks that every run takes: on a pod's directory, and on the store. Light: on the path of every run."""

from __future__ import annotations

import fcntl
import os

TYPE_CHECKING = False
if TYPE_CHECKING:
    from os import PathLike


def try_lock(directory: str | PathLike[str], *, exclusive: bool = True) -> int | None:
    """A locked descriptor of `directory`, or None when somebody else holds the lock.

    The directory may be renamed or replaced between opening and locking; then the lock would be on something
    that nobody else looks at, so the name is looked up again and the attempt repeated. Raises FileNotFoundError,
    and NotADirectoryError for a file or a link.
    """
    operation = (fcntl.LOCK_EX if exclusive else fcntl.LOCK_SH) | fcntl.LOCK_NB
    while True:
        descriptor = os.open(directory, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC)
        try:
            fcntl.flock(descriptor, operation)
        except BlockingIOError:
            os.close(descriptor)
            return None
        except BaseException:
            os.close(descriptor)
            raise
        if is_still(directory, descriptor):
            return descriptor
        os.close(descriptor)


def shared(path: str | PathLike[str]) -> int:
    """A shared lock on the lock file `path` (made if missing), waited for; ends when the descriptor is closed."""
    os.makedirs(os.path.dirname(path), mode=0o755, exist_ok=True)
    descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    fcntl.flock(descriptor, fcntl.LOCK_SH)
    return descriptor


def is_still(path: str | PathLike[str], descriptor: int) -> bool:
    """Whether the name still leads to what was opened."""
    opened = os.fstat(descriptor)
    try:
        named = os.stat(path, follow_symlinks=False)
    except FileNotFoundError:
        return False
    return (opened.st_dev, opened.st_ino) == (named.st_dev, named.st_ino)
