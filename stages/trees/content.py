"""The bytes of files: from the stored archives into new files, without passing through this process where possible."""

from __future__ import annotations

import errno
import os
from collections.abc import Callable, Sequence

from stages.base.errors import TreeError
from stages.images.entry import Extent
from stages.trees.model import Node

# What copy_file_range(2) says when it cannot serve these two file systems, or at all.
_UNSUPPORTED = frozenset({errno.EXDEV, errno.EINVAL, errno.ENOSYS, errno.EOPNOTSUPP, errno.EPERM, errno.EBADF})

_RANGE = 16 << 20  # small enough to tell of progress and to be interrupted
_PIECE = 1 << 20
_OPEN_AT_ONCE = 64


class Blobs:
    """The archives of a tree, open for reading, and the account of what was copied out of them."""

    def __init__(self, paths: Sequence[str], progress: Callable[[int], None]) -> None:
        self._paths = paths
        self._progress = progress
        self._open: dict[int, int] = {}
        self._ranges = True
        self._unreported = 0
        self.told = 0

    def mute(self) -> None:
        """From now on tell nothing: this is another process, whose results tell it."""
        self._progress = lambda _: None

    def close(self) -> None:
        """Give the descriptors back."""
        while self._open:
            os.close(self._open.popitem()[1])

    def report(self) -> None:
        """Tell what has not been told yet."""
        self._progress(self._unreported)
        self.told += self._unreported
        self._unreported = 0

    def copy(self, node: Node, target: int) -> None:
        """Fill the new, empty file behind `target` with the node's bytes; holes stay holes.

        Raises OSError, and TreeError for an archive that ends before the file does (reason "tree-blob").
        """
        end = 0
        for extent in node.extents:
            self._copy(node.blob, extent, target)
            end = extent.logical + extent.length
        if end != node.size:
            os.ftruncate(target, node.size)
        self._unreported += node.size
        if self._unreported >= _PIECE:
            self.report()

    def _copy(self, number: int, extent: Extent, target: int) -> None:
        blob = self._descriptor(number)
        done = 0
        while done < extent.length:
            offset, logical, left = extent.offset + done, extent.logical + done, extent.length - done
            copied = self._range(blob, target, left, offset, logical) if self._ranges else None
            if copied is None:
                copied = os.pwrite(target, os.pread(blob, min(left, _PIECE), offset), logical)
            if not copied:
                raise TreeError(
                    f"the stored archive {self._paths[number]} ends early",
                    hint="import the image again",
                    reason="tree-blob",
                )
            done += copied

    def _range(self, blob: int, target: int, length: int, offset: int, logical: int) -> int | None:
        """The bytes copied by the kernel; None, now and for ever, where it does not do that."""
        try:
            return os.copy_file_range(blob, target, min(length, _RANGE), offset, logical)
        except OSError as error:
            if error.errno not in _UNSUPPORTED:
                raise
        self._ranges = False
        return None

    def _descriptor(self, number: int) -> int:
        if number not in self._open:
            if len(self._open) >= _OPEN_AT_ONCE:
                self.close()
            self._open[number] = os.open(self._paths[number], os.O_RDONLY | os.O_CLOEXEC)
        return self._open[number]
