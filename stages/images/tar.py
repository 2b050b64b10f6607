"""Reads an uncompressed tar archive as entries with data extents, strictly, without touching file data.

Understands v7, ustar, GNU and pax (with GNU sparse files, star's and libarchive's attributes). What different tools
would read differently is refused, so that an image means one thing.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from functools import lru_cache
from pathlib import Path

from stages.base.errors import ImageError
from stages.images import acl, pax, sparse
from stages.images.bounds import Bounds
from stages.images.entry import Entry, Extent, Kind
from stages.images.tarheader import (
    BLOCK,
    FIELDS,
    MAX_ID,
    MAX_NAME,
    MAX_TARGET,
    MAX_TIME_NS,
    ZERO_BLOCK,
    checksum_holds,
    normalise,
    number,
    shown,
    text,
)

MAX_COMMON = 1 << 12  # bytes of records for all members: all of them are gone through for each member
_WINDOW = 4096  # one read serves the headers of several small members
_MAX_MAJOR, _MAX_MINOR = (1 << 12) - 1, (1 << 20) - 1

_KINDS = {
    b"0": Kind.FILE,
    b"\0": Kind.FILE,
    b"S": Kind.FILE,
    b"1": Kind.HARDLINK,
    b"2": Kind.SYMLINK,
    b"3": Kind.CHAR,
    b"4": Kind.BLOCK,
    b"5": Kind.DIRECTORY,
    b"6": Kind.FIFO,
}
_DEVICES = (Kind.CHAR, Kind.BLOCK)
_PAX, _PAX_FOR_ALL, _LONG_NAME, _LONG_TARGET = b"x", b"g", b"L", b"K"
_EXTENSIONS = (_PAX, _PAX_FOR_ALL, _LONG_NAME, _LONG_TARGET)
_LINK_MODE = 0o777  # whatever the archive says: Linux knows no other
_LINKS = (Kind.HARDLINK, Kind.SYMLINK)
_USTAR = b"ustar\0"  # whatever version follows: no tar program looks at it
_NO_RECORDS: pax.Records = {}
_NO_EXTENTS: tuple[Extent, ...] = ()
_NO_XATTRS: tuple[tuple[bytes, bytes], ...] = ()


def read_entries(source: int | Path, size: int | Callable[[int], int] | None = None) -> Iterator[Entry]:
    """The entries of an uncompressed archive, in its order.

    source: a path, or a descriptor of a regular file, which stays open and keeps its position. size: the archive's
    bytes, else all the file has; or what waits until so many are there, or no more come, and says how many there are.
    Raises ImageError for anything malformed, cut off, ambiguous or out of bounds (names up to 4096 bytes, parts 255,
    link targets 4095, pax headers 1 MiB, 4 KiB of records for all members, 5 000 000 entries, 1 GiB of names, targets,
    attributes and maps of sparse files in all), at the entry in question: what was yielded before is right as far as
    it goes.
    """
    if isinstance(source, int):
        known = os.fstat(source).st_size if size is None else size
        yield from _Archive(source, known if callable(known) else lambda _: known).entries()
        return
    descriptor = os.open(source, os.O_RDONLY | os.O_CLOEXEC)
    try:
        yield from read_entries(descriptor, size)
    finally:
        os.close(descriptor)


def read_data(descriptor: int, entry: Entry, limit: int) -> bytes:
    """The content of a small file in the archive behind `descriptor`; ImageError if it has more than `limit` bytes."""
    if entry.size > limit:
        raise ImageError(f"{shown(entry.name)} in the archive is larger than {limit} bytes", reason="limit")
    content = bytearray(entry.size)
    for extent in entry.extents:
        piece = os.pread(descriptor, extent.length, extent.offset)
        if len(piece) < extent.length:
            raise ImageError("the archive became shorter while it was read", reason="truncated")
        content[extent.logical : extent.logical + extent.length] = piece
    return bytes(content)


class _Archive:
    """The archive while it is read: a window on its bytes, and what extension headers said about the next member."""

    def __init__(self, descriptor: int, upto: Callable[[int], int]) -> None:
        self.descriptor = descriptor
        self.upto = upto
        self.window, self.base = b"", 0
        self.common: pax.Records = {}
        self.own: pax.Records | None = None
        self.long_name: bytes | None = None
        self.long_target: bytes | None = None

    def entries(self) -> Iterator[Entry]:
        if not self.upto(1):
            raise ImageError("the archive is empty", reason="truncated")
        offset, bounds = 0, Bounds()
        while (block := self.header(offset)) is not None:
            flag = block[156:157]
            if flag in _EXTENSIONS:
                offset = self.extension(flag, block, offset)
                continue
            entry, offset = self.member(flag, block, offset)
            bounds.take(entry)
            yield entry
        if self.own is not None or self.long_name is not None or self.long_target is not None:
            raise ImageError("the archive ends after an extended header", reason="truncated")

    def read(self, offset: int, length: int) -> bytes:
        start = offset - self.base
        if start < 0 or start + length > len(self.window):
            self.base, start = offset, 0
            there = self.upto(offset + length)
            self.window = os.pread(self.descriptor, max(length, _WINDOW), offset)[: there - offset]
            if len(self.window) < length:
                raise ImageError("the archive is cut off", reason="truncated")
        return self.window[start : start + length]

    def header(self, offset: int) -> bytes | None:
        """The header at `offset`, or None at the end: two zero blocks, or the file's own end after a member."""
        if offset == self.upto(offset + 1):
            return None
        block = self.read(offset, BLOCK)
        if checksum_holds(block):
            return block
        if block != ZERO_BLOCK:
            raise ImageError(f"the archive has a damaged header at byte {offset}", reason="checksum")
        if offset + BLOCK < self.upto(offset + BLOCK + 1) and self.read(offset + BLOCK, BLOCK) != ZERO_BLOCK:
            raise ImageError(f"the archive goes on after an end mark at byte {offset}", reason="header")
        return None

    def end_of(self, offset: int, stored: int, name: bytes) -> int:
        """Where the next header is, after `stored` bytes at `offset`."""
        end = offset + (stored + BLOCK - 1) // BLOCK * BLOCK
        if stored < 0:
            raise ImageError(f"the archive's entry {shown(name)} has a negative size", reason="header")
        if end > self.upto(end):
            raise ImageError(f"the archive is cut off in the data of {shown(name)}", reason="truncated")
        return end

    def extension(self, flag: bytes, block: bytes, offset: int) -> int:
        """Take in an extended header and return where the next header is."""
        length = number(block[124:136])
        end = self.end_of(offset + BLOCK, length, b"(extended header)")
        limit = pax.MAX_HEADER if flag in (_PAX, _PAX_FOR_ALL) else MAX_NAME + BLOCK
        if length > limit:
            raise ImageError(f"the archive has an extended header of over {limit} bytes", reason="limit")
        data = self.read(offset + BLOCK, length)
        if flag == _PAX_FOR_ALL:
            self.common = {**self.common, **pax.parse(data, for_all=True)}
            if sum(len(key) + len(value) for key, value in self.common.items()) > MAX_COMMON:
                raise ImageError(f"the archive has over {MAX_COMMON} bytes of records for all members", reason="limit")
        elif flag == _PAX and self.own is None:
            self.own = pax.parse(data)
        elif flag == _LONG_NAME and self.long_name is None:
            self.long_name = text(data)
        elif flag == _LONG_TARGET and self.long_target is None:
            self.long_target = text(data)
        else:
            raise ImageError("the archive has two extended headers of a kind for one entry", reason="pax")
        return end

    def records(self) -> pax.Records:
        """What pax headers say about the next member; an empty value takes a record back."""
        own, self.own = self.own, None
        if own is None and not self.common:
            return _NO_RECORDS
        return {key: value for key, value in {**self.common, **(own or {})}.items() if value or b"xattr." in key}

    def member(self, flag: bytes, block: bytes, offset: int) -> tuple[Entry, int]:
        """The entry whose header is `block`, and where the next header is."""
        raw, mode, uid, gid, size, mtime, target, magic, major, minor, prefix = FIELDS.unpack(block)
        records = self.records()
        given = self.name(text(raw), text(prefix) if magic[:6] == _USTAR else b"", records)
        name = normalise(given)
        kind = _KINDS.get(flag)
        if kind is None:
            raise _unsupported(flag, name)
        if given[-1:] == b"/" and kind is not Kind.DIRECTORY:
            kind = _directory_of_old(flag, name)
        stored = pax.decimal(records[b"size"], "size") if b"size" in records else number(size)
        logical, extents, end = 0, _NO_EXTENTS, offset + BLOCK
        if kind is Kind.FILE:
            logical, extents, end = self.data(flag, block, end, stored, records, name)
        elif stored and kind is not Kind.DIRECTORY:  # a directory's size was a hint for disk allocation once
            raise ImageError(f"the archive's {kind.value} {shown(name)} has data", reason="header")
        link = self.target(kind, target, records, name)
        owner, group, when = number(uid), number(gid), _nanoseconds(mtime)
        attributes = _NO_XATTRS
        if records:
            owner, group, when = _exact(records, owner, group, when)
            attributes = pax.xattrs(records, kind)
        if not (0 <= owner <= MAX_ID and 0 <= group <= MAX_ID and -MAX_TIME_NS <= when <= MAX_TIME_NS):
            raise ImageError(f"the archive's entry {shown(name)} has an impossible owner or time", reason="header")
        devices = _device(magic, major, minor, name) if kind in _DEVICES else (0, 0)
        bits = _LINK_MODE if kind is Kind.SYMLINK else number(mode) & 0o7777
        for attribute, value in attributes:
            bits = acl.mode(bits, value) if attribute == acl.ACCESS else bits
        return Entry(name, kind, bits, owner, group, when, logical, extents, link, *devices, attributes), end

    def name(self, name: bytes, prefix: bytes, records: pax.Records) -> bytes:
        if prefix:
            name = prefix + b"/" + name
        if self.long_name is not None:
            name, self.long_name = self.long_name, None
            if b"path" in records:
                raise ImageError(f"the archive names the entry {shown(name)} in two ways", reason="pax")
        return records.get(b"GNU.sparse.name") or records.get(b"path") or name

    def target(self, kind: Kind, field: bytes, records: pax.Records, name: bytes) -> bytes:
        target = text(field)
        if self.long_target is not None:
            target, self.long_target = self.long_target, None
            if b"linkpath" in records:
                raise ImageError(f"the archive's entry {shown(name)} has two link targets", reason="pax")
        if kind not in _LINKS:
            return b""
        target = records.get(b"linkpath") or target
        if kind is Kind.HARDLINK:
            return normalise(target)
        if not 0 < len(target) <= MAX_TARGET or b"\0" in target:
            message = f"the archive's symlink {shown(name)} has no target, or one that no kernel takes"
            raise ImageError(message, reason="name")
        return target

    def data(
        self, flag: bytes, block: bytes, offset: int, stored: int, records: pax.Records, name: bytes
    ) -> tuple[int, tuple[Extent, ...], int]:
        """Logical size, extents and the next header's offset of a file whose stored bytes begin at `offset`."""
        size = sparse.size_record(records, name, has_map=flag == b"S") if records else None
        if flag == b"S":
            numbers, logical, offset = sparse.old_gnu(block, self.read, offset, name)
            end = self.end_of(offset, stored, name)
            return logical, sparse.extents(numbers, logical, offset, stored, name), end
        end = self.end_of(offset, stored, name)
        if size is not None:
            return *self.sparse_data(offset, stored, pax.decimal(size, "GNU.sparse.size"), records, name), end
        if records and pax.decimal(records.get(b"SCHILY.realsize", b"%d" % stored), "SCHILY.realsize") != stored:
            raise ImageError(f"the archive's sparse file {shown(name)} has no map", reason="sparse")
        return stored, (Extent(0, offset, stored),) if stored else _NO_EXTENTS, end

    def sparse_data(
        self, offset: int, stored: int, logical: int, records: pax.Records, name: bytes
    ) -> tuple[int, tuple[Extent, ...]]:
        if (version := (records.get(b"GNU.sparse.major"), records.get(b"GNU.sparse.minor"))) == (b"1", b"0"):
            numbers, length = sparse.pax_1(self.read, offset, stored, name)
            return logical, sparse.extents(numbers, logical, offset + length, stored - length, name)
        if version not in ((None, None), (b"0", b"0"), (b"0", b"1")):
            raise ImageError(f"the archive's sparse file {shown(name)} is of an unknown version", reason="sparse")
        numbers = sparse.pax_0(records.get(pax.SPARSE_MAP, b""), name)
        return logical, sparse.extents(numbers, logical, offset, stored, name)


@lru_cache(maxsize=1024)
def _nanoseconds(field: bytes) -> int:
    """Cached, so that members of one time share one number."""
    return number(field) * 1_000_000_000


def _unsupported(flag: bytes, name: bytes) -> ImageError:
    return ImageError(f"the archive's entry {shown(name)} has the unsupported type {shown(flag)}", reason="type")


def _exact(records: pax.Records, owner: int, group: int, when: int) -> tuple[int, int, int]:
    """Owner, group and time (ns) as pax records have them, else as the header does."""
    if b"uid" in records:
        owner = pax.decimal(records[b"uid"], "uid")
    if b"gid" in records:
        group = pax.decimal(records[b"gid"], "gid")
    if b"mtime" in records:
        when = pax.time_ns(records[b"mtime"])
    return owner, group, when


def _directory_of_old(flag: bytes, name: bytes) -> Kind:
    """v7 had no type for directories: it wrote a file with a slash after its name."""
    if flag == b"\0":
        return Kind.DIRECTORY
    raise ImageError(f"the archive's entry {shown(name)} has a directory's name but is none", reason="name")


def _device(magic: bytes, major: bytes, minor: bytes, name: bytes) -> tuple[int, int]:
    if not magic.startswith(b"ustar"):
        raise ImageError(f"the archive's device {shown(name)} has no numbers", reason="header")
    numbers = number(major), number(minor)
    if not (0 <= numbers[0] <= _MAX_MAJOR and 0 <= numbers[1] <= _MAX_MINOR):
        raise ImageError(f"the archive's device {shown(name)} has impossible numbers", reason="header")
    return numbers
