"""Generated layers against the rules as appc words them: put the images on top of each other, weakest first."""

from __future__ import annotations

import itertools
from dataclasses import dataclass, field

from hypothesis import given, settings
from hypothesis import strategies as st

from stages.images.entry import Entry, Kind
from stages.trees.merge import Layer, merge
from stages.trees.model import Node

PATHS = [b"/".join(parts) for depth in (1, 2, 3) for parts in itertools.product([b"a", b"b"], repeat=depth)]
KINDS = [Kind.DIRECTORY, Kind.FILE, Kind.SYMLINK, Kind.HARDLINK]


@dataclass
class Model:
    """A tree as flat tables. files: path to layer and name of the content; directories: path to mtime if listed."""

    files: dict[bytes, tuple[int, bytes]] = field(default_factory=dict)
    directories: dict[bytes, int | None] = field(default_factory=dict)
    filtered: dict[bytes, int] = field(default_factory=dict)

    def put(self, number: int, layer: Layer) -> None:
        """Put an image on top."""
        entries = {entry.name: entry for entry in layer.entries}
        kept = {name for name, entry in entries.items() if stays(entry, layer)}
        needed = {parent for name in kept for parent in parents(name)}
        for name in sorted(kept | needed, key=lambda path: path.count(b"/") if path else -1):
            if name not in entries or entries[name].kind is Kind.DIRECTORY:
                self.files.pop(name, None)
                self.directories.setdefault(name, None)
                if name in entries:
                    self.directories[name] = entries[name].mtime_ns
            else:
                self.clear(name)
                self.files[name] = (number, content(name, entries))
        for name, entry in entries.items():
            if entry.kind is Kind.DIRECTORY and name not in kept | needed:
                self.filtered[name] = entry.mtime_ns

    def clear(self, path: bytes) -> None:
        """Remove what is at a path and below it."""
        for gone in [path, *(one for one in PATHS if one.startswith(path + b"/"))]:
            self.files.pop(gone, None)
            self.directories.pop(gone, None)
            self.filtered.pop(gone, None)

    def times(self) -> dict[bytes, int]:
        """The mtime of every directory."""
        return {
            path: mtime if mtime is not None else self.filtered.get(path, 0) for path, mtime in self.directories.items()
        }


def stays(entry: Entry, layer: Layer) -> bool:
    if not entry.name:
        return True
    own = [] if entry.kind is Kind.DIRECTORY else [layer.whitelist]
    return all(entry.name in paths for paths in (*own, *layer.ancestors) if paths)


def parents(name: bytes) -> list[bytes]:
    parts = name.split(b"/")
    return [b"/".join(parts[:length]) for length in range(len(parts))] if name else []


def content(name: bytes, entries: dict[bytes, Entry]) -> bytes:
    while entries[name].kind is Kind.HARDLINK:
        name = entries[name].target
    return name


@st.composite
def layer_lists(draw: st.DrawFn) -> list[Layer]:
    clock = itertools.count(1)
    whitelists = st.frozensets(st.sampled_from(PATHS), min_size=4)
    own, inherited = st.none() | whitelists, st.lists(whitelists, max_size=2).map(tuple)
    return [
        Layer(f"/{number}", draw(entry_lists(clock)), draw(own), draw(inherited))
        for number in range(draw(st.integers(1, 5)))
    ]


@st.composite
def entry_lists(draw: st.DrawFn, clock: itertools.count[int]) -> list[Entry]:
    """One image: nothing lies below a non-directory, links lead to files."""
    kinds = draw(st.dictionaries(st.sampled_from(PATHS), st.sampled_from(KINDS), max_size=6))
    above = {parent for name in kinds for parent in parents(name)}
    kinds = {name: Kind.DIRECTORY if name in above else kind for name, kind in kinds.items()}
    targets = sorted(name for name, kind in kinds.items() if kind in (Kind.FILE, Kind.SYMLINK))
    entries = [Entry(b"", Kind.DIRECTORY, mtime_ns=next(clock))] if draw(st.booleans()) else []
    for name, kind in kinds.items():
        if kind is not Kind.HARDLINK:
            entries.append(Entry(name, kind, mtime_ns=next(clock)))
        elif targets:
            entries.append(Entry(name, kind, target=draw(st.sampled_from(targets))))
    return draw(st.permutations(entries))


@settings(max_examples=500)
@given(layer_lists())
def test_merging_is_putting_the_layers_on_top_of_each_other(layers: list[Layer]) -> None:
    model = Model(directories={b"": None})
    for number, layer in reversed(list(enumerate(layers))):
        model.put(number, layer)

    files: dict[bytes, Node] = {}
    times: dict[bytes, int] = {}
    tree = merge(layers)
    pending = [(b"", tree.root)]
    while pending:
        path, node = pending.pop()
        if node.kind is Kind.DIRECTORY:
            times[path] = node.mtime_ns
            pending += [(path + b"/" * bool(path) + name, child) for name, child in node.children.items()]
        else:
            files[path] = node

    assert times == model.times()
    assert files.keys() == model.files.keys()
    entries = [{entry.name: entry for entry in layer.entries} for layer in layers]
    for path, node in files.items():
        number, name = model.files[path]
        assert (tree.blobs[node.blob], node.mtime_ns) == (f"/{number}", entries[number][name].mtime_ns)
    for one, other in itertools.combinations(files, 2):
        assert (files[one] is files[other]) == (model.files[one] == model.files[other])
