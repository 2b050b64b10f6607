"""Bytes on their way into the store: read once, and taken by several threads at the same time.

Decompressing, hashing and writing release the interpreter's lock for all but microseconds of a piece, so that each has
a processor of its own if there are enough.
"""

from __future__ import annotations

import errno
import os
import queue
import threading
from collections.abc import Callable, Iterable, Sequence

from stages.linux import kernel

_WAITING = 4  # pieces that may wait for one taker: memory stays flat
_RESERVE = 256 << 20  # bytes that an import leaves free, or a twentieth of the file system if that is less
_BEHIND = 8 << 20  # what is written is sent on to the disk in parts of this size

Take = Callable[[bytes], object]


def pump(pieces: Iterable[bytes], takers: Sequence[Take]) -> None:
    """Give each piece to all takers, each of which is called in a thread of its own, in order.

    Raises what `pieces` or, after at most a few more pieces, a taker raises. No thread is left in any case.
    """
    threads = [_Taker(take) for take in takers]
    try:
        for piece in pieces:
            for thread in threads:
                thread.waiting.put(piece)
            if any(thread.error for thread in threads):
                break
    except BaseException:
        for thread in threads:
            thread.gone = True
        raise
    finally:
        for thread in threads:
            thread.waiting.put(b"")
        for thread in threads:
            thread.join()
    for thread in threads:
        if thread.error:
            raise thread.error


class Writer:
    """Writes pieces to the end of a file, and has the disk begin with them at once, so that the last sync is short."""

    def __init__(self, descriptor: int) -> None:
        self._descriptor = descriptor
        self._written = 0
        self._sent = 0

    def take(self, piece: bytes) -> None:
        """Write all of it. Raises OSError before the disk is full: a small archive may unpack to anything."""
        if _too_full(os.fstatvfs(self._descriptor), len(piece)):
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        rest = memoryview(piece)
        while rest:
            rest = rest[os.write(self._descriptor, rest) :]
        self._written += len(piece)
        if self._written - self._sent >= _BEHIND:
            kernel.begin_writeback(self._descriptor, self._sent, self._written - self._sent)
            self._sent = self._written


def is_short(path: os.PathLike[str]) -> bool:
    """Whether the file system of `path` has less left than is to stay free."""
    return _too_full(os.statvfs(path), 0)


def _too_full(room: os.statvfs_result, size: int) -> bool:
    """Whether `size` more bytes would take from a file system what is to stay free."""
    reserve = min(_RESERVE, room.f_blocks * room.f_frsize // 20)
    return room.f_blocks > 0 and room.f_bavail * room.f_frsize - size < reserve


class _Taker(threading.Thread):
    """Calls `take` with what comes, up to b"". After an error it goes on taking, for nobody, so that no one waits."""

    def __init__(self, take: Take) -> None:
        super().__init__(daemon=True)
        self.waiting: queue.Queue[bytes] = queue.Queue(_WAITING)
        self.error: BaseException | None = None
        self.gone = False
        self._take = take
        self.start()

    def run(self) -> None:
        while piece := self.waiting.get():
            if self.error or self.gone:
                continue
            try:
                self._take(piece)
            except BaseException as error:
                self.error = error
