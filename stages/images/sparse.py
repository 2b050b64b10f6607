"""Sparse members of tar archives: GNU's four ways to write a map, turned into extents."""

from __future__ import annotations

import struct
from collections.abc import Callable, Iterable, Mapping, Sequence

from stages.base.errors import ImageError
from stages.images.entry import Extent
from stages.images.tarheader import BLOCK, number, shown

MAX_EXTENTS = 1 << 18
MAX_FILE_SIZE = 2**63 - 1

Read = Callable[[int, int], bytes]  # offset in the archive, length -> the bytes; ImageError beyond its end

_PAIR = struct.Struct("12s12s")
_OLD_MAP, _OLD_MORE, _OLD_SIZE = slice(386, 482), 482, slice(483, 495)
_EXTENSION_MAP, _EXTENSION_MORE = slice(0, 504), 504
_MAX_DIGITS = 20


def _bad(name: bytes, what: str) -> ImageError:
    return ImageError(f"the archive's sparse file {shown(name)} has {what}", reason="sparse")


def size_record(records: Mapping[bytes, bytes], name: bytes, *, has_map: bool) -> bytes | None:
    """What pax records say of a file's logical size; None when they do not say that it is sparse.

    has_map: the header has a map already. ImageError for what makes one file for some readers and another for others:
    a map without a size or the reverse, two sizes, two maps.
    """
    if not any(key.startswith(b"GNU.sparse.") for key in records):
        return None
    sizes = {records[key] for key in (b"GNU.sparse.realsize", b"GNU.sparse.size") if key in records}
    if len(sizes) != 1:
        raise _bad(name, "two sizes" if sizes else "no size")
    maps = [has_map, records.get(b"GNU.sparse.major") == b"1", b"GNU.sparse.map" in records]
    # Version 0.0 counts the parts, and says nothing more of none.
    if sum(maps) != 1 and not (sum(maps) == 0 and records.get(b"GNU.sparse.numblocks") == b"0"):
        raise _bad(name, "no map, or two of them")
    return sizes.pop()


def old_gnu(header: bytes, read: Read, offset: int, name: bytes) -> tuple[list[int], int, int]:
    """Type S: the map is in the header and in extension blocks after it, which start at `offset`.

    Returns the map as a flat list (logical offset, length, ...), the logical size, and where the data begins.
    """
    numbers = _pairs(header[_OLD_MAP])
    more = header[_OLD_MORE]
    while more:
        block = read(offset, BLOCK)
        numbers += _pairs(block[_EXTENSION_MAP])
        more = block[_EXTENSION_MORE]
        offset += BLOCK
        _check_length(numbers, name)
    return numbers, number(header[_OLD_SIZE]), offset


def _pairs(area: bytes) -> list[int]:
    return [number(field) for pair in _PAIR.iter_unpack(area) if pair[0][0] for field in pair]


def pax_0(text: bytes, name: bytes) -> list[int]:
    """Versions 0.0 and 0.1: decimal numbers separated by commas -> the flat map."""
    words = text.split(b",") if text else []
    _check_length(words, name)
    return [_decimal(word, name) for word in words]


def pax_1(read: Read, offset: int, stored: int, name: bytes) -> tuple[list[int], int]:
    """Version 1.0: the map stands before the data, one number a line, filled up to whole blocks.

    offset, stored: where the member's stored bytes begin, and how many there are. Returns the flat map and the
    length of what it occupies.
    """
    lines: list[bytes] = []
    rest, length, wanted = b"", 0, 1
    while len(lines) < wanted:
        if length + BLOCK > stored:
            raise _bad(name, "a map that does not end")
        rest += read(offset + length, BLOCK)
        length += BLOCK
        *whole, rest = rest.split(b"\n")
        lines += whole
        if len(rest) > BLOCK:
            raise _bad(name, "a map that is not text")
        if lines:
            wanted = 1 + 2 * _decimal(lines[0], name)
            _check_length(range(wanted - 1), name)
    return [_decimal(line, name) for line in lines[1:wanted]], length


def _decimal(word: bytes, name: bytes) -> int:
    if not word.isdigit() or len(word) > _MAX_DIGITS:
        raise _bad(name, f"{shown(word[:40])} in its map instead of a number")
    return int(word)


def _check_length(numbers: Sequence[object], name: bytes) -> None:
    if len(numbers) > 2 * MAX_EXTENTS:
        raise _bad(name, f"more than {MAX_EXTENTS} parts")


def extents(numbers: Iterable[int], size: int, offset: int, stored: int, name: bytes) -> tuple[Extent, ...]:
    """The flat map -> extents over the `stored` bytes at `offset`; ImageError unless it fits them exactly.

    size: the file's logical size. Only the last part may have a length that is no multiple of 512: readers
    disagree on what follows such a part.
    """
    flat = list(numbers)
    if len(flat) % 2 or not 0 <= size <= MAX_FILE_SIZE:
        raise _bad(name, "half a map" if len(flat) % 2 else "an impossible size")
    found: list[Extent] = []
    logical_end, used = 0, 0
    for logical, length in zip(flat[::2], flat[1::2], strict=True):
        if logical < logical_end or length < 0 or logical + length > size:
            raise _bad(name, "a map that overlaps or leaves the file")
        if not length:
            continue
        if used % BLOCK:
            raise _bad(name, "a part that is not made of whole blocks")
        found.append(Extent(logical, offset + used, length))
        logical_end, used = logical + length, used + length
    if used != stored:
        raise _bad(name, f"a map of {used} bytes over {stored} stored ones")
    return tuple(found)
