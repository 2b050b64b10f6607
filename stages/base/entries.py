"""Names in directories: new ones for files that are written, what is mounted there, all of them gone.

Light: on every run's path.
"""

from __future__ import annotations

import fcntl
import os
import stat
import sys

# Below this many directories a deeper one is moved up instead of entered: descriptors and Python's stack are finite.
_DEEPEST = 64
# linux/fs.h: reading and writing the marks of a file; those by which nobody, root neither, may remove or change it.
_LONG = 8 if sys.maxsize > 1 << 32 else 4
_GET_MARKS, _SET_MARKS = 2 << 30 | _LONG << 16 | 0x6601, 1 << 30 | _LONG << 16 | 0x6602
_IMMUTABLE, _APPEND = 0x10, 0x20


def begun(path: str, mode: int) -> tuple[str, int]:
    """A new file beside `path`, to be written and renamed to it: its name, and a descriptor that is locked.

    Its mode is `mode`, whatever the umask. Who sweeps takes away only what it has the lock of, so the file is let go
    after the rename. Raises OSError.
    """
    folder, slash, name = path.rpartition("/")
    while True:
        temporary = f"{folder}{slash}.{name}.{os.urandom(4).hex()}"
        descriptor = os.open(temporary, os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, mode)
        fcntl.flock(descriptor, fcntl.LOCK_EX)
        if os.fstat(descriptor).st_nlink:
            os.fchmod(descriptor, mode)
            return temporary, descriptor
        os.close(descriptor)  # a sweep came before the lock


def mounted(path: str) -> str | None:
    """A mount point at `path`, through which no link leads, or below it; None when there is none. Raises OSError."""
    place = os.fsencode(path)
    for byte in b"\\ \t\n":  # as mountinfo writes them, the backslash first
        place = place.replace(bytes((byte,)), b"\\%03o" % byte)
    with open("/proc/self/mountinfo", "rb") as file:
        mounts = file.read()
    if b" " + place not in mounts:
        return None
    for line in mounts.rstrip(b"\n").split(b"\n"):  # no other end of a line: names may hold them
        point = line.split(b" ", 5)[4]
        if point == place or point.startswith(place + b"/"):
            for byte in b"\n\t \\":
                point = point.replace(b"\\%03o" % byte, bytes((byte,)))
            return os.fsdecode(point)
    return None


def tree(path: str) -> None:
    """Remove, by descriptors, the file or the whole directory at `path`; what is missing is no trouble.

    No name is followed, no depth is too deep, and no mark of an app's (chattr +i, +a) keeps anything. Raises OSError.
    """
    parent = os.open(os.path.dirname(path) or ".", os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        pending = [os.path.basename(path)]
        while pending:
            _remove(parent, pending.pop(), parent, pending, 0)
    finally:
        os.close(parent)


def _remove(above: int, name: str, top: int, pending: list[str], depth: int) -> None:
    """Remove `name` from the directory `above`; what lies too deep becomes a name in `top`, and `pending`.

    Somebody else may be removing the same.
    """
    try:
        _unlink(above, name)
    except FileNotFoundError:
        return
    except IsADirectoryError:
        try:
            _remove_directory(above, name, top, pending, depth)
        except FileNotFoundError:
            return


def _remove_directory(above: int, name: str, top: int, pending: list[str], depth: int) -> None:
    if depth == _DEEPEST:
        aside = f".deep.{os.urandom(8).hex()}"
        os.rename(name, aside, src_dir_fd=above, dst_dir_fd=top)
        pending.append(aside)
        return
    opened = os.open(name, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC, dir_fd=above)
    try:
        for entry in os.listdir(opened):
            _remove(opened, entry, top, pending, depth + 1)
    finally:
        os.close(opened)
    os.rmdir(name, dir_fd=above)


def _unlink(above: int, name: str) -> None:
    try:
        os.unlink(name, dir_fd=above)
    except PermissionError:
        own = os.open(name, os.O_PATH | os.O_NOFOLLOW | os.O_CLOEXEC, dir_fd=above)
        try:
            if not _freed(above) | _freed(own):
                raise
        finally:
            os.close(own)
        os.unlink(name, dir_fd=above)


def _freed(place: int) -> bool:
    """Take away the marks that keep what is behind the descriptor (O_PATH will do); whether there were any."""
    mode = os.fstat(place).st_mode
    if not (stat.S_ISREG(mode) or stat.S_ISDIR(mode)):  # others have none, and opening a device may do something
        return False
    opened = os.open(f"/proc/self/fd/{place}", os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
    try:
        marks = int.from_bytes(fcntl.ioctl(opened, _GET_MARKS, bytes(_LONG))[:4], sys.byteorder)
        if not marks & (_IMMUTABLE | _APPEND):
            return False
        left = marks & ~(_IMMUTABLE | _APPEND)
        fcntl.ioctl(opened, _SET_MARKS, left.to_bytes(4, sys.byteorder) + bytes(_LONG - 4))
        return True
    except OSError:  # a file system that has no marks, or nobody who may take them away
        return False
    finally:
        os.close(opened)
