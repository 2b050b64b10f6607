"""A merged tree in memory: what the merger makes, and the directory and index writers write."""

from __future__ import annotations

from stages.base.records import NamedTuple
from stages.images.entry import Extent, Kind


class Node:
    """One inode. Hard links are one Node under several names, so identity is what tells inodes apart.

    kind is never HARDLINK. blob: index into Tree.blobs of the archive that holds the file's bytes; place: the offset
    there of one that lies in one piece, as nearly all do, else its extents. children: names to nodes, for directories
    only. The other fields are as in images.entry.Entry.
    """

    __slots__ = (
        *("blob", "children", "gid", "kind", "major", "minor", "mode", "mtime_ns", "place", "size", "target", "uid"),
        "xattrs",
    )

    def __init__(
        self,
        kind: Kind,
        mode: int = 0o755,
        uid: int = 0,
        gid: int = 0,
        mtime_ns: int = 0,
        size: int = 0,
        extents: tuple[Extent, ...] = (),
        blob: int = 0,
        target: bytes = b"",
        major: int = 0,
        minor: int = 0,
        xattrs: tuple[tuple[bytes, bytes], ...] = (),
        children: dict[bytes, Node] | None = None,
    ) -> None:
        self.kind, self.mode, self.uid, self.gid, self.mtime_ns = kind, mode, uid, gid, mtime_ns
        self.size, self.blob, self.target = size, blob, target
        # An offset takes 32 bytes, the extents of one piece 200.
        whole = len(extents) == 1 and extents[0].length == size and not extents[0].logical
        self.place: int | tuple[Extent, ...] = extents[0].offset if whole else extents
        self.major, self.minor, self.xattrs = major, minor, xattrs
        self.children: dict[bytes, Node] = {} if children is None else children

    @property
    def extents(self) -> tuple[Extent, ...]:
        """Where a file's bytes are, as in images.entry.Entry."""
        return self.place if isinstance(self.place, tuple) else (Extent(0, self.place, self.size),)

    def __repr__(self) -> str:
        return f"Node({', '.join(f'{name}={getattr(self, name)!r}' for name in self.__slots__)})"


class Tree(NamedTuple):
    """A root directory and the uncompressed archives its files' extents point into (absolute paths)."""

    root: Node
    blobs: tuple[str, ...]


def linked(root: Node) -> set[Node]:
    """The nodes below `root` with more than one name."""
    seen: set[Node] = set()
    found: set[Node] = set()
    pending = [root]
    while pending:
        for node in pending.pop().children.values():
            if node.kind is Kind.DIRECTORY:
                pending.append(node)
            elif node in seen:
                found.add(node)
            else:
                seen.add(node)
    return found
