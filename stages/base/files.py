"""How files reach disk, and how they leave: whole or not at all, and by one function each."""

from __future__ import annotations

import contextlib
import errno
import fcntl
import os
import re
import stat
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, BinaryIO

from stages.base import entries
from stages.base.errors import HostError, placed

# How it is said that there is no directory of a name; the last of a link that leads to itself.
_NO_FOLDER = (errno.ENOENT, errno.ENOTDIR, errno.ELOOP)
_TEMPORARY = r"\..+\.[0-9a-f]{8}"


def publish(path: Path, data: bytes, mode: int = 0o640, *, durable: bool = True) -> None:
    """Write `data` to `path` so that a reader sees the old bytes or the new ones, never a part.

    Temporary name, fsync, rename, fsync of the directory. durable=False leaves the syncs out: for caches and
    for state that a crash may lose. Raises OSError; nothing is left behind then.
    """
    with writing(path, mode, durable=durable) as file:
        file.write(data)


@contextlib.contextmanager
def writing(path: Path, mode: int = 0o640, *, durable: bool = True) -> Iterator[BinaryIO]:
    """As publish, for data that comes piece by piece: what the block writes appears at `path` when it ends well."""
    temporary, descriptor = entries.begun(str(path), mode)
    try:
        with open(descriptor, "wb") as file:
            yield file
            file.flush()
            if durable:
                os.fsync(descriptor)
            os.rename(temporary, path)
    except BaseException as error:
        with contextlib.suppress(OSError):
            os.unlink(temporary)
        if isinstance(error, OSError):
            placed(error, str(path))
        raise
    if durable:
        sync_directory(path.parent)


def _token() -> str:
    """Eight random digits for a name that nobody else uses."""
    return os.urandom(4).hex()


def listed(folder: Path) -> list[Path]:
    """What lies in a folder, sorted; nothing when there is none, or a link that leads to itself."""
    try:
        return sorted(folder.iterdir())
    except OSError as error:
        if error.errno not in _NO_FOLDER:
            raise
        return []


def abandoned(folder: Path) -> list[Path]:
    """The temporary files in `folder` whose writers were killed, as it seems: remove_abandoned makes sure."""
    found = [path for path in listed(folder) if re.fullmatch(_TEMPORARY, path.name)]
    return [path for path in found if _unless_written(path, lambda: None)]


def remove_abandoned(path: Path) -> bool:
    """Remove such a file, unless somebody is writing it after all; whether it was."""
    return _unless_written(path, path.unlink)


def _unless_written(path: Path, act: Callable[[], None]) -> bool:
    """Do `act` under the file's lock, unless its writer has that, or the file is gone; whether it was done."""
    try:
        descriptor = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)
    except OSError:
        return False
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        if not os.fstat(descriptor).st_nlink:
            return False
        act()
    except (BlockingIOError, FileNotFoundError):
        return False
    finally:
        os.close(descriptor)
    return True


def make_directory(path: Path, mode: int = 0o755) -> None:
    """Make the directory `path` unless it is there, with `mode`, and what is missing above it, 0755.

    Every directory of ours is made here or with a mode: whoever calls with the umask 0 must not open the store to all.
    """
    try:
        try:
            os.mkdir(path, mode)
        except FileNotFoundError:
            make_directory(path.parent)
            os.mkdir(path, mode)
    except FileExistsError:
        if not path.is_dir():
            raise


def sync_directory(path: Path) -> None:
    """Make the names in `path` durable."""
    descriptor = os.open(path, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def read_or_none(path: Path) -> bytes | None:
    """The file's bytes, or None when there is no such file (or a parent of it is missing). Raises as open_regular."""
    try:
        with open_regular(path) as file:
            return file.read()
    except (FileNotFoundError, NotADirectoryError):
        return None


def read_small(path: Path, limit: int = 16 << 20) -> bytes | None:
    """The bytes of a small file in a directory that others may have written to.

    None when it is missing or cannot be opened, is a link or no regular file (a FIFO would never end), or is larger
    than `limit` bytes.
    """
    try:
        descriptor = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)
    except OSError:
        return None
    try:
        status = os.fstat(descriptor)
        if not stat.S_ISREG(status.st_mode) or status.st_size > limit:
            return None
        with open(descriptor, "rb", closefd=False) as file:
            return file.read(limit)
    finally:
        os.close(descriptor)


def read_value(path: Path, limit: int = 16 << 20) -> Any:
    """The value of a small file of JSON, as read_small; None also where it is damaged."""
    return value(read_small(path, limit))


def value(data: bytes | None) -> Any:
    """The value of the JSON in a file of ours, if there is one; None also where it is damaged, however that is."""
    import json

    try:
        return json.loads(data or b"null")
    except (ValueError, RecursionError):
        return None


def next_data(descriptor: int, position: int) -> int | None:
    """Where a file has its next data from `position` on; None where all that follows is a hole. Raises OSError."""
    try:
        return os.lseek(descriptor, position, os.SEEK_DATA)
    except OSError as error:
        if error.errno != errno.ENXIO:
            raise
        return None


def discard(path: Path, garbage: Path) -> None:
    """Take `path` (file or directory, may be missing) out of use at once, and delete it.

    It is renamed into `garbage` first, so that an interruption leaves nothing half-deleted in its place; what a
    killed process left there, `doit gc` deletes. Raises HostError when something is mounted in it, OSError.
    """
    doomed = put_aside(path, garbage)
    if doomed is not None:
        entries.tree(str(doomed))


def put_aside(path: Path, garbage: Path) -> Path | None:
    """Only the first half of `discard`: for what somebody may still be using. `doit gc` deletes it when nobody does.

    Whoever has it open, or as a lower layer, goes on with it. Returns the new name, None when there was nothing.
    """
    _refuse_mounts(path)
    make_directory(garbage, 0o700)
    doomed = garbage / f"{path.name}.{_token()}"
    try:
        os.rename(path, doomed)
    except FileNotFoundError:
        return None
    return doomed


def delete(path: Path) -> None:
    """Remove a file or a whole directory, never following a link, and nothing that is mounted in it.

    Raises HostError when something is: it may be the host's own /dev, or a volume. Raises OSError.
    """
    if path.is_dir() and not path.is_symlink():
        _refuse_mounts(path)
        entries.tree(os.path.abspath(path))
    else:
        path.unlink(missing_ok=True)


def _refuse_mounts(path: Path) -> None:
    """Nothing of ours is ever mounted on the host, but another program may have done it in a directory of ours."""
    point = entries.mounted(os.path.join(os.path.realpath(path.parent), path.name))
    if point is not None:
        raise HostError(
            f"{point} is a mount point, so {path} is not deleted",
            hint="umount it; one that is shared with the host needs `mount --make-rprivate` before that",
            reason="mounted",
        )


def open_regular(path: Path) -> BinaryIO:
    """Open a file of somebody else's for reading. Raises OSError; for a FIFO or a device too, without waiting on it."""
    descriptor = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_NOCTTY | os.O_CLOEXEC)
    if stat.S_ISREG(os.fstat(descriptor).st_mode):
        return os.fdopen(descriptor, "rb")
    os.close(descriptor)
    raise OSError(errno.EINVAL, "not a regular file", str(path))
