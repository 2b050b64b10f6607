"""Bytes on their way into the store: read once, and taken by several threads at the same time.

Decompressing, hashing and writing release the interpreter's lock for all but microseconds of a piece, so that each has
a processor of its own if there are enough. Who reads headers meanwhile, in Python, needs the lock.
"""

from __future__ import annotations

import errno
import io
import os
import queue
import sys
import threading
from collections.abc import Callable, Iterable, Sequence
from typing import TYPE_CHECKING, Any, Generic, TypeVar

from stages.base.errors import HostError
from stages.linux import kernel

if TYPE_CHECKING:
    from types import TracebackType

_WAITING = 4  # pieces that may wait for one taker: memory stays flat
_RESERVE = 256 << 20  # bytes that an import leaves free, or a twentieth of the file system if that is less
_BEHIND = 8 << 20  # what is written is sent on to the disk in parts of this size
_TURN = 0.001  # seconds for which who reads beside, in Python, may keep the others waiting for the interpreter

Take = Callable[[bytes], object]
Upto = Callable[[int], int]
T = TypeVar("T")


def pump(pieces: Iterable[bytes], takers: Sequence[Take]) -> None:
    """Give each piece to all takers, each of which is called in a thread of its own, in order.

    Raises what `pieces` or, after at most a few more pieces, a taker raises. No thread is left in any case.
    """
    threads: list[_Taker] = []
    try:
        for take in takers:
            threads.append(_Taker(take))
            _start(threads[-1])
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
        running = [thread for thread in threads if thread.ident]
        for thread in running:
            thread.waiting.put(b"")
        for thread in running:
            thread.join()
    for thread in threads:
        if thread.error:
            raise thread.error


def _start(thread: threading.Thread) -> None:
    try:
        thread.start()
    except RuntimeError:
        raise HostError(
            "no more threads can be started",
            hint="a limit is reached: of the user's processes (`ulimit -u`), of the control group (pids.max)",
            reason="threads",
        ) from None


class Beside(Generic[T]):
    """What `read` makes of a file in a thread of its own while that is being written, from the front.

    read: is called with a function that waits until so many bytes are there, or no more will come, and says how many
    there are. As a context: whoever leaves it has no thread any more.
    """

    def __init__(self, read: Callable[[Upto], T]) -> None:
        self._read = read
        self._there = 0
        self._whole = self._gone = False
        self._news = threading.Condition()
        self._made: list[T] = []
        self._error: BaseException | None = None
        self._thread = threading.Thread(target=self._work, daemon=True)

    def __enter__(self) -> Beside[T]:
        _start(self._thread)
        self._turn = sys.getswitchinterval()
        sys.setswitchinterval(_TURN)
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self._gone = True
        self.end()
        self._thread.join()
        sys.setswitchinterval(self._turn)

    def grow(self, count: int) -> None:
        """So many more bytes are written."""
        with self._news:
            self._there += count
            self._news.notify()

    def end(self) -> None:
        """No more will come."""
        with self._news:
            self._whole = True
            self._news.notify()

    def result(self) -> T:
        """What was made, after `end`. Raises what `read` raised."""
        self._thread.join()
        if self._error:
            raise self._error
        return self._made[0]

    def _work(self) -> None:
        try:
            self._made.append(self._read(self._upto))
        except BaseException as error:
            self._error = error

    def _upto(self, wanted: int) -> int:
        if self._there < wanted and not self._whole:
            with self._news:
                self._news.wait_for(lambda: self._there >= wanted or self._whole)
        if self._gone:
            raise InterruptedError
        return self._there


class Writer:
    """Writes pieces to the end of a file, and has the disk begin with them at once, so that the last sync is short.

    told: gets the bytes of each piece when it is written.
    """

    def __init__(self, descriptor: int, told: Callable[[int], object] | None = None) -> None:
        self._descriptor = descriptor
        self._told = told
        self._written = 0
        self._sent = 0

    def take(self, piece: bytes) -> None:
        """Write all of it. Raises OSError before the disk is full: a small archive may unpack to anything."""
        _check_room(self._descriptor, len(piece))
        rest = memoryview(piece)
        while rest:
            rest = rest[os.write(self._descriptor, rest) :]
        self._written += len(piece)
        if self._told:
            self._told(len(piece))
        if self._written - self._sent >= _BEHIND:
            kernel.begin_writeback(self._descriptor, self._sent, self._written - self._sent)
            self._sent = self._written


class Spool(io.FileIO):
    """A file for what comes, which is not written to either when the disk is about to be full."""

    def write(self, piece: Any, /) -> int:
        """Raises OSError before the disk is full."""
        _check_room(self.fileno(), memoryview(piece).nbytes)
        return super().write(piece)


def is_short(path: os.PathLike[str]) -> bool:
    """Whether the file system of `path` has less left than is to stay free."""
    return _too_full(os.statvfs(path), 0)


def _check_room(descriptor: int, size: int) -> None:
    if _too_full(os.fstatvfs(descriptor), size):
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))


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

    def run(self) -> None:
        while piece := self.waiting.get():
            if self.error or self.gone:
                continue
            try:
                self._take(piece)
            except BaseException as error:
                self.error = error
