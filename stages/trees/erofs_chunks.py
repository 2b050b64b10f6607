"""Where a file's bytes lie, in the index's terms: chunks of the blobs, holes, and what has to be copied aside."""

from __future__ import annotations

import os
from collections.abc import Sequence
from typing import BinaryIO

from stages.base.errors import TreeError
from stages.base.records import NamedTuple
from stages.images.entry import Extent
from stages.trees.erofs_layout import (
    BLOCK,
    BLOCK_BITS,
    CHUNK,
    HOLE,
    MAX_BLOB,
    MAX_CHUNK_BITS,
)
from stages.trees.model import Node

# A file's chunk table is held in memory and in the index: 8 bytes for each chunk.
_MAX_TABLE = 64 << 20
_COPY = 1 << 20
# A byte that is copied costs as much as this many bytes of chunk table: it is read, written and stored.
_COPY_WEIGHT = 16


class Blob(NamedTuple):
    """An archive that extents point into. number: its device in the index, from 1."""

    path: str
    number: int
    size: int

    @property
    def whole(self) -> int:
        """The bytes in whole blocks: a loop device shows no more than that."""
        return self.size & -BLOCK


class Segment(NamedTuple):
    """Part of a file, and the chunks of it that can point straight into the blob: first <= chunk < end."""

    extent: Extent
    first: int
    end: int

    def touched(self, bits: int) -> tuple[int, int]:
        """The chunks that hold a byte of it, as a half-open range."""
        last = self.extent.logical + self.extent.length - 1
        return self.extent.logical >> bits, (last >> bits) + 1


class Side:
    """The side blob while it is written: copied chunks, one behind the other."""

    __slots__ = ("_shared", "file", "number", "size")

    def __init__(self, file: BinaryIO, number: int) -> None:
        self.file, self.number, self.size = file, number, 0
        # The last chunk given out, by the number it has in its file: two segments may share one.
        self._shared = (-1, -1)

    def begin(self) -> None:
        """The chunks that follow belong to another file."""
        self._shared = (-1, -1)

    def place(self, first: int, end: int, bits: int) -> int:
        """Room for the chunks first <= chunk < end of one file; the position of the first of them."""
        chunk, position = self._shared
        if chunk != first:
            position = self.size
        self.size = position + (end - first << bits)
        if self.size > MAX_BLOB:
            raise TreeError("the data that has to be copied beside the index exceeds 2 TiB", reason="side-size")
        self._shared = (end - 1, self.size - (1 << bits))
        return position

    def finish(self) -> None:
        """Give the file its full length: the end of the last chunk may be a hole."""
        if self.size:
            self.file.truncate(self.size)


def table(node: Node, blob: Blob, side: Side) -> tuple[int, bytes]:
    """The chunk size of a file, as a power of two over BLOCK, and its chunk table.

    What cannot point into the blob (unaligned parts of sparse members; the last bytes of a blob that ends inside a
    block) is copied to the side blob. The chunk size is the one that costs least, between a table of many small
    chunks and large chunks that are copied for a small part of them.

    Raises TreeError for extents that do not describe the file or lie outside the blob, and for files that would
    need too large a table.
    """
    extents = _merged(node, blob)
    bits = _cheapest(node.size, extents, blob)
    count = _count(node.size, bits)
    side.begin()
    if count * CHUNK.size > _MAX_TABLE:
        raise TreeError(f"a sparse file of {node.size} bytes is too large for an index", reason="file-size")
    entries = bytearray(HOLE * count)
    for extent in extents:
        segment = _segment(extent, node.size, bits, blob)
        if segment.first < segment.end:
            start = extent.offset + (segment.first << bits) - extent.logical
            _point(entries, segment.first, segment.end, blob.number, start, bits)
        _copy_rest(entries, segment, blob, side, bits)
    return bits - BLOCK_BITS, bytes(entries)


def chunk_bits(size: int) -> int:
    """The smallest chunk that holds `size` bytes, as a power of two over BLOCK, or the largest that there is."""
    return min((size - 1).bit_length() - BLOCK_BITS, MAX_CHUNK_BITS) if size > BLOCK else 0


def _merged(node: Node, blob: Blob) -> list[Extent]:
    """The extents, neighbours joined, after a check that they are sorted and inside the file and the blob."""
    merged: list[Extent] = []
    end = 0
    for extent in node.extents:
        if extent.length < 0 or extent.logical < end or extent.offset < 0:
            raise TreeError("a file's extents overlap or are out of order", reason="extents")
        end = extent.logical + extent.length
        if end > node.size or extent.offset + extent.length > blob.size:
            raise TreeError("a file's extents point outside the file or its archive", reason="extents")
        last = merged[-1] if merged else None
        if last and last.logical + last.length == extent.logical and last.offset + last.length == extent.offset:
            merged[-1] = Extent(last.logical, last.offset, last.length + extent.length)
        elif extent.length:
            merged.append(extent)
    return merged


def _count(size: int, bits: int) -> int:
    return (size + (1 << bits) - 1) >> bits


def _segment(extent: Extent, size: int, bits: int, blob: Blob) -> Segment:
    """Which of the chunks that a segment touches hold nothing else and start on a block of the blob."""
    if (extent.offset - extent.logical) % BLOCK:
        return Segment(extent, 0, 0)
    first = _count(extent.logical, bits)
    end = (extent.logical + extent.length) >> bits
    if extent.logical + extent.length == size and extent.offset + extent.length <= blob.whole:
        end = _count(size, bits)
    return Segment(extent, first, end) if first < end else Segment(extent, 0, 0)


def _cheapest(size: int, extents: Sequence[Extent], blob: Blob) -> int:
    """The chunk size, in bits, that costs least; the larger of equals."""
    best, best_cost = 0, -1
    for bits in range(BLOCK_BITS + MAX_CHUNK_BITS, BLOCK_BITS - 1, -1):
        copied = sum(_copied_chunks(_segment(extent, size, bits, blob), bits) for extent in extents)
        cost = CHUNK.size * _count(size, bits) + _COPY_WEIGHT * (copied << bits)
        if best_cost < 0 or cost < best_cost:
            best, best_cost = bits, cost
        if CHUNK.size * _count(size, bits) > best_cost:
            break
    return best


def _copied_chunks(segment: Segment, bits: int) -> int:
    first, end = segment.touched(bits)
    return end - first - (segment.end - segment.first)


def _point(entries: bytearray, first: int, end: int, device: int, position: int, bits: int) -> None:
    """Let the chunks first <= chunk < end point to consecutive places of a device."""
    step = 1 << (bits - BLOCK_BITS)
    block = position >> BLOCK_BITS
    size = CHUNK.size
    for chunk in range(first, end):
        CHUNK.pack_into(entries, chunk * size, block << 32 | device << 16)
        block += step


def _copy_rest(entries: bytearray, segment: Segment, blob: Blob, side: Side, bits: int) -> None:
    """Copy what lies before and behind the chunks that point into the blob."""
    extent = segment.extent
    stop = extent.logical + extent.length
    if segment.first == segment.end:
        pieces = [(extent.logical, stop)]
    else:
        pieces = [(extent.logical, segment.first << bits), (min(segment.end << bits, stop), stop)]
    for start, end in pieces:
        if start >= end:
            continue
        first, last = start >> bits, ((end - 1) >> bits) + 1
        position = side.place(first, last, bits)
        _point(entries, first, last, side.number, position, bits)
        side.file.seek(position + start - (first << bits))
        _copy(blob, extent.offset + start - extent.logical, end - start, side.file)


def _copy(blob: Blob, offset: int, length: int, target: BinaryIO) -> None:
    descriptor = os.open(blob.path, os.O_RDONLY | os.O_CLOEXEC)
    try:
        while length:
            data = os.pread(descriptor, min(length, _COPY), offset)
            if not data:
                raise TreeError(f"the stored archive {blob.path} is shorter than its record says", reason="blob")
            target.write(data)
            offset += len(data)
            length -= len(data)
    finally:
        os.close(descriptor)
