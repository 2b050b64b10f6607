"""Trees for the tests of the index: nodes whose bytes lie in a blob that grows as they are made."""

from __future__ import annotations

import io
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from stages.images.entry import Extent, Kind
from stages.trees.erofs import Index, write_index
from stages.trees.model import Node, Tree
from tests.trees.erofs_reader import Reader


@dataclass
class Maker:
    """Blobs under a directory; what is written to them and what the index then shows."""

    directory: Path
    blobs: list[bytearray] = field(default_factory=lambda: [bytearray(512)])

    def file(self, data: bytes, *, blob: int = 0, **attributes: Any) -> Node:
        """A file that lies in a blob as a tar member does: from a block's start, padded to its end."""
        archive = self.blobs[blob]
        archive += bytes(-len(archive) % 512)
        extents = (Extent(0, len(archive), len(data)),) if data else ()
        archive += data + bytes(-len(data) % 512)
        return Node(Kind.FILE, size=len(data), extents=extents, blob=blob, **attributes)

    def sparse(self, size: int, *parts: tuple[int, bytes], shift: int = 0, **attributes: Any) -> Node:
        """A file of `size` bytes with (position, data); the data lie one behind the other, `shift` off a block."""
        archive = self.blobs[0]
        archive += bytes(-len(archive) % 512 + shift)
        extents = []
        for position, data in parts:
            extents.append(Extent(position, len(archive), len(data)))
            archive += data
        archive += bytes(-len(archive) % 512)
        return Node(Kind.FILE, size=size, extents=tuple(extents), **attributes)

    def write(self, root: Node) -> Reader:
        """The index of `root`, read by a reader that is not the writer's."""
        return self.write_all(root)[1]

    def write_all(self, root: Node) -> tuple[Index, Reader]:
        """The same, with what the writer says of it. The blobs are on disk then: blob-0 ..., and side."""
        paths = []
        for number, data in enumerate(self.blobs):
            paths.append(self.directory / f"blob-{number}")
            paths[-1].write_bytes(data)
        side = self.directory / "side"
        out = io.BytesIO()
        tree = Tree(root, tuple(map(str, paths)))
        with open(side, "wb") as file:
            index = write_index(tree, out, file, [len(data) for data in self.blobs])
        if index.side_size:
            paths.append(side)
        (self.directory / "index").write_bytes(out.getvalue())
        assert index.size == len(out.getvalue())
        assert index.side_size == side.stat().st_size
        return index, Reader(out.getvalue(), paths)


def directory(children: dict[bytes, Node] | None = None, **attributes: Any) -> Node:
    return Node(Kind.DIRECTORY, children=children or {}, **attributes)


def symlink(target: bytes, **attributes: Any) -> Node:
    return Node(Kind.SYMLINK, 0o777, target=target, **attributes)
