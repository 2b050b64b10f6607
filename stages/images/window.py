"""A part of a file as a file of its own: a member of an archive that lies there uncompressed."""

from __future__ import annotations

import io
import os


class Window(io.RawIOBase):
    """`length` bytes at `offset` of the file behind `descriptor`, which the caller keeps open; read-only, seekable."""

    def __init__(self, descriptor: int, offset: int, length: int) -> None:
        self._descriptor, self._offset, self._length, self._position = descriptor, offset, length, 0

    def readable(self) -> bool:
        return True

    def seekable(self) -> bool:
        return True

    def readinto(self, buffer: object) -> int:
        view = memoryview(buffer)  # type: ignore[arg-type]
        wanted = min(len(view), self._length - self._position)
        if wanted <= 0:
            return 0
        got = os.preadv(self._descriptor, [view[:wanted]], self._offset + self._position)
        self._position += got
        return got

    def seek(self, offset: int, whence: int = os.SEEK_SET) -> int:
        base = {os.SEEK_SET: 0, os.SEEK_CUR: self._position, os.SEEK_END: self._length}[whence]
        self._position = max(0, base + offset)
        return self._position

    def tell(self) -> int:
        return self._position
