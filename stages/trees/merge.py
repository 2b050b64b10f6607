"""Which entry of which image makes it into a tree: the layers of an image become one tree in memory."""

from __future__ import annotations

from bisect import bisect
from collections.abc import Iterable, Iterator, Sequence

from stages.base.errors import TreeError
from stages.base.records import NamedTuple
from stages.images.entry import Entry, Kind
from stages.trees.hardlinks import Place, Wanted, followed, leads_nowhere
from stages.trees.model import Node, Tree

# What directories that no entry lists may take in memory: one deep name is little in an archive, and a directory for
# each of its parts. A directory takes about _BARE bytes beside its path.
MAX_IMPLIED = 1 << 28
_BARE = 512

_NO_CHILDREN: dict[bytes, Node] = {}  # of all that are no directories


class Layer(NamedTuple):
    """One image's part in a tree.

    blob: absolute path of the uncompressed archive that the entries' extents point into.
    entries: checked ones, in any order, each name once, relative to the root directory (b"" is the root itself);
        no parent in a name and no parent in a hard link's target is a non-directory of this layer. Read once.
    whitelist: the image's own pathWhitelist; ancestors: those of the images that depend on it. Paths are relative
        to the root and cleaned, as names are; an empty list, or None, filters nothing.
    changes: it is a change to the layers below (OCI), so that its hard links may lead into them; whiteouts are the
        paths that it takes away from them, opaque the directories that it empties of what they have.
    """

    blob: str
    entries: Iterable[Entry]
    whitelist: frozenset[bytes] | None = None
    ancestors: tuple[frozenset[bytes], ...] = ()
    changes: bool = False
    whiteouts: frozenset[bytes] = frozenset()
    opaque: frozenset[bytes] = frozenset()


def handed_over(entries: list[Entry]) -> Iterator[Entry]:
    """The entries, in order, none of which stays here once it was taken: a large image is in memory once."""
    entries.reverse()
    while entries:
        yield entries.pop()


def merge(layers: Sequence[Layer]) -> Tree:
    """The tree that `layers`, strongest first, make together (contract E.2, M 31 to 34).

    - Of a layer stay the entries that are in its own whitelist (directories need not be) and in that of every
      ancestor, and the directories that those need. Paths match exactly. The root directory always stays.
    - The strongest layer with a path wins. Its non-directory hides what weaker layers have below that path; its
      directory takes the place of a weaker non-directory, and then hides what still weaker layers have below it, as if
      the layers had been put on top of each other, weakest first.
    - A directory has the attributes that the strongest layer gives it; one that is only implied by what is in it has
      those of the strongest layer's filtered entry, else 0755 0:0 at the epoch.
    - Hard links are resolved within their layer: the names that are left share one Node, whatever became of the name
      that holds the content. A link of a layer of changes may lead on into the layers below, as they are below it.
    - A whiteout hides its path and all below it in weaker layers; an opaque directory all that they have below it,
      but not what they say of the directory itself (image-spec, layer: both concern lower layers only).

    Raises TreeError for a hard link that leads to no file of its layer (reason "tree-link"), and for more directories
    that are only implied than MAX_IMPLIED allows ("limit").
    """
    blobs = {layer.blob: None for layer in layers}
    numbers = {blob: number for number, blob in enumerate(blobs)}
    merger = _Merger()
    for layer in layers:
        merger.add(layer, numbers[layer.blob])
    merger.finish()
    return Tree(merger.root, tuple(blobs))


def size(tree: Tree) -> int:
    """The bytes of all files, each inode once: what writing the tree reports as progress, all told."""
    files: set[Node] = set()
    pending = [tree.root]
    while pending:
        for node in pending.pop().children.values():
            if node.kind is Kind.DIRECTORY:
                pending.append(node)
            elif node.kind is Kind.FILE:
                files.add(node)
    return sum(node.size for node in files)


class _Merger:
    """The tree so far: layers are added strongest first, so what is there is never replaced."""

    __slots__ = ("_bare", "_directories", "_filtered", "_hidden", "_implied", "_opaque", "_wanted", "root")

    def __init__(self) -> None:
        self.root = Node(Kind.DIRECTORY)
        # None: nothing may be put below this path any more.
        self._directories: dict[bytes, Node | None] = {b"": self.root}
        self._bare: set[Node] = {self.root}  # directories that no entry has given attributes yet
        self._implied = _BARE  # the bytes that those take
        self._filtered: dict[bytes, Entry] = {}  # the strongest filtered entry of each directory
        self._hidden: set[bytes] = set()  # paths of whiteouts so far
        self._opaque: set[bytes] = set()  # directories that take in nothing more
        self._wanted = Wanted()

    def add(self, layer: Layer, blob: int) -> None:
        """Put one more layer under the ones that are there."""
        sieve = _Sieve(layer)
        files: dict[bytes, Node] = {}  # those that a link may want
        links: dict[bytes, bytes] = {}
        filtered: dict[bytes, Entry] = {}
        waiting = list(layer.entries)
        targets = {entry.target for entry in waiting if entry.kind is Kind.HARDLINK}
        waiting.reverse()
        while waiting:  # entries go while nodes come: a large image is in memory once
            entry = waiting.pop()
            name = entry.name
            if entry.kind is Kind.DIRECTORY:
                if sieve.keeps_directory(name):
                    self._directory(name, entry)
                else:
                    filtered[name] = entry
            elif entry.kind is Kind.HARDLINK:
                links[name] = entry.target
            else:
                node = _node(entry, blob)
                if name in targets or self._wanted:
                    files[name] = node
                if sieve.keeps(name):
                    self._place(name, node)
        self._wanted.satisfy(layer, files, links)
        for name in links:
            if sieve.keeps(name):
                self._link(name, followed(name, links), files, layer)
        needed = sieve.needed(filtered)
        for name, entry in filtered.items():
            if name in needed:
                self._directory(name, entry)
            else:
                self._filtered.setdefault(name, entry)
        self._take_away(layer)

    def finish(self) -> None:
        """Give the implied directories what a filtered entry says of them; call once, at the end."""
        self._wanted.finish()
        for name in self._filtered:
            node = self._directories.get(name)
            if node is not None:
                self._furnish(name, node)

    def _furnish(self, name: bytes, node: Node) -> None:
        if node in self._bare and name in self._filtered:
            _dress(node, self._filtered[name])

    def _directory(self, name: bytes, entry: Entry) -> None:
        node = self._reach(name)
        if node is not None and node in self._bare:
            _dress(node, entry)
            self._bare.discard(node)
            self._implied -= len(name) + _BARE

    def _place(self, name: bytes, node: Node) -> Place | None:
        """Put a non-directory where nothing stronger is; None if something is."""
        parent, _, base = name.rpartition(b"/")
        directory = self._reach(parent)
        if directory is None or name in self._hidden or parent in self._opaque:
            return None
        there = directory.children.setdefault(base, node)
        if there is node:
            return Place(name, directory)
        if there.kind is Kind.DIRECTORY:
            self._seal(name, there)
        return None

    def _link(self, name: bytes, target: bytes, files: dict[bytes, Node], layer: Layer) -> None:
        """Put the node of the file `target` at `name` too; until a weaker layer has it, something in its place."""
        if target in files:
            self._place(name, files[target])
        elif not layer.changes:
            raise leads_nowhere(name, target)
        elif (place := self._place(name, Node(Kind.FILE))) is not None:
            self._wanted.add(target, place)

    def _take_away(self, layer: Layer) -> None:
        """From here on, weaker layers have nothing where this one has whiteouts."""
        for path in layer.whiteouts:
            directory = self._directories.get(path)
            if directory is not None:
                self._seal(path, directory)
        for path in layer.opaque - self._opaque:
            directory = self._reach(path)
            for base, child in directory.children.items() if directory else ():
                if child.kind is Kind.DIRECTORY:
                    self._seal(path + b"/" + base if path else base, child)
        self._hidden |= layer.whiteouts
        self._opaque |= layer.opaque

    def _reach(self, path: bytes) -> Node | None:
        """The directory at `path`, made if need be; None if a stronger layer lets nothing be there."""
        if path in self._directories:
            return self._directories[path]
        missing = [path]
        while (parent := missing[-1].rpartition(b"/")[0]) not in self._directories:
            missing.append(parent)
        above = self._directories[parent]
        for step in reversed(missing):
            if above is None:  # nor is anything kept of what would be below
                return None
            above = self._directories[step] = self._step(above, step)
        return above

    def _step(self, above: Node, path: bytes) -> Node | None:
        parent, _, base = path.rpartition(b"/")
        there = above.children.get(base)
        if there is None and (path in self._hidden or parent in self._opaque):
            return None
        if there is None:
            there = above.children[base] = Node(Kind.DIRECTORY)
            self._bare.add(there)
            self._implied += len(path) + _BARE
            if self._implied > MAX_IMPLIED:
                raise TreeError("the image has too many directories that it does not list", reason="limit")
        return there if there.kind is Kind.DIRECTORY else None

    def _seal(self, path: bytes, directory: Node) -> None:
        """Let nothing weaker in: from here on, no layer adds to the directory or to those in it."""
        pending = [(path, directory)]
        while pending:
            path, directory = pending.pop()
            if self._directories[path] is None:  # and all below it: else each of many layers walks through it again
                continue
            self._directories[path] = None
            self._furnish(path, directory)
            below = directory.children.items()
            pending += [(b"%b/%b" % (path, base), node) for base, node in below if node.kind is Kind.DIRECTORY]


class _Sieve:
    """What the whitelists leave of a layer (contract E.2: its own, and those of all that depend on it)."""

    __slots__ = ("_ancestors", "_kept", "_lists")

    def __init__(self, layer: Layer) -> None:
        self._ancestors = tuple(paths for paths in layer.ancestors if paths)
        self._lists = (layer.whitelist, *self._ancestors) if layer.whitelist else self._ancestors
        self._kept: list[bytes] = []  # what stays, if any directory may be filtered

    def keeps(self, name: bytes) -> bool:
        """Whether a non-directory stays."""
        return not self._lists or self._passes(name, self._lists)

    def keeps_directory(self, name: bytes) -> bool:
        """Whether a directory stays for its own sake: the image's own list does not filter directories."""
        return not self._ancestors or not name or self._passes(name, self._ancestors)

    def needed(self, names: Iterable[bytes]) -> set[bytes]:
        """Those directories that something lies in that stays, once the whole layer was asked for."""
        self._kept.sort()
        return {
            name
            for name in names
            if (at := bisect(self._kept, name + b"/")) < len(self._kept) and self._kept[at].startswith(name + b"/")
        }

    def _passes(self, name: bytes, lists: tuple[frozenset[bytes], ...]) -> bool:
        if not all(name in paths for paths in lists):
            return False
        if self._ancestors:
            self._kept.append(name)
        return True


def _node(entry: Entry, blob: int) -> Node:
    return Node(
        entry.kind,
        entry.mode,
        entry.uid,
        entry.gid,
        entry.mtime_ns,
        entry.size,
        entry.extents,
        blob,
        entry.target,
        entry.major,
        entry.minor,
        entry.xattrs,
        _NO_CHILDREN,
    )


def _dress(directory: Node, entry: Entry) -> None:
    directory.mode = entry.mode
    directory.uid = entry.uid
    directory.gid = entry.gid
    directory.mtime_ns = entry.mtime_ns
    directory.xattrs = entry.xattrs
