"""Writes tar headers: ustar where it is enough, pax where it is not, always the same bytes for the same entry."""

from __future__ import annotations

import base64
import urllib.parse
from collections.abc import Iterator

from stages.images import acl
from stages.images.entry import Entry, Extent, Kind
from stages.images.tarheader import BLOCK, FIELDS

_FLAGS = {
    Kind.FILE: b"0",
    Kind.HARDLINK: b"1",
    Kind.SYMLINK: b"2",
    Kind.CHAR: b"3",
    Kind.BLOCK: b"4",
    Kind.DIRECTORY: b"5",
    Kind.FIFO: b"6",
}
_ACLS = {acl.ACCESS: b"SCHILY.acl.access", acl.DEFAULT: b"SCHILY.acl.default"}
_MAX_7, _MAX_11 = 8**7 - 1, 8**11 - 1


def header(entry: Entry) -> bytes:
    """Everything that stands before the entry's data: its headers and, for a sparse file, the map (GNU.sparse 1.0).

    A file is sparse if its extents leave gaps; only their logical places and lengths count. After this come the
    extents' bytes, then zeros up to a whole block.
    """
    name = (entry.name or b".") + b"/" if entry.kind is Kind.DIRECTORY else entry.name
    sparse_map = _sparse_map(entry) if is_sparse(entry) else b""
    stored = len(sparse_map) + sum(extent.length for extent in entry.extents)
    records = dict(_records(entry, name, stored))
    if sparse_map:
        records |= {b"GNU.sparse.major": b"1", b"GNU.sparse.minor": b"0", b"GNU.sparse.name": name}
        records[b"GNU.sparse.realsize"] = b"%d" % entry.size
    return (_pax(records) if records else b"") + _block(entry, name, stored) + sparse_map


def is_sparse(entry: Entry) -> bool:
    """Whether the extents do not cover the file from its first byte to its last."""
    return sum(extent.length for extent in entry.extents) != entry.size


def padding(length: int) -> bytes:
    """What fills `length` bytes up to whole blocks."""
    return bytes(-length % BLOCK)


def parts(entry: Entry) -> Iterator[Extent]:
    """The extents as they are stored: a map's last one ends with the file, so that every reader agrees on its size."""
    yield from entry.extents
    if is_sparse(entry) and (not entry.extents or _end(entry.extents[-1]) < entry.size):
        yield Extent(entry.size, 0, 0)


def _end(extent: Extent) -> int:
    return extent.logical + extent.length


def _sparse_map(entry: Entry) -> bytes:
    pairs = list(parts(entry))
    lines = b"%d\n" % len(pairs) + b"".join(b"%d\n%d\n" % (part.logical, part.length) for part in pairs)
    return lines + padding(len(lines))


def _records(entry: Entry, name: bytes, stored: int) -> Iterator[tuple[bytes, bytes]]:
    if len(name) > 100:
        yield b"path", name
    if len(entry.target) > 100:
        yield b"linkpath", entry.target
    for key, value, largest in ((b"uid", entry.uid, _MAX_7), (b"gid", entry.gid, _MAX_7), (b"size", stored, _MAX_11)):
        if value > largest:
            yield key, b"%d" % value
    if entry.mtime_ns % 10**9 or not 0 <= entry.mtime_ns // 10**9 <= _MAX_11:
        yield b"mtime", _decimal(entry.mtime_ns)
    for key, value_bytes in entry.xattrs:
        if key in _ACLS:
            yield _ACLS[key], acl.to_text(value_bytes)
        elif b"=" in key:  # which ends a record's key: libarchive's form quotes it, and bytes in it are base64
            yield b"LIBARCHIVE.xattr." + urllib.parse.quote(key, safe="").encode(), base64.b64encode(value_bytes)
        else:
            yield b"SCHILY.xattr." + key, value_bytes


def _decimal(ns: int) -> bytes:
    seconds, fraction = divmod(abs(ns), 10**9)
    sign = b"-" if ns < 0 else b""
    return sign + b"%d" % seconds + (b".%09d" % fraction).rstrip(b"0").rstrip(b".")


def _pax(records: dict[bytes, bytes]) -> bytes:
    named = (b"path", b"linkpath", b"GNU.sparse.name")
    if any(not _is_utf8(records[key]) for key in named if key in records):
        records = {b"hdrcharset": b"BINARY", **records}
    body = b"".join(_record(key, value) for key, value in records.items())
    prefix = Entry(b"././@PaxHeader", Kind.FILE, 0o644)
    return _block(prefix, prefix.name, len(body), b"x") + body + padding(len(body))


def _is_utf8(value: bytes) -> bool:
    try:
        value.decode()
    except UnicodeDecodeError:
        return False
    return True


def _record(key: bytes, value: bytes) -> bytes:
    """`length key=value\\n`, where the length counts its own digits."""
    rest = len(key) + len(value) + 3
    length = rest
    while len(str(length)) + rest != length:
        length = len(str(length)) + rest
    return b"%d %s=%s\n" % (length, key, value)


def _octal(value: int, digits: int) -> bytes:
    return b"%0*o\0" % (digits, value if 0 <= value < 8**digits else 0)


def _block(entry: Entry, name: bytes, stored: int, flag: bytes = b"") -> bytes:
    fields = [name[:100], _octal(entry.mode, 7), _octal(entry.uid, 7), _octal(entry.gid, 7), _octal(stored, 11)]
    fields += [_octal(entry.mtime_ns // 10**9, 11), entry.target[:100], b"ustar\x0000"]
    fields += [_octal(entry.major, 7), _octal(entry.minor, 7), b""]
    block = FIELDS.pack(*fields)
    blank, kind = b" " * 8, flag or _FLAGS[entry.kind]
    checksum = _octal(sum(block) + sum(blank) + ord(kind), 6) + b" "
    return block[:148] + checksum + kind + block[157:]
