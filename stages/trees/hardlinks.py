"""Where hard links lead: within a layer, and from a layer of changes into the layers below it."""

from __future__ import annotations

from typing import Protocol

from stages.base.errors import TreeError
from stages.base.records import NamedTuple
from stages.trees.descent import text
from stages.trees.model import Node

# Parts of the paths of links that lead into lower layers, once for each layer: less than a minute's work.
MAX_STEPS = 1 << 25


class Place(NamedTuple):
    """A name in a directory of the tree, given by its whole path."""

    name: bytes
    directory: Node


class Below(Protocol):
    """What a layer keeps from those above it (trees.merge.Layer)."""

    @property
    def whiteouts(self) -> frozenset[bytes]: ...
    @property
    def opaque(self) -> frozenset[bytes]: ...


class Wanted:
    """The hard links, by target, that no layer so far had the target of. Layers come strongest first."""

    __slots__ = ("_places", "_steps")

    def __init__(self) -> None:
        self._places: dict[bytes, list[Place]] = {}
        self._steps = 0

    def __bool__(self) -> bool:
        """Whether anything is wanted."""
        return bool(self._places)

    def satisfy(self, layer: Below, files: dict[bytes, Node], links: dict[bytes, bytes]) -> None:
        """Take from the next layer what those above it want.

        Raises TreeError for what it hides from them, and where too many are looked for in too many layers.
        """
        waiting: dict[bytes, list[Place]] = {}
        for target, places in self._places.items():
            end = followed(target, links)
            if end in files:
                for place in places:
                    place.directory.children[place.name.rpartition(b"/")[2]] = files[end]
                continue
            self._steps += end.count(b"/") + 1
            if self._steps > MAX_STEPS:
                raise TreeError("the image's hard links lead through too many directories and layers", reason="limit")
            if _is_hidden(end, layer, files):
                raise leads_nowhere(places[0].name, target)
            waiting.setdefault(end, []).extend(places)
        self._places = waiting

    def add(self, target: bytes, place: Place) -> None:
        """Let the place have what the layers below call `target`."""
        self._places.setdefault(target, []).append(place)

    def finish(self) -> None:
        """All layers were there. Raises TreeError when something is still wanted."""
        for target, places in self._places.items():
            raise leads_nowhere(places[0].name, target)


def followed(name: bytes, links: dict[bytes, bytes]) -> bytes:
    """What `name` leads to if it is a hard link, through other links of its layer if need be."""
    for _ in range(len(links)):
        if name not in links:
            break
        name = links[name]
    return name


def leads_nowhere(name: bytes, target: bytes) -> TreeError:
    """The error for a hard link without a file."""
    return TreeError(
        f"the hard link {text(name)} leads to no file of its image: {text(target)}",
        hint="the archive is not a whole image; make it again",
        reason="tree-link",
    )


def _is_hidden(path: bytes, layer: Below, files: dict[bytes, Node]) -> bool:
    """Whether what lower layers have at `path` cannot be seen above this one."""
    if path in layer.whiteouts:
        return True
    while path:
        path = path.rpartition(b"/")[0]
        if path in layer.opaque or path in layer.whiteouts or path in files:
            return True
    return False
