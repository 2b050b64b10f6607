"""Compressed archives: told by their first bytes, and decompressed as a stream that fails on anything wrong."""

from __future__ import annotations

import importlib
from collections.abc import Callable
from enum import Enum
from typing import Any, BinaryIO, Protocol

from stages.base.errors import HostError, ImageError
from stages.images.tarheader import BLOCK, ZERO_BLOCK, checksum_holds

HEAD = BLOCK  # bytes that detect() wants
MAX_OUTPUT = 1 << 40

_CHUNK = 1 << 17
_XZ_MEMORY = 512 << 20  # xz -9 needs 65 MiB; an archive that wants more than this is an attack


class Compression(Enum):
    """How an archive is packed; the values are the words used in messages."""

    PLAIN = "plain"
    GZIP = "gzip"
    BZIP2 = "bzip2"
    XZ = "xz"
    ZSTD = "zstd"


_MAGIC = {
    b"\x1f\x8b": Compression.GZIP,
    b"BZh": Compression.BZIP2,
    b"\xfd7zXZ\x00": Compression.XZ,
    b"\x28\xb5\x2f\xfd": Compression.ZSTD,
}


class Stream(Protocol):
    """Decompressed bytes, front to back."""

    def read(self, size: int, /) -> bytes:
        """1 to `size` bytes, b"" at the end. ImageError when the input is damaged, cut off or goes on too long."""
        ...

    def close(self) -> None:
        """Give up what was needed to decompress; the file underneath stays open."""
        ...


class _Decompressor(Protocol):
    """What bz2, lzma and zstd decompressors have in common."""

    @property
    def eof(self) -> bool: ...
    @property
    def needs_input(self) -> bool: ...
    @property
    def unused_data(self) -> bytes: ...
    def decompress(self, data: bytes, max_length: int) -> bytes: ...


def detect(head: bytes) -> Compression:
    """What kind of archive begins with `head` (512 bytes, or the whole file if it is shorter): contract D.4.

    Plain is a tar header with a valid checksum, which v7 archives have too, or the zero block of an archive
    without entries. ImageError for anything else.
    """
    for magic, kind in _MAGIC.items():
        if head.startswith(magic):
            return kind
    if len(head) >= BLOCK and (checksum_holds(head[:BLOCK]) or head[:BLOCK] == ZERO_BLOCK):
        return Compression.PLAIN
    hint = "an image is a tar archive, plain or packed with gzip, bzip2, xz or zstd"
    if not head:
        raise ImageError("the archive is empty", hint=hint, reason="compression")
    raise ImageError("this is no archive of a known kind", hint=hint, reason="compression")


def open_stream(file: BinaryIO, kind: Compression, limit: int = MAX_OUTPUT) -> Stream:
    """The decompressed bytes of `file`, from its position on, at most `limit` of them; memory stays flat.

    Several compressed streams one after another are one, as for the tools that make them; zero bytes may follow a
    gzip stream; anything else after the end is refused.
    """
    inner: Stream
    match kind:
        case Compression.PLAIN:
            inner = _Plain(file)
        case Compression.GZIP:
            inner = _Gzip(file)
        case Compression.BZIP2:
            inner = _Frames(file, importlib.import_module("bz2").BZ2Decompressor)
        case Compression.XZ:
            inner = _Frames(file, _xz)
        case Compression.ZSTD:
            inner = _Frames(file, _zstd_module().ZstdDecompressor)
    return _Guarded(inner, kind, limit)


def _xz() -> _Decompressor:
    lzma = importlib.import_module("lzma")
    made: _Decompressor = lzma.LZMADecompressor(format=lzma.FORMAT_XZ, memlimit=_XZ_MEMORY)
    return made


def _zstd_module() -> Any:
    for name in ("compression.zstd", "backports.zstd"):
        try:
            return importlib.import_module(name)
        except ImportError:
            continue
    raise HostError("this Python cannot read zstd", hint="install the backports.zstd package", reason="zstd")


class _Plain:
    def __init__(self, file: BinaryIO) -> None:
        self.read = file.read

    def close(self) -> None:
        pass


class _Gzip:
    """isal decompresses in a thread of its own, twice as fast as zlib; where one is missing, Python does."""

    def __init__(self, file: BinaryIO) -> None:
        try:
            self.inner = importlib.import_module("isal.igzip_threaded").open(file, "rb", threads=1)
        except (ImportError, RuntimeError):
            self.inner = importlib.import_module("gzip").GzipFile(fileobj=file, mode="rb")

    def read(self, size: int) -> bytes:
        data: bytes = self.inner.read(size)
        return data

    def close(self) -> None:
        self.inner.close()


class _Frames:
    """Streams of one format, back to back. The modules' own file classes pass over garbage at the end; not so this."""

    def __init__(self, file: BinaryIO, make: Callable[[], _Decompressor]) -> None:
        self.file = file
        self.make = make
        self.current = make()
        self.rest = b""  # input after the end of the stream before

    def read(self, size: int) -> bytes:
        while True:
            if self.current.eof:
                self.rest = self.current.unused_data or self.file.read(_CHUNK)
                if not self.rest:
                    return b""
                self.current = self.make()
            data = b""
            if self.current.needs_input:
                data, self.rest = self.rest or self.file.read(_CHUNK), b""
                if not data:
                    raise EOFError
            if piece := self.current.decompress(data, size):
                return piece

    def close(self) -> None:
        self.rest = b""


class _Guarded:
    """Words what decompressors raise, and stops what never ends."""

    def __init__(self, inner: Stream, kind: Compression, limit: int) -> None:
        self.inner = inner
        self.kind = kind
        self.left = limit

    def read(self, size: int) -> bytes:
        try:
            data = self.inner.read(size)
        except EOFError:
            raise ImageError(f"the {self.kind.value} archive is cut off", reason="compression") from None
        except Exception as error:
            if isinstance(error, OSError) and error.errno is not None:
                raise  # the disk's own words, not the decompressor's
            message = f"the {self.kind.value} archive is damaged, or something follows its end"
            raise ImageError(message, reason="compression") from error
        self.left -= len(data)
        if self.left < 0:
            raise ImageError(f"the {self.kind.value} archive unpacks to more than the limit", reason="limit")
        return data

    def close(self) -> None:
        self.inner.close()
