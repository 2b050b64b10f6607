"""A directory copied as it is, by descriptors: links stay links, and nothing but regular files is ever read."""

from __future__ import annotations

import errno
import os
import stat

MAX_DEPTH = 200  # every level holds two descriptors
_READ = os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC
_MAKE = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC
_LOOK = os.O_PATH | os.O_NOFOLLOW | os.O_CLOEXEC
_PIECE = 1 << 30
# Attributes that belong to the place and not to the file.
_LOCAL = ("security.selinux", "trusted.overlay.")


class Copier:
    """One copy, from the directory behind `source` to the empty one behind `target` (descriptors, borrowed).

    Owners, modes, times, extended attributes, holes and hard links are kept. OSError names the path in the copy.
    """

    def __init__(self, source: int, target: int) -> None:
        self._source, self._target = source, target
        self._linked: dict[tuple[int, int], str] = {}

    def run(self) -> None:
        """Copy."""
        self._fill(self._source, self._target, ())

    def _fill(self, source: int, target: int, path: tuple[str, ...]) -> None:
        if len(path) > MAX_DEPTH:
            raise OSError(errno.ELOOP, f"more than {MAX_DEPTH} directories in each other", "/".join(path[:3]))
        for name in sorted(os.listdir(source)):
            try:
                self._one(name, source, target, (*path, name))
            except OSError as error:
                raise OSError(error.errno, error.strerror, error.filename2 or "/".join((*path, name))) from error
        _dress(target, source)

    def _one(self, name: str, source: int, target: int, path: tuple[str, ...]) -> None:
        status = os.stat(name, dir_fd=source, follow_symlinks=False)
        key = (status.st_dev, status.st_ino)
        if first := self._linked.get(key):
            os.link(first, name, src_dir_fd=self._target, dst_dir_fd=target, follow_symlinks=False)
        elif stat.S_ISDIR(status.st_mode):
            self._directory(name, source, target, path)
        else:
            _make(name, source, target, status)
            if status.st_nlink > 1:
                self._linked[key] = "/".join(path)

    def _directory(self, name: str, source: int, target: int, path: tuple[str, ...]) -> None:
        os.mkdir(name, 0o700, dir_fd=target)
        ours, theirs = (os.open(name, _READ | os.O_DIRECTORY, dir_fd=parent) for parent in (target, source))
        try:
            self._fill(theirs, ours, path)
        finally:
            os.close(ours)
            os.close(theirs)


def _make(name: str, source: int, target: int, status: os.stat_result) -> None:
    """Copy what is no directory."""
    if stat.S_ISREG(status.st_mode):
        _file(name, source, target)
    elif stat.S_ISLNK(status.st_mode):
        os.symlink(os.readlink(name, dir_fd=source), name, dir_fd=target)
    else:
        os.mknod(name, stat.S_IFMT(status.st_mode) | 0o600, status.st_rdev, dir_fd=target)
    ours, theirs = (os.open(name, _LOOK, dir_fd=parent) for parent in (target, source))
    try:
        _dress(ours, theirs)
    finally:
        os.close(ours)
        os.close(theirs)


def _file(name: str, source: int, target: int) -> None:
    with (
        open(os.open(name, _READ, dir_fd=source), "rb", buffering=0) as theirs,
        open(os.open(name, _MAKE, 0o600, dir_fd=target), "wb", buffering=0) as ours,
    ):
        size = os.fstat(theirs.fileno()).st_size
        os.ftruncate(ours.fileno(), size)
        position = _data(theirs.fileno(), 0)
        while position < size:
            hole = os.lseek(theirs.fileno(), position, os.SEEK_HOLE)
            _extent(theirs.fileno(), ours.fileno(), position, hole)
            position = _data(theirs.fileno(), hole)


def _extent(theirs: int, ours: int, position: int, end: int) -> None:
    os.lseek(ours, position, os.SEEK_SET)
    while position < end:
        sent = os.sendfile(ours, theirs, position, min(end - position, _PIECE))
        if not sent:
            raise OSError(errno.EIO, "the image's file is cut off")
        position += sent


def _data(handle: int, position: int) -> int:
    """Where data goes on at or after `position`; past every end when there is none."""
    try:
        return os.lseek(handle, position, os.SEEK_DATA)
    except OSError as error:
        if error.errno != errno.ENXIO:
            raise
        return 1 << 63


def _dress(ours: int, theirs: int) -> None:
    """Give what is behind `ours` the attributes of what is behind `theirs`; neither is followed if it is a link."""
    place, model = f"/proc/self/fd/{ours}", f"/proc/self/fd/{theirs}"
    status = os.stat(theirs)
    os.chown(place, status.st_uid, status.st_gid)
    if not stat.S_ISLNK(status.st_mode):
        os.chmod(place, stat.S_IMODE(status.st_mode))
    for name in os.listxattr(model):
        if not name.startswith(_LOCAL):
            _attribute(place, name, os.getxattr(model, name))
    os.utime(place, ns=(status.st_atime_ns, status.st_mtime_ns))


def _attribute(place: str, name: str, value: bytes) -> None:
    try:
        os.setxattr(place, name, value)
    except OSError as error:
        if error.errno != errno.ENOTSUP:  # the pod's file system has none of this kind
            raise
