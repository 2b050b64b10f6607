"""Gives every entry of an image the path it really has, so that nothing later follows a link to write.

A member below a symlink of its own archive (`lib -> usr/lib` and `lib/x`) belongs to the link's target, taken within
the image's root; a hard link means the file at the end of its chain.
"""

from __future__ import annotations

from collections.abc import Iterable

from stages.base.errors import ImageError
from stages.images.entry import Entry, Kind
from stages.images.tarheader import MAX_COMPONENT, MAX_NAME, shown

MAX_LINKS = 40  # as the kernel's own limit
# Parts of paths that are gone through for one archive, less than a minute's work. Of what lies in a directory that
# was come by before only the last part is, so that an image takes about one for each of its directories.
MAX_STEPS = 1 << 25

Places = dict[bytes, Entry]
Way = tuple[bytes, int]  # a directory without links in its path, and how many links it took to come there


def place(entries: Iterable[Entry], *, outside: bool = False) -> list[Entry]:
    """The entries, in their order, under names whose parents are directories (listed or implied), never links.

    Every hard link's target is the final name of a listed entry that is neither a directory nor a hard link. Links
    are resolved without regard to order, absolute ones from the image's root, which `..` does not leave. ImageError:
    two entries of one name, an entry below something that is no directory, a link loop, a hard link to nothing.
    outside: a hard link may lead to a name that is not here, for layers: their target can be in a lower one.
    """
    waiting = list(entries)
    order = waiting
    ways = _Ways()
    final: dict[bytes, bytes] = {}  # given name -> final name, where they differ
    for _ in range(MAX_LINKS):
        waiting = _settle(waiting, ways, final)
        if not waiting:
            break
    else:
        raise ImageError(f"the image's symlinks around {shown(waiting[0].name)} do not settle", reason="link-loop")
    return [_placed(entry, ways, final, outside) for entry in order]


def _settle(entries: list[Entry], ways: _Ways, final: dict[bytes, bytes]) -> list[Entry]:
    """Put the entries where the links known so far say; return those that links found meanwhile move again."""
    places = ways.places
    for entry in entries:
        name = final.get(entry.name, entry.name)
        if (other := places.setdefault(name, entry)) is not entry:
            raise _twice(name, other, entry)
    moved: list[tuple[bytes, bytes, Entry]] = []
    ways.forget()
    for name, entry in places.items():
        head, _, tail = name.rpartition(b"/")
        real = ways.directory(head)
        if real != head:
            moved.append((name, _join(real, tail), entry))
    for old, new, entry in moved:
        _check_length(new, entry)
        del places[old]
        final[entry.name] = new
    return [entry for _, _, entry in moved]


def _twice(name: bytes, one: Entry, other: Entry) -> ImageError:
    if one.name == other.name:
        return ImageError(f"the image has {shown(name)} twice", reason="duplicate")
    message = f"the image has {shown(one.name)} and {shown(other.name)}, which are both {shown(name)}"
    return ImageError(message, reason="duplicate")


def _check_length(name: bytes, entry: Entry) -> None:
    if len(name) > MAX_NAME:
        raise ImageError(f"the image's entry {shown(entry.name)} has a path that is too long", reason="name")


def _join(directory: bytes, name: bytes) -> bytes:
    return directory + b"/" + name if directory else name


class _Ways:
    """The entries by their places, and where paths lead through them, each gone once as long as nothing moves."""

    __slots__ = ("_known", "_links", "_steps", "places")

    def __init__(self) -> None:
        self.places: Places = {}
        self._known: dict[bytes, Way] = {}  # directories by the paths that were asked for
        self._links: dict[bytes, Way] = {}  # and by the symlinks, at their places, that lead there
        self._steps = 0

    def forget(self) -> None:
        """To be called when entries have moved."""
        self._known, self._links = {b"": (b"", 0)}, {}

    def directory(self, path: bytes) -> bytes:
        """The directory that `path` leads to, with no link in it; it need not be listed."""
        found = self._known.get(path)
        if found is None:
            above, _, last = path.rpartition(b"/")
            real, links = self._known.get(above, (b"", 0))
            real, links = self._walked(real, last if above in self._known else path, path, links)
            found = self._known[path] = (path if real == path else real, links)  # one of two that are equal
        return found[0]

    def _walked(self, real: bytes, path: bytes, name: bytes, links: int = 0, depth: int = 0) -> Way:
        """Where `path` leads from the directory `real`, with the links so far. name, depth: what it is walked for."""
        parts = path.split(b"/")
        self._steps += len(parts)
        if self._steps > MAX_STEPS:
            raise ImageError("the image's names and links lead through too many directories", reason="limit")
        for part in parts:
            if part in (b"", b".", b".."):
                real = real.rpartition(b"/")[0] if part == b".." else real
                continue
            if len(part) > MAX_COMPONENT:
                raise ImageError(f"the image's path {shown(name)} leads to a name that is too long", reason="name")
            below = _join(real, part)
            found = _behind(self.places.get(below), self.places)
            if found is None or found.kind is Kind.DIRECTORY:
                real = below
                continue
            if found.kind is not Kind.SYMLINK:
                message = f"the image has entries below {shown(below)}, which is a {found.kind.value}"
                raise ImageError(message, reason="below-file")
            if below not in self._links and depth < MAX_LINKS:
                start = b"" if found.target.startswith(b"/") else real
                self._links[below] = self._walked(start, found.target, name, 0, depth + 1)
            real, more = self._links.get(below, (real, MAX_LINKS))
            links += 1 + more
            if links > MAX_LINKS:
                raise ImageError(f"the image's path {shown(name)} leads through too many symlinks", reason="link-loop")
        return real, links


def _behind(entry: Entry | None, places: Places) -> Entry | None:
    """What an entry in the middle of a path stands for: of a hard link, the symlink (or file) it means.

    Goes by given names alone, so that this and _Ways never call each other in a circle.
    """
    for _ in range(MAX_LINKS):
        if entry is None or entry.kind is not Kind.HARDLINK:
            return entry
        entry = places.get(entry.target, entry)
    return entry


def _linked(link: Entry, ways: _Ways, outside: bool) -> bytes:
    """The final name of what a hard link means, through other hard links."""
    name, entry = b"", link
    for _ in range(MAX_LINKS):
        if entry.kind is not Kind.HARDLINK:
            return name
        head, _, tail = entry.target.rpartition(b"/")
        name = _join(ways.directory(head), tail)
        found = ways.places.get(name)
        if found is None and outside:
            return name
        if found is None or found.kind is Kind.DIRECTORY:
            what = "is missing" if found is None else "is a directory"
            message = f"the image's hard link {shown(link.name)} points to {shown(entry.target)}, which {what}"
            raise ImageError(message, reason="hard-link")
        entry = found
    raise ImageError(f"the image's hard link {shown(link.name)} never arrives at a file", reason="hard-link")


def _placed(entry: Entry, ways: _Ways, final: dict[bytes, bytes], outside: bool) -> Entry:
    name = final.get(entry.name, entry.name)
    target = _linked(entry, ways, outside) if entry.kind is Kind.HARDLINK else entry.target
    if name == entry.name and target == entry.target:
        return entry
    return entry._replace(name=name, target=target)
