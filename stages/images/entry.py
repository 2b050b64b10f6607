"""One member of an archive, as data: what the tar reader yields and the tree merger takes."""

from __future__ import annotations

from enum import Enum

from stages.base.records import NamedTuple


class Kind(Enum):
    """What an entry is; the values are the words used in messages."""

    FILE = "file"
    DIRECTORY = "directory"
    SYMLINK = "symlink"
    HARDLINK = "hard link"
    CHAR = "character device"
    BLOCK = "block device"
    FIFO = "fifo"

    # Enum's own is a function in Python, asked several times for each entry.
    __hash__ = object.__hash__


class Extent(NamedTuple):
    """`length` bytes at `offset` of the uncompressed archive are the file's bytes from `logical` on."""

    logical: int
    offset: int
    length: int


class Entry(NamedTuple):
    """One archive member.

    name: path in the archive, bytes, normalised: no leading "./" or "/", no trailing "/", no "", "." or ".."
        parts; b"" is the archive's own root. mode: permission bits only (0o7777). mtime_ns: may be negative.
    size: logical size of a FILE, else 0. extents: sorted, not overlapping, inside the archive; gaps are holes.
    target: SYMLINK: its text as it stands; HARDLINK: normalised path in the archive. major, minor: devices only.
    xattrs: sorted (name, value); ACLs are here in the kernel's form (system.posix_acl_access, ..._default).
    """

    name: bytes
    kind: Kind
    mode: int = 0
    uid: int = 0
    gid: int = 0
    mtime_ns: int = 0
    size: int = 0
    extents: tuple[Extent, ...] = ()
    target: bytes = b""
    major: int = 0
    minor: int = 0
    xattrs: tuple[tuple[bytes, bytes], ...] = ()
