"""A directory on disk as members for an archive, with everything that an archive can hold."""

from __future__ import annotations

import os
import stat
from collections.abc import Iterator
from pathlib import Path

from stages.base.errors import ImageError
from stages.images import acl
from stages.images.build import Member, opener
from stages.images.entry import Entry, Extent, Kind
from stages.images.tarheader import BLOCK, shown

_KINDS = {
    stat.S_IFREG: Kind.FILE,
    stat.S_IFDIR: Kind.DIRECTORY,
    stat.S_IFLNK: Kind.SYMLINK,
    stat.S_IFCHR: Kind.CHAR,
    stat.S_IFBLK: Kind.BLOCK,
    stat.S_IFIFO: Kind.FIFO,
}
_HOST_POLICY = (b"security.selinux", b"security.ima", b"security.evm")  # labels of this host, not of the image

_Seen = dict[tuple[int, int], bytes]


def from_directory(
    path: Path, *, mtime_ns: int | None = None, owner: tuple[int, int] | None = None
) -> Iterator[Member]:
    """The tree below `path`, and `path` itself as b"", sorted: each directory before what is in it.

    Keeps owners, modes, times in ns, hard links, xattrs with ACLs and file capabilities, device nodes, fifos and
    holes; mtime_ns and owner (uid, gid) replace what the disk says, for trees whose checkout should not matter.
    File systems mounted below are entered. ImageError for a socket; OSError for what may not be read.
    """
    seen: _Seen = {}
    root = os.fsencode(path)
    for name in _names(root):
        member = _member(root, name, seen)
        yield _replaced(member, mtime_ns, owner)


def _names(root: bytes) -> Iterator[bytes]:
    waiting = [(b"", True)]
    while waiting:
        name, is_directory = waiting.pop()
        yield name
        if is_directory:
            with os.scandir(os.path.join(root, name)) as listing:
                found = sorted(((item.name, item.is_dir(follow_symlinks=False)) for item in listing), reverse=True)
            waiting += [(name + b"/" + child if name else child, below) for child, below in found]


def _member(root: bytes, name: bytes, seen: _Seen) -> Member:
    path = os.path.join(root, name) if name else root
    status = os.stat(path, follow_symlinks=not name)
    kind = _KINDS.get(stat.S_IFMT(status.st_mode))
    if kind is None:
        raise ImageError(f"{shown(path)} is a socket, which no archive can hold", reason="type")
    entry = Entry(
        name,
        kind,
        stat.S_IMODE(status.st_mode),
        status.st_uid,
        status.st_gid,
        status.st_mtime_ns,
        target=os.readlink(path) if kind is Kind.SYMLINK else b"",
        major=os.major(status.st_rdev) if kind in (Kind.CHAR, Kind.BLOCK) else 0,
        minor=os.minor(status.st_rdev) if kind in (Kind.CHAR, Kind.BLOCK) else 0,
        xattrs=_xattrs(path),
    )
    if kind is not Kind.DIRECTORY and status.st_nlink > 1:
        first = seen.setdefault((status.st_dev, status.st_ino), name)
        if first != name:
            return Member(entry._replace(kind=Kind.HARDLINK, target=first, xattrs=(), major=0, minor=0))
    if kind is not Kind.FILE:
        return Member(entry)
    return Member(entry._replace(size=status.st_size, extents=_extents(path, status)), opener(path))


def _replaced(member: Member, mtime_ns: int | None, owner: tuple[int, int] | None) -> Member:
    entry = member.entry
    if mtime_ns is not None:
        entry = entry._replace(mtime_ns=mtime_ns)
    if owner is not None:
        entry = entry._replace(uid=owner[0], gid=owner[1])
    return Member(entry, member.data)


def _xattrs(path: bytes) -> tuple[tuple[bytes, bytes], ...]:
    found = []
    for name in sorted(os.fsencode(name) for name in os.listxattr(path, follow_symlinks=False)):
        if name in _HOST_POLICY:
            continue
        value: bytes | None = os.getxattr(path, name, follow_symlinks=False)
        if name in (acl.ACCESS, acl.DEFAULT):
            value = acl.checked(value or b"", name)
        if value is not None:
            found.append((name, value))
    return tuple(found)


def _extents(path: bytes, status: os.stat_result) -> tuple[Extent, ...]:
    """The file's data without its holes; parts end at whole blocks, except at the end of the file."""
    size = status.st_size
    if not size or status.st_blocks * 512 >= size:
        return (Extent(0, 0, size),) if size else ()
    found: list[Extent] = []
    with opener(path)() as file:
        end = 0
        while end < size and (start := _next_data(file.fileno(), end)) is not None:
            end = min(-(-os.lseek(file.fileno(), start, os.SEEK_HOLE) // BLOCK) * BLOCK, size)
            found.append(Extent(start, start, end - start))
    return tuple(found)


def _next_data(descriptor: int, position: int) -> int | None:
    try:
        return os.lseek(descriptor, position, os.SEEK_DATA)
    except OSError:  # ENXIO: a hole up to the end
        return None
