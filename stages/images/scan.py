"""A directory on disk as members for an archive, with everything that an archive can hold."""

from __future__ import annotations

import contextlib
import errno
import os
import stat
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import BinaryIO

from stages.base import files
from stages.base.errors import ImageError
from stages.images import acl
from stages.images.build import Member
from stages.images.entry import Entry, Extent, Kind
from stages.images.tarheader import BLOCK, shown
from stages.linux import kernel, xattrs

_KINDS = {
    stat.S_IFREG: Kind.FILE,
    stat.S_IFDIR: Kind.DIRECTORY,
    stat.S_IFLNK: Kind.SYMLINK,
    stat.S_IFCHR: Kind.CHAR,
    stat.S_IFBLK: Kind.BLOCK,
    stat.S_IFIFO: Kind.FIFO,
}
_HOST_POLICY = (b"security.selinux", b"security.ima", b"security.evm")  # labels of this host, not of the image

# What a name leads to when it is not what it was, if it leads anywhere: a link in the way, a file, nothing.
_REPLACED = (errno.ELOOP, errno.ENOTDIR, errno.ENOENT)

_Seen = dict[tuple[int, int], bytes]


class Root:
    """A directory that is packed: all of it is reached from its descriptor, through no link.

    The directory that was used last stays open, because the next name is mostly one of its own.
    """

    def __init__(self, path: Path) -> None:
        """Raises OSError."""
        self._path = os.fsencode(path)
        self._descriptor = os.open(path, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
        self._last, self._folder = b"", os.dup(self._descriptor)

    def close(self) -> None:
        """To be called when all of its members are written."""
        os.close(self._folder)
        os.close(self._descriptor)

    def open(self, name: bytes, flags: int) -> int:
        """A descriptor of what has the name, b"" being the root. ImageError for what is not there any more, OSError."""
        folder, _, last = name.rpartition(b"/")
        try:
            if folder != self._last:
                found = kernel.open_beneath(self._descriptor, folder or b".", os.O_RDONLY | os.O_DIRECTORY)
                os.close(self._folder)
                self._last, self._folder = folder, found
            return os.open(last or b".", flags | os.O_NOFOLLOW | os.O_CLOEXEC, dir_fd=self._folder)
        except OSError as error:
            if error.errno in _REPLACED:
                raise self.changed(name) from error
            raise OSError(error.errno, os.strerror(error.errno or 0), self.shown(name)) from error

    def shown(self, name: bytes) -> str:
        """The whole path of a name."""
        return shown(os.path.join(self._path, name) if name else self._path)

    def changed(self, name: bytes) -> ImageError:
        """What is told when a name is not what it was."""
        return ImageError(f"{self.shown(name)} was replaced while it was read", hint="run again", reason="moving")


@contextlib.contextmanager
def opened(path: Path) -> Iterator[Root]:
    """The directory, until all of its members are written. Raises OSError."""
    with contextlib.closing(Root(path)) as root:
        yield root


def from_directory(
    root: Root, *, mtime_ns: int | None = None, owner: tuple[int, int] | None = None
) -> Iterator[Member]:
    """The tree below `root`, and the root itself as b"", sorted: each directory before what is in it.

    Keeps owners, modes, times in ns, hard links, xattrs with ACLs and file capabilities, device nodes, fifos and
    holes; mtime_ns and owner (uid, gid) replace what the disk says, for trees whose checkout should not matter.
    File systems mounted below are entered; no link is followed, whatever takes a directory's or a file's place while
    it is read. ImageError for a socket, and for what was replaced; OSError for what may not be read.
    """
    seen: _Seen = {}
    for name in _names(root):
        member = _member(root, name, seen)
        yield _replaced(member, mtime_ns, owner)


def _names(root: Root) -> Iterator[bytes]:
    waiting = [(b"", True)]
    while waiting:
        name, is_directory = waiting.pop()
        yield name
        if is_directory:
            found = sorted(_children(root, name), reverse=True)
            waiting += [(name + b"/" + child if name else child, below) for child, below in found]


def _children(root: Root, name: bytes) -> list[tuple[bytes, bool]]:
    """The names in a directory, and whether each is one too."""
    here = root.open(name, os.O_RDONLY | os.O_DIRECTORY)
    try:
        with os.scandir(here) as listing:
            return [(os.fsencode(item.name), item.is_dir(follow_symlinks=False)) for item in listing]
    finally:
        os.close(here)


def _member(root: Root, name: bytes, seen: _Seen) -> Member:
    inode = root.open(name, os.O_PATH)  # opening a device for reading may do something
    try:
        return _described(root, name, inode, seen)
    except OSError as error:
        raise OSError(error.errno, os.strerror(error.errno or 0), root.shown(name)) from error
    finally:
        os.close(inode)


def _described(root: Root, name: bytes, inode: int, seen: _Seen) -> Member:
    status, place = os.fstat(inode), f"/proc/self/fd/{inode}"
    kind = _KINDS.get(stat.S_IFMT(status.st_mode))
    if kind is None:
        raise ImageError(f"{root.shown(name)} is a socket, which no archive can hold", reason="type")
    entry = Entry(
        name,
        kind,
        stat.S_IMODE(status.st_mode),
        status.st_uid,
        status.st_gid,
        status.st_mtime_ns,
        target=os.readlink(b"", dir_fd=inode) if kind is Kind.SYMLINK else b"",
        major=os.major(status.st_rdev) if kind in (Kind.CHAR, Kind.BLOCK) else 0,
        minor=os.minor(status.st_rdev) if kind in (Kind.CHAR, Kind.BLOCK) else 0,
        xattrs=_xattrs(place),
    )
    if kind is not Kind.DIRECTORY and status.st_nlink > 1:
        first = seen.setdefault((status.st_dev, status.st_ino), name)
        if first != name:
            return Member(entry._replace(kind=Kind.HARDLINK, target=first, xattrs=(), major=0, minor=0))
    if kind is not Kind.FILE:
        return Member(entry)
    return Member(entry._replace(size=status.st_size, extents=_extents(place, status)), _opener(root, name, status))


def _opener(root: Root, name: bytes, status: os.stat_result) -> Callable[[], BinaryIO]:
    """Opens the file when it is its turn, and no other: owner and mode of one do not belong to the bytes of another."""

    def open_it() -> BinaryIO:
        file = os.fdopen(root.open(name, os.O_RDONLY | os.O_NONBLOCK | os.O_NOCTTY), "rb")
        if os.path.samestat(os.fstat(file.fileno()), status):
            return file
        file.close()
        raise root.changed(name)

    return open_it


def _replaced(member: Member, mtime_ns: int | None, owner: tuple[int, int] | None) -> Member:
    entry = member.entry
    if mtime_ns is not None:
        entry = entry._replace(mtime_ns=mtime_ns)
    if owner is not None:
        entry = entry._replace(uid=owner[0], gid=owner[1])
    return Member(entry, member.data)


def _xattrs(path: str) -> tuple[tuple[bytes, bytes], ...]:
    found = []
    for name in xattrs.names(path):
        if name in _HOST_POLICY:
            continue
        value: bytes | None = os.getxattr(path, name)
        if name in (acl.ACCESS, acl.DEFAULT):
            value = acl.checked(value or b"", name)
        if value is not None:
            found.append((name, value))
    return tuple(found)


def _extents(place: str, status: os.stat_result) -> tuple[Extent, ...]:
    """The file's data without its holes; parts end at whole blocks, except at the end of the file."""
    size = status.st_size
    if not size or status.st_blocks * 512 >= size:
        return (Extent(0, 0, size),) if size else ()
    found: list[Extent] = []
    with open(place, "rb") as file:
        end = 0
        while end < size and (start := files.next_data(file.fileno(), end)) is not None:
            end = min(-(-os.lseek(file.fileno(), start, os.SEEK_HOLE) // BLOCK) * BLOCK, size)
            found.append(Extent(start, start, end - start))
    return tuple(found)
