"""What an archive may have in all: an entry takes next to nothing in a packed one, and memory here."""

from __future__ import annotations

from stages.base.errors import ImageError
from stages.images.entry import Entry

MAX_ENTRIES = 5_000_000
MAX_TEXT = 1 << 30
_EXTENT = 3 * 8  # the bytes of one's numbers


class Bounds:
    """One archive's count so far."""

    def __init__(self) -> None:
        self._entries = self._text = 0

    def take(self, entry: Entry) -> None:
        """Count one more. ImageError (reason "limit") when there are too many, or too much is said of them."""
        self._entries += 1
        self._text += len(entry.name) + len(entry.target)
        if entry.xattrs:
            self._text += sum(len(name) + len(value) for name, value in entry.xattrs)
        if len(entry.extents) > 1:
            self._text += len(entry.extents) * _EXTENT
        if self._entries > MAX_ENTRIES:
            raise ImageError(f"the archive has more than {MAX_ENTRIES} entries", reason="limit")
        if self._text > MAX_TEXT:
            message = f"the archive's names, attributes and maps of holes are more than {MAX_TEXT} bytes"
            raise ImageError(message, reason="limit")
