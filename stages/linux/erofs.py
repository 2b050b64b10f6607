"""Mounts of EROFS images whose data lies in other files: by file, or by loop devices where only that works."""

from __future__ import annotations

import errno
import os
from collections.abc import Sequence
from enum import Enum
from pathlib import Path

from stages.base.records import NamedTuple
from stages.linux import erofs_mount

# No memory, descriptor or loop device is free: there may be one the next time.
_PASSING = frozenset((errno.ENOMEM, errno.EMFILE, errno.ENFILE, errno.EBUSY, errno.EAGAIN, errno.EINTR, errno.ENOSPC))


class Way(Enum):
    """How an image reaches the kernel. The values are the words that people and records see."""

    FILE = "file"
    LOOP = "loop"


class Probe(NamedTuple):
    """What a host can do. way: the best that works, or None. refusals: why each better one does not, in order."""

    way: Way | None
    refusals: tuple[tuple[Way, str], ...]


def mount_index(index: Path, blobs: Sequence[Path], way: Way) -> int:
    """A read-only mount of the image `index` over its devices `blobs`; see erofs_mount.mount_index."""
    return erofs_mount.mount_index(str(index), [str(one) for one in blobs], way is Way.LOOP)


def probe(index: Path, blobs: Sequence[Path], name: str, content: bytes) -> Probe:
    """The best way in which this kernel mounts an image from where these files lie.

    index, blobs: a small image whose root holds a file `name` with `content` in one of the blobs. A way works when
    the file reads back right. Nothing is attached and nothing stays. Raises OSError when the host has not enough of
    something at the moment, which says nothing of what it can.
    """
    refusals: list[tuple[Way, str]] = []
    for way in Way:
        try:
            mount = mount_index(index, blobs, way)
        except OSError as error:
            if error.errno in _PASSING:
                raise
            refusals.append((way, f"{error.filename}: {error.strerror}" if error.filename else str(error)))
            continue
        try:
            if _read(mount, name) == content:
                return Probe(way, tuple(refusals))
            refusals.append((way, "the kernel reads other bytes than were written"))
        except OSError as error:
            refusals.append((way, f"reading: {error.strerror}"))
        finally:
            os.close(mount)
    return Probe(None, tuple(refusals))


def _read(mount: int, name: str) -> bytes:
    descriptor = os.open(name, os.O_RDONLY | os.O_NOFOLLOW | os.O_CLOEXEC, dir_fd=mount)
    with open(descriptor, "rb") as file:
        return file.read()
