"""Compressed streams: told by magic, read in full, and refused when anything is wrong with them."""

from __future__ import annotations

import bz2
import gzip
import importlib
import io
import lzma
import random
import sys
from collections.abc import Callable

import pytest

from stages.base.errors import ImageError
from stages.images.compression import HEAD, Compression, Stream, detect, open_stream
from tests.images.tar_maker import END, header

DATA = b"".join(b"%d " % number for number in range(60_000)) + random.Random(1).randbytes(200_000)


def zstd(data: bytes) -> bytes:
    name = "compression.zstd" if sys.version_info >= (3, 14) else "backports.zstd"
    packed: bytes = importlib.import_module(name).compress(data)
    return packed


PACK: dict[Compression, Callable[[bytes], bytes]] = {
    Compression.GZIP: gzip.compress,
    Compression.BZIP2: bz2.compress,
    Compression.XZ: lzma.compress,
    Compression.ZSTD: zstd,
}
packed = pytest.mark.parametrize("kind", PACK)


def read_all(stream: Stream, size: int = 1 << 16) -> bytes:
    try:
        pieces = []
        while piece := stream.read(size):
            assert len(piece) <= size
            pieces.append(piece)
        return b"".join(pieces)
    finally:
        stream.close()


def unpacked(data: bytes, kind: Compression) -> bytes:
    return read_all(open_stream(io.BytesIO(data), kind))


@packed
def test_magic_tells_the_kind_and_everything_comes_out(kind: Compression) -> None:
    data = PACK[kind](DATA)
    assert detect(data[:HEAD]) is kind
    assert unpacked(data, kind) == DATA


@packed
def test_streams_back_to_back_are_one(kind: Compression) -> None:
    assert unpacked(PACK[kind](DATA) + PACK[kind](b"") + PACK[kind](b"end"), kind) == DATA + b"end"


@packed
def test_an_empty_stream_is_empty(kind: Compression) -> None:
    assert unpacked(PACK[kind](b""), kind) == b""


@packed
@pytest.mark.parametrize("keep", [1, 5, 1000, -1, -9])
def test_a_cut_off_stream_is_refused(kind: Compression, keep: int) -> None:
    with pytest.raises(ImageError) as caught:
        unpacked(PACK[kind](DATA)[:keep], kind)
    assert caught.value.reason == "compression"


@packed
def test_garbage_after_the_end_is_refused(kind: Compression) -> None:
    with pytest.raises(ImageError) as caught:
        unpacked(PACK[kind](DATA) + b"garbage after the end", kind)
    assert caught.value.reason == "compression"


@pytest.mark.parametrize("kind", [Compression.GZIP, Compression.BZIP2, Compression.XZ])
def test_a_flipped_bit_is_noticed(kind: Compression) -> None:
    data = bytearray(PACK[kind](DATA))
    data[len(data) // 2] ^= 4
    with pytest.raises(ImageError) as caught:
        unpacked(bytes(data), kind)
    assert caught.value.reason == "compression"


def test_gzips_checksum_and_length_are_verified() -> None:
    for place in (-1, -5):
        data = bytearray(gzip.compress(DATA))
        data[place] ^= 1
        with pytest.raises(ImageError):
            unpacked(bytes(data), Compression.GZIP)


def test_gzip_may_be_filled_up_with_zeros() -> None:
    assert unpacked(gzip.compress(DATA) + bytes(512), Compression.GZIP) == DATA


def test_gzip_works_without_isal(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "isal.igzip_threaded", None)
    assert unpacked(gzip.compress(DATA), Compression.GZIP) == DATA
    for damaged in (gzip.compress(DATA)[:-1], gzip.compress(DATA) + b"x", b"\x1f\x8b" + b"\xff" * 50):
        with pytest.raises(ImageError):
            unpacked(damaged, Compression.GZIP)


@pytest.mark.parametrize("kind", [Compression.PLAIN, *PACK])
def test_no_more_than_the_limit_comes_out(kind: Compression) -> None:
    data = PACK[kind](bytes(1 << 20)) if kind in PACK else bytes(1 << 20)
    assert len(read_all(open_stream(io.BytesIO(data), kind, limit=1 << 20))) == 1 << 20
    with pytest.raises(ImageError) as caught:
        read_all(open_stream(io.BytesIO(data), kind, limit=(1 << 20) - 1))
    assert caught.value.reason == "limit"


def test_a_stream_may_be_given_up_half_way() -> None:
    file = io.BytesIO(gzip.compress(DATA))
    stream = open_stream(file, Compression.GZIP)
    assert stream.read(10) == DATA[:10]
    stream.close()
    assert not file.closed


def test_the_disks_own_errors_stay_what_they_are() -> None:
    class Broken(io.RawIOBase):
        def readable(self) -> bool:
            return True

        def readinto(self, buffer: object, /) -> int:
            raise OSError(5, "Input/output error")

    for kind in PACK:
        with pytest.raises(OSError, match="Input/output"):
            read_all(open_stream(io.BufferedReader(Broken()), kind))


@pytest.mark.parametrize("archive", [header(b"f"), header(b"f", magic=b""), END], ids=["ustar", "v7", "no members"])
def test_a_plain_archive_is_told_by_its_first_header(archive: bytes) -> None:
    assert detect(archive[:HEAD]) is Compression.PLAIN


@pytest.mark.parametrize("head", [b"", b"PK\x03\x04", b"x" * 512, header(b"f")[:500], header(b"f")[:-1] + b"x"])
def test_what_is_no_archive_is_refused(head: bytes) -> None:
    with pytest.raises(ImageError) as caught:
        detect(head)
    assert caught.value.reason == "compression"
    assert caught.value.hint
