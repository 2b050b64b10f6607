"""Makes tar archives block by block, so that tests can say things that no tar program would."""

from __future__ import annotations

import io
import os
import tarfile
from collections.abc import Iterable
from pathlib import Path

from stages.images.entry import Entry
from stages.images.tar import read_entries

END = bytes(1024)
# Words for GNU tar, by which the same files give the same archive in every run.
ALIKE = ["--sort=name", "--mtime=@1600000000"]
ALIKE_PAX = ["--pax-option=exthdr.name=%d/PaxHeaders/%f,atime:=1600000001.5,ctime:=1600000002.5"]


def octal(value: int, width: int) -> bytes:
    return b"%0*o\0" % (width - 1, value)


def header(
    name: bytes = b"f",
    flag: bytes = b"0",
    *,
    size: int | bytes = 0,
    mode: bytes = b"0000644\0",
    uid: bytes = b"0000000\0",
    gid: bytes = b"0000000\0",
    mtime: bytes = b"00000000000\0",
    target: bytes = b"",
    magic: bytes = b"ustar\x0000",
    major: bytes = b"",
    minor: bytes = b"",
    prefix: bytes = b"",
    tail: bytes = b"",
) -> bytes:
    """One header with a right checksum. tail: what stands from byte 345 on, instead of the prefix."""
    stored = size if isinstance(size, bytes) else octal(size, 12)
    block = name.ljust(100, b"\0") + mode + uid + gid + stored + mtime + b" " * 8 + flag + target.ljust(100, b"\0")
    block += magic.ljust(8, b"\0") + bytes(64) + major.ljust(8, b"\0") + minor.ljust(8, b"\0")
    block += (tail or prefix).ljust(167, b"\0")
    assert len(block) == 512
    return block[:148] + b"%06o\0 " % sum(block) + block[156:]


def member(name: bytes = b"f", data: bytes = b"", flag: bytes = b"0", **fields: bytes) -> bytes:
    """A header and its data, filled up to whole blocks."""
    return header(name, flag, size=len(data), **fields) + padded(data)


def padded(data: bytes) -> bytes:
    return data + bytes(-len(data) % 512)


def pax(*records: tuple[bytes, bytes], flag: bytes = b"x") -> bytes:
    """An extended header."""
    return member(b"pax", b"".join(record(key, value) for key, value in records), flag)


def record(key: bytes, value: bytes) -> bytes:
    length = len(key) + len(value) + 3
    while len(b"%d %s=%s\n" % (length, key, value)) != length:
        length += 1
    return b"%d %s=%s\n" % (length, key, value)


def entries(archive: bytes, tmp_path: Path) -> list[Entry]:
    """What the reader makes of these bytes."""
    path = tmp_path / "archive.tar"
    path.write_bytes(archive)
    return list(read_entries(path))


def only(archive: bytes, tmp_path: Path) -> Entry:
    (entry,) = entries(archive, tmp_path)
    return entry


def content(archive: bytes, entry: Entry) -> bytes:
    """The file's bytes, put together from its extents."""
    result = bytearray(entry.size)
    for extent in entry.extents:
        result[extent.logical : extent.logical + extent.length] = archive[extent.offset : extent.offset + extent.length]
    return bytes(result)


def with_tarfile(members: Iterable[tuple[tarfile.TarInfo, bytes]], form: int) -> bytes:
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode="w", format=form) as archive:
        for info, data in members:
            archive.addfile(info, io.BytesIO(data))
    return out.getvalue()


def attributes(path: bytes) -> tuple[tuple[bytes, bytes], ...]:
    """The xattrs on disk, as an entry has them."""
    names = sorted(os.fsencode(name) for name in os.listxattr(path, follow_symlinks=False))
    return tuple((name, os.getxattr(path, name, follow_symlinks=False)) for name in names)
