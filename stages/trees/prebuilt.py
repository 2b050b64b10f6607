"""The index of an image by itself, made when the image is imported: the tree of its first pod is a copy of it.

<images>/indexes/<image id>/
  index.erofs, side   as in a tree
  record              what the tree's record will say, with the digests that say that they are whole; and a digest of
                      that and of the tree's id, which says the same of the record

It belongs to the image, not to the trees: it keeps nothing from being collected, and goes with the image. It may be
lost or damaged at any time: of what is not as its record says nothing is used, and the archives are merged.
"""

from __future__ import annotations

import contextlib
import hashlib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from stages.base import files
from stages.base.digest import canonical, identity
from stages.base.paths import TreePaths
from stages.trees import forms

_PIECE = 1 << 20


def build(kept: TreePaths, tree_id: str, made: dict[str, Any]) -> None:
    """Say that the index in `kept` is the whole tree. made: what forms.write_index said of it, and the tree's facts."""
    files.publish(kept.record, canonical({"made": made, "digest": identity([tree_id, made])}), 0o644, durable=False)


def is_of(kept: TreePaths, tree_id: str) -> bool:
    """Whether the index in `kept` says that it is the one of this tree."""
    return _made(kept, tree_id) is not None


def take(kept: TreePaths, tree_id: str, paths: TreePaths) -> dict[str, Any] | None:
    """Copy the index into the new directory of the tree; what the tree's record has to say of it.

    None when there is none of this tree, or not a whole one; whatever is in the directory then is of no use.
    Raises OSError for what cannot be written.
    """
    made = _made(kept, tree_id)
    if made is None:
        return None
    paths.rootfs.mkdir(mode=0o755)
    for name, digest in made["digests"].items():
        if _copied(kept.root / name, paths.root / name) != digest:
            return None
    return made | forms.index_record(paths, made["blobs"], made["digests"])


def _made(kept: TreePaths, tree_id: str) -> dict[str, Any] | None:
    found = files.read_value(kept.record)
    made = found.get("made") if isinstance(found, dict) else None
    return made if made and found.get("digest") == identity([tree_id, made]) else None


def _copied(source: Path, target: Path) -> str:
    """Copy what can be read of a file; sha256 of that."""
    whole = hashlib.sha256()
    with files.writing(target, 0o444, durable=False) as new:
        for piece in _pieces(source):
            whole.update(piece)
            new.write(piece)
    return whole.hexdigest()


def _pieces(path: Path) -> Iterator[bytes]:
    with contextlib.suppress(OSError), files.open_regular(path) as file:
        while piece := file.read(_PIECE):
            yield piece
