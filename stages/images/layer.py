"""One OCI layer, checked: the entries it adds and what it takes away from the layers below (image-spec, layer)."""

from __future__ import annotations

from collections.abc import Iterable

from stages.base.errors import ImageError
from stages.base.records import NamedTuple
from stages.images.entry import Entry, Kind
from stages.images.placement import place
from stages.images.tarheader import shown

_WHITEOUT = b".wh."
_OPAQUE = b".wh..wh..opq"
_AUFS = b".wh..wh."  # what else begins so is aufs' own book-keeping, which was never part of an image


class Changes(NamedTuple):
    """What a layer does.

    members: the entries it adds, in archive order, placed as images.placement.place says; a hard link may lead to
    a name that only a lower layer has. whiteouts: paths that are gone with all below them; opaque: directories
    that keep nothing of the layers below. Both concern lower layers only, so links of this one do not lead them
    elsewhere (a directory that became a link comes with whiteouts of what was in it).
    """

    members: tuple[Entry, ...]
    whiteouts: frozenset[bytes]
    opaque: frozenset[bytes]


def changes(entries: Iterable[Entry]) -> Changes:
    """Check a layer's entries and sort them out.

    Of two entries with one name the later holds, as for the tools that unpack in order, if both are of one kind and
    nothing links to them. ImageError for what tools would read differently: see place(), and whiteouts of nothing,
    whiteouts that are directories, entries below a whiteout's name.
    """
    members: list[Entry] = []
    whiteouts: set[bytes] = set()
    opaque: set[bytes] = set()
    for entry in entries:
        head, slash, base = entry.name.rpartition(b"/")
        if _is_aufs(entry.name):
            continue
        if b"/.wh." in b"/" + head:
            raise ImageError(f"the layer has {shown(entry.name)} below a whiteout", reason="whiteout")
        if not entry.name and entry.kind is not Kind.DIRECTORY:
            raise ImageError(f"the root of the layer is a {entry.kind.value}", reason="layout")
        if not base.startswith(_WHITEOUT):
            members.append(entry)
        elif entry.kind is Kind.DIRECTORY:
            raise ImageError(f"the layer's whiteout {shown(entry.name)} is a directory", reason="whiteout")
        elif base == _OPAQUE:
            opaque.add(head)
        elif (hidden := base[len(_WHITEOUT) :]) in (b"", b".", b".."):
            raise ImageError(f"the layer's whiteout {shown(entry.name)} is of nothing", reason="whiteout")
        else:
            whiteouts.add(head + slash + hidden)
    placed = place(_last_of_each(members), outside=True)
    return Changes(tuple(placed), frozenset(whiteouts), frozenset(opaque))


def _is_aufs(name: bytes) -> bool:
    if _AUFS not in name:
        return False
    return any(part.startswith(_AUFS) and part != _OPAQUE for part in name.split(b"/"))


def _last_of_each(entries: Iterable[Entry]) -> list[Entry]:
    found: dict[bytes, Entry] = {}
    again: set[bytes] = set()
    targets: set[bytes] = set()
    for entry in entries:
        before = found.get(entry.name)
        if before is not None:
            if before.kind is not entry.kind:
                message = f"the layer has {shown(entry.name)} as a {before.kind.value} and as a {entry.kind.value}"
                raise ImageError(message, reason="duplicate")
            if entry.kind is not Kind.DIRECTORY:
                again.add(entry.name)
        found[entry.name] = entry
        if entry.kind is Kind.HARDLINK:
            targets.add(entry.target)
    if linked := again & targets:
        message = f"the layer has {shown(min(linked))} twice, and a hard link to it"
        raise ImageError(message, reason="duplicate")
    return list(found.values())
