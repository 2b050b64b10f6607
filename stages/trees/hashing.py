"""Reads a whole tree on disk and tells its content, entry by entry, with several processes if asked to."""

from __future__ import annotations

import hashlib
import os
import stat
from collections.abc import Iterator
from itertools import groupby
from pathlib import Path

from stages.base import files
from stages.base.records import NamedTuple
from stages.linux import workers, xattrs
from stages.trees import descent

_WHOLE = 1 << 20  # files up to this size are read at once, larger ones in pieces of it
_ZEROS = bytes(_WHOLE)
_NONE = b"-"
_NOTHING = b"-\t-"

# Set by the host's policy, not by the image: relabelling a host damages no tree.
_HOSTS_OWN = frozenset({b"security.selinux"})


class _Item(NamedTuple):
    """One entry. head: the first fields of its record. directory: number of where it lies. size: bytes to read."""

    head: bytes
    directory: int
    name: bytes
    mode: int
    size: int
    repeated: bool


def records(path: Path, jobs: int | None) -> Iterator[bytes]:
    """A record per entry, parents first, sorted by name in each directory; see fingerprint for the fields.

    Raises OSError, TreeError (nesting too deep), HostError (a reading process that died).
    """
    root = os.open(path, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        survey = _Survey()
        survey.take(root)
        sizes = [item.size for item in survey.items]
        found = workers.spread(sizes, jobs or workers.worth(sizes), lambda share: _tell_all(root, survey, share))
        for item, details in zip(survey.items, found, strict=True):
            yield b"%b\t%b\t%b\0" % (item.head, details, survey.path(item))
    finally:
        os.close(root)


class _Survey:
    """What a walk finds: every entry, without having opened a file."""

    def __init__(self) -> None:
        self.items: list[_Item] = []
        self.directories: list[tuple[bytes, ...]] = [()]
        self._first: dict[tuple[int, int], bytes] = {}

    def path(self, item: _Item) -> bytes:
        """The entry's path from the root on; "." is the root."""
        return b"/".join((*self.directories[item.directory], item.name))

    def take(self, root: int) -> None:
        """Walk everything below, and take, `root`."""
        self._add(0, b".", os.fstat(root))
        self._walk(root, 0)

    def _walk(self, directory: int, number: int) -> None:
        parts = self.directories[number]
        descent.check_depth(len(parts))
        for name in sorted(map(os.fsencode, os.listdir(directory))):
            status = os.stat(name, dir_fd=directory, follow_symlinks=False)
            self._add(number, name, status)
            if stat.S_ISDIR(status.st_mode):
                self.directories.append((*parts, name))
                below = descent.enter(directory, name)
                try:
                    self._walk(below, len(self.directories) - 1)
                finally:
                    os.close(below)

    def _add(self, number: int, name: bytes, status: os.stat_result) -> None:
        mode, size, device, same = status.st_mode, status.st_size, 0, _NONE
        if stat.S_ISDIR(mode):
            size = 0  # the file system's own affair
        elif status.st_nlink > 1:
            path = b"/".join((*self.directories[number], name))
            first = self._first.setdefault((status.st_dev, status.st_ino), path)
            same = _NONE if first == path else _digest(first)
        if stat.S_ISCHR(mode) or stat.S_ISBLK(mode):
            device = status.st_rdev
        ids = (status.st_uid, status.st_gid)
        head = b"%o\t%d\t%d\t%d\t%d\t%x\t%b" % (mode, size, *ids, status.st_mtime_ns, device, same)
        read = size if stat.S_ISREG(mode) and same == _NONE else 0
        self.items.append(_Item(head, number, name, mode, read, same != _NONE))


def _tell_all(root: int, survey: _Survey, share: range) -> list[bytes]:
    """The content and attribute fields of some of the items."""
    found: list[bytes] = []
    items = (survey.items[index] for index in share)
    for number, group in groupby(items, lambda item: item.directory):
        directory = descent.reach(root, survey.directories[number])
        try:
            found += [_NOTHING if item.repeated else _located(item, directory, survey) for item in group]
        finally:
            os.close(directory)
    return found


def _located(item: _Item, directory: int, survey: _Survey) -> bytes:
    """As _tell, with the whole path in what it raises."""
    try:
        return _tell(item, directory)
    except OSError as error:
        raise OSError(error.errno, os.strerror(error.errno or 0), descent.text(survey.path(item))) from error


def _tell(item: _Item, directory: int) -> bytes:
    """The content and attribute fields of one item."""
    flags = os.O_NOFOLLOW | os.O_CLOEXEC
    readable = stat.S_ISREG(item.mode) or stat.S_ISDIR(item.mode)
    # Opening a device or a fifo may do something; a link cannot be opened for reading at all.
    inode = os.open(item.name, flags | (os.O_RDONLY | os.O_NONBLOCK if readable else os.O_PATH), dir_fd=directory)
    try:
        content = _NONE
        if stat.S_ISREG(item.mode):
            content = _bytes(inode, item.size)
        elif stat.S_ISLNK(item.mode):
            content = _digest(os.readlink(b"", dir_fd=inode))
        return b"%b\t%b" % (content, _attributes(inode if readable else f"/proc/self/fd/{inode}"))
    finally:
        os.close(inode)


def _bytes(file: int, size: int) -> bytes:
    """The digest of a file's bytes."""
    # One byte more than there should be, so that the end shows itself; a larger read of a small file costs its buffer.
    if size < _WHOLE:
        data = os.read(file, size + 1)
        if len(data) <= size:  # else it is growing
            return _digest(data)
    return _large(file)


def _large(file: int) -> bytes:
    """The digest of a large file's bytes without its pieces of zeros, and one of where those are, for gaps.

    So a hole costs nothing, however large an image says it is, and a copy that has zeros in its place tells the same.
    """
    whole, gaps = hashlib.sha256(), hashlib.sha256()
    piece = bytearray(_WHOLE)
    position, told, has_gaps = 0, 0, False
    while (start := files.next_data(file, position)) is not None:
        position = start - start % _WHOLE
        count = os.preadv(file, [piece], position)
        data = piece if count == _WHOLE else piece[:count]
        if data != (_ZEROS if count == _WHOLE else bytes(count)):
            if position > told:
                gaps.update(b"%d-%d " % (told, position))
                has_gaps = True
            whole.update(data)
            told = position + count
        if count < _WHOLE:
            break
        position += count
    return (
        b"%b-%b" % (whole.hexdigest().encode(), gaps.hexdigest().encode()) if has_gaps else whole.hexdigest().encode()
    )


def _attributes(inode: int | str) -> bytes:
    """The digest of all extended attributes, or "-" for none."""
    whole = hashlib.sha256()
    kept = [name for name in xattrs.names(inode) if name not in _HOSTS_OWN]
    for name in kept:
        value = os.getxattr(inode, name)
        whole.update(b"%b\0%d\0%b" % (name, len(value), value))
    return whole.hexdigest().encode() if kept else _NONE


def _digest(data: bytes) -> bytes:
    return hashlib.sha256(data).hexdigest().encode()
