"""What is at a path of an image as an app would see it: all layers together, links followed within the root, in memory.

Which layer's entry counts is as trees.merge says.
"""

from __future__ import annotations

import bisect
import functools
import itertools
from collections.abc import Callable

from stages.base.records import NamedTuple
from stages.images.entry import Entry, Kind
from stages.images.inventory import Inventory
from stages.images.placement import MAX_LINKS
from stages.images.tarheader import MAX_NAME

MAX_PARTS = 1024  # of a path, its links' targets included: every layer is asked for each, and for all above it


class Found(NamedTuple):
    """An entry, and the number of its layer."""

    layer: int
    entry: Entry


class Contents:
    """An image's paths. load: what is in a layer by its number, asked for once; 0 is the strongest of `count`."""

    def __init__(self, load: Callable[[int], Inventory], count: int) -> None:
        self._layer = functools.cache(lambda number: _Layer(load(number)))
        self._count = count

    def find(self, path: bytes) -> Found | None:
        """What `path` leads to, itself no link; None for nothing, for a directory, and after too many links or parts.

        As to a process that has the image as its root: `..` and absolute links do not lead out of it.
        """
        here, waiting, links, parts = b"", path.split(b"/")[::-1], 0, 0
        while waiting and parts < MAX_PARTS:
            part, parts = waiting.pop(), parts + 1
            if part in (b"", b".", b".."):
                here = here.rpartition(b"/")[0] if part == b".." else here
                continue
            below = here + b"/" + part if here else part
            found = self._at(below)
            if found is None:
                return None
            if found.entry.kind is Kind.SYMLINK:
                target, links = found.entry.target, links + 1
                if links > MAX_LINKS or len(target) > MAX_NAME:
                    return None
                here = b"" if target.startswith(b"/") else here
                waiting += target.split(b"/")[::-1]
            elif found.entry.kind is Kind.DIRECTORY:
                here = below
            else:
                return None if waiting else found
        return None

    def _at(self, path: bytes) -> Found | None:
        """What has this name, whose parents are directories; below a layer, what a hard link of it means."""
        for number in range(self._count):
            layer = self._layer(number)
            path, entry = layer.behind(path)
            if entry is None and layer.holds(path):
                entry = Entry(path, Kind.DIRECTORY, 0o755)
            if entry is not None:
                return Found(number, entry)
            if layer.hides(path):
                return None
        return None


class _Layer:
    def __init__(self, made: Inventory) -> None:
        self._made = made
        self._entries = {entry.name: entry for entry in made.entries}

    @functools.cached_property
    def _sorted(self) -> list[bytes]:
        return sorted(itertools.chain(self._entries, self._made.opaque))

    def holds(self, path: bytes) -> bool:
        """Whether something lies in such a directory, or it is emptied: it need not be listed."""
        if path in self._made.opaque:
            return True
        below = path + b"/"
        at = bisect.bisect(self._sorted, below)
        return at < len(self._sorted) and self._sorted[at].startswith(below)

    def behind(self, path: bytes) -> tuple[bytes, Entry | None]:
        """The path, or what the hard link there means, and the entry of that; None where a lower layer may have it."""
        entry = self._entries.get(path)
        for _ in range(MAX_LINKS):
            if entry is None or entry.kind is not Kind.HARDLINK:
                break
            path = entry.target
            entry = self._entries.get(path)
        return path, entry

    def hides(self, path: bytes) -> bool:
        """Whether what lower layers have at the path cannot be seen above this one, which has nothing there."""
        whiteouts, opaque = self._made.whiteouts, self._made.opaque
        if path in whiteouts:
            return True
        while path:
            path = path.rpartition(b"/")[0]
            above = self._entries.get(path)
            if path in whiteouts or path in opaque or (above is not None and above.kind is not Kind.DIRECTORY):
                return True
        return False
