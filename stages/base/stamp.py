"""What tells one state of a file from another without reading it."""

from __future__ import annotations

import os
from pathlib import Path

Stamp = dict[str, int]


def of(status: os.stat_result) -> Stamp:
    """The identity of a file by its inode: any write to it, and any other file in its place, moves it."""
    return {
        "device": status.st_dev,
        "inode": status.st_ino,
        "size": status.st_size,
        "mtime": status.st_mtime_ns,
        "ctime": status.st_ctime_ns,
    }


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
