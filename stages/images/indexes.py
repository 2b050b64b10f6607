"""What is kept of images' indexes (written and read by trees.prebuilt): how large they are, and how they go."""

from __future__ import annotations

import contextlib
import os

from stages.base import files
from stages.base.paths import DataDir


def size(data: DataDir, image_id: str) -> int:
    """The bytes of the image's index, 0 without one."""
    paths = data.image_index(image_id)
    total = 0
    for one in (paths.image, paths.side, paths.record):
        with contextlib.suppress(FileNotFoundError, NotADirectoryError):
            total += os.stat(one).st_size
    return total


def drop(data: DataDir, image_id: str) -> int:
    """Take the image's index out; returns the bytes given back."""
    gone, root = size(data, image_id), data.image_index(image_id).root
    if os.path.lexists(root):
        files.discard(root, data.garbage)
    return gone


def ids(data: DataDir) -> set[str]:
    """The images that there is an index of, or the beginning of one."""
    try:
        return set(os.listdir(data.images.indexes))
    except (FileNotFoundError, NotADirectoryError):
        return set()
