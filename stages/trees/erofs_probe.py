"""Whether trees can be kept as indexes here: asks the kernel, with files where the store's files lie."""

from __future__ import annotations

import io
import tempfile
from pathlib import Path

from stages.images.entry import Extent, Kind
from stages.linux import erofs
from stages.trees.erofs import write_index
from stages.trees.model import Node, Tree

_NAME = "probe"
_CONTENT = b"podwright\n" * 100


def probe(directory: Path) -> erofs.Probe:
    """How the kernel mounts an index over blobs that lie in `directory`, if at all.

    Writes three small files there and takes them away again; takes a few milliseconds, so the answer is worth
    remembering as long as the kernel and the file system stay. Raises OSError when the directory cannot be written.
    """
    with tempfile.TemporaryDirectory(prefix=".probe-", dir=directory) as scratch:
        blob, index = Path(scratch, "blob"), Path(scratch, "index")
        blob.write_bytes(_CONTENT.ljust(2048, b"\0"))
        file = Node(Kind.FILE, 0o644, size=len(_CONTENT), extents=(Extent(0, 0, len(_CONTENT)),))
        tree = Tree(Node(Kind.DIRECTORY, children={_NAME.encode(): file}), (str(blob),))
        with open(index, "wb") as out:
            write_index(tree, out, io.BytesIO(), [2048])
        return erofs.probe(index, [blob], _NAME, _CONTENT)
