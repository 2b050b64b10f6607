"""What is kept of images' indexes (written and read by trees.prebuilt): how large they are, and how they go."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Collection

from stages.base import files
from stages.base.paths import DataDir


def size(data: DataDir, image_id: str) -> int:
    """The bytes of the image's index, 0 without one."""
    paths = data.image_index(image_id)
    total = 0
    for one in (paths.image, paths.side, paths.record):
        with contextlib.suppress(FileNotFoundError):
            total += os.stat(one).st_size
    return total


def drop(data: DataDir, image_id: str) -> int:
    """Take the image's index out; returns the bytes given back."""
    gone = size(data, image_id)
    files.discard(data.image_index(image_id).root, data.garbage)
    return gone


def orphans(data: DataDir, image_ids: Collection[str]) -> list[str]:
    """The images of indexes that are none of these: somebody was killed while one was removed."""
    try:
        return sorted(set(os.listdir(data.images.indexes)) - set(image_ids))
    except FileNotFoundError:
        return []
