"""One 512-byte tar header: its fields, numbers, checksum and names, read strictly."""

from __future__ import annotations

import re
import struct
import zlib
from functools import lru_cache

from stages.base.errors import ImageError

BLOCK = 512
ZERO_BLOCK = bytes(BLOCK)
MAX_NAME = 4096
MAX_COMPONENT = 255
MAX_TARGET = 4095
MAX_ID = 2**32 - 2
MAX_TIME_NS = 2**63 - 1

# name mode uid gid size mtime (checksum, type) linkname magic+version (owner names) major minor prefix
FIELDS = struct.Struct("100s8s8s8s12s12s9x100s8s64x8s8s155s12x")

_CHECKSUM = slice(148, 156)
_CHECKSUM_BLANK = 8 * ord(" ")
_OCTAL = re.compile(rb" *([0-7]*)[ \0]*")


def shown(name: bytes) -> str:
    """A name from an archive as messages quote it: always printable."""
    text = name if len(name) <= 200 else name[:200] + b"..."
    return (
        '"' + "".join(c if c.isprintable() else repr(c)[1:-1] for c in text.decode("utf-8", "backslashreplace")) + '"'
    )


@lru_cache(maxsize=8192)
def number(field: bytes) -> int:
    """A numeric field: octal digits, blank (0), or GNU's base-256, which may be negative. Else ImageError.

    Cached, because owners, modes and times repeat through an archive.
    """
    if field[0] & 0x80:
        bits = 8 * len(field) - 1
        value = int.from_bytes(field, "big") & ((1 << bits) - 1)
        return value - (1 << bits) if field[0] & 0x40 else value
    match = _OCTAL.fullmatch(field)
    if match is None:
        raise ImageError(f"the archive has a header with the bad number {shown(field)}", reason="header")
    return int(match[1] or b"0", 8)


def checksum_holds(block: bytes) -> bool:
    """Whether the header's checksum is right, summed over unsigned bytes or, as old tars did, signed ones."""
    try:
        stored = number(block[_CHECKSUM])
    except ImageError:
        return False
    if block.isascii():  # then the sum is below the modulus of Adler-32, whose lower half is the sum and one
        return stored == (zlib.adler32(block[156:], zlib.adler32(block[:148])) & 0xFFFF) - 1 + _CHECKSUM_BLANK
    rest = block[:148] + block[156:]
    total = sum(rest) + _CHECKSUM_BLANK
    return stored == total or stored == total - 256 * sum(byte > 127 for byte in rest)


def text(field: bytes) -> bytes:
    """A text field up to its NUL."""
    return field.partition(b"\0")[0]


def normalise(raw: bytes) -> bytes:
    """The name as Entry.name wants it; ImageError for a name that leaves the archive, or that no kernel takes."""
    name = raw[2:] if raw[:2] == b"./" else raw
    if name[-1:] == b"/":
        name = name[:-1]
    plain = len(name) <= MAX_COMPONENT and b"//" not in name and b"/." not in name and name[:1] not in b"/."
    return name if plain and b"\0" not in name else _normalise_odd(raw)


def _normalise_odd(raw: bytes) -> bytes:
    if not raw:
        raise ImageError("the archive has an entry without a name", reason="name")
    if b"\0" in raw:
        raise ImageError(f"the archive's entry {shown(raw)} has a NUL in its name", reason="name")
    if len(raw) > MAX_NAME:
        raise ImageError(f"the archive's entry {shown(raw)} has a name of over {MAX_NAME} bytes", reason="name")
    parts = [part for part in raw.split(b"/") if part not in (b"", b".")]
    if raw[:1] == b"/" or b".." in parts:
        raise ImageError(f"the archive's entry {shown(raw)} escapes the archive's root", reason="escapes")
    if any(len(part) > MAX_COMPONENT for part in parts):
        message = f"the archive's entry {shown(raw)} has a part of over {MAX_COMPONENT} bytes in its name"
        raise ImageError(message, reason="name")
    return b"/".join(parts)
