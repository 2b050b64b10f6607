"""What tells one state of a file from another without reading it."""

from __future__ import annotations

import os
from pathlib import Path

Stamp = dict[str, int]

# Kernels stamp files with a clock that ticks every 1 to 10 ms; some file systems keep whole seconds only.
TICK_NS = 20_000_000
_SECOND_NS = 2_000_000_000


def of(status: os.stat_result) -> Stamp:
    """The identity of a file by its inode: any write to it, and any other file in its place, moves it."""
    return {
        "device": status.st_dev,
        "inode": status.st_ino,
        "size": status.st_size,
        "mtime": status.st_mtime_ns,
        "ctime": status.st_ctime_ns,
    }


def is_old(changed_ns: int, now_ns: int) -> bool:
    """Whether what was changed then last cannot be changed from now on without its times moving."""
    return changed_ns < now_ns - (TICK_NS if changed_ns % 1_000_000_000 else _SECOND_NS)


def within(status: os.stat_result) -> Stamp:
    """The same for files of our own store: without the device's number, which is another after a reboot."""
    stamp = of(status)
    del stamp["device"]
    return stamp


def at(path: Path) -> Stamp | None:
    """The stamp of a file of our store, or None when there is none."""
    try:
        return within(os.stat(path, follow_symlinks=False))
    except (FileNotFoundError, NotADirectoryError):
        return None
