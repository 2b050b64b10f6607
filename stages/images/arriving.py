"""Watches a program that fetches files into a folder: how far it is, and whether it should rather be ended."""

from __future__ import annotations

import contextlib
import os
import time
from pathlib import Path

from stages.base.errors import ImageError
from stages.base.progress import Progress
from stages.images import blobs, intake, skopeo
from stages.images.pace import Pace

_SLACK = 16 << 20  # bytes beyond those of the layers: the documents


class Watch:
    """One transfer into a folder. announced: the bytes that are to come; pace: how many of them must, how soon."""

    def __init__(self, folder: Path, where: str, announced: int, pace: Pace, progress: Progress) -> None:
        self._folder, self._where, self._pace, self._progress = folder, where, pace, progress
        self._first, self._files = self._seen()
        self._before = self._then = self._first
        self._limit = self._first + announced + _SLACK
        self._moved = time.monotonic()  # from when on, and from `_then` bytes on, the pace is counted

    def look(self, pid: int) -> None:
        """Tell progress of what has come to the program `pid`.

        Raises ImageError when more has come than was announced, or too little for too long, and HostError when the disk
        is about to be full.
        """
        now, number = self._seen()
        if now > self._limit:
            raise ImageError(
                f"{self._where}: more than the {self._limit - self._first - _SLACK} bytes that its manifest announces",
                hint="who made the image, or the registry, is not honest about it",
                reason="size",
            )
        if intake.is_short(self._folder):
            raise blobs.no_space(self._where)
        self._progress.advance(max(0, now - self._before))
        # Of many small layers each may take its time.
        if not 0 <= now - self._then < self._pace.least or number != self._files or _waits_for_disk(pid):
            self._moved, self._then, self._files = time.monotonic(), now, number
        elif time.monotonic() - self._moved > self._pace.seconds:
            came = f"less than {self._pace.least} bytes have come in" if now > self._then else "nothing has come for"
            raise skopeo.silent(self._where, came, self._pace.seconds)
        self._before = now

    def _seen(self) -> tuple[int, int]:
        """The bytes in the folder, and the number of files; one that is moved meanwhile may be come by twice."""
        sizes: dict[int, int] = {}  # by inode
        for place, _, names in os.walk(self._folder):
            for name in names:
                with contextlib.suppress(OSError):
                    status = os.stat(os.path.join(place, name))
                    sizes[status.st_ino] = status.st_size
        return sum(sizes.values()), len(sizes)


def _waits_for_disk(pid: int) -> bool:
    """Whether a thread of the process sleeps in the kernel until a disk is done (proc_pid_stat(5)): a long sync is no
    silence of the server.
    """
    try:
        return any(_state(pid, thread) == b"D" for thread in os.listdir(f"/proc/{pid}/task"))
    except OSError:  # it has ended, or a thread has; the next look tells
        return False


def _state(pid: int, thread: str) -> bytes:
    with open(f"/proc/{pid}/task/{thread}/stat", "rb") as file:
        return file.read().rpartition(b") ")[2][:1]
