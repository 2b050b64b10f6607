"""The index of an image by itself, made when the image is imported: the tree of its first pod is a copy of it.

<images>/indexes/<image id>/
  index.erofs, side   as in a tree
  record              the tree that they make, what its record will say, and the digests that say that they are whole

It belongs to the image, not to the trees: it keeps nothing from being collected, and goes with the image. It may be
lost or damaged at any time: what is not as its record says is made again from the archives.
"""

from __future__ import annotations

import hashlib
import json
from pathlib import Path
from typing import Any

from stages.base import files
from stages.base.digest import canonical
from stages.base.paths import TreePaths
from stages.trees import forms

_PIECE = 1 << 20


def build(kept: TreePaths, tree_id: str, made: dict[str, Any]) -> None:
    """Say that the index in `kept` is the whole tree. made: what forms.write_index said of it, and the tree's facts."""
    files.publish(kept.record, canonical({"tree": tree_id, "made": made}), 0o644, durable=False)


def is_of(kept: TreePaths, tree_id: str) -> bool:
    """Whether the index in `kept` says that it is the one of this tree."""
    return _made(kept, tree_id) is not None


def take(kept: TreePaths, tree_id: str, paths: TreePaths) -> dict[str, Any] | None:
    """Copy the index into the new directory of the tree; what the tree's record has to say of it.

    None when there is none of this tree, or not a whole one; whatever is in the directory then is of no use.
    Raises OSError.
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
    try:
        document = json.loads(files.read_or_none(kept.record) or b"null")
    except ValueError:
        return None
    return document["made"] if isinstance(document, dict) and document.get("tree") == tree_id else None


def _copied(source: Path, target: Path) -> str:
    """Copy a file; sha256 of what was copied, "" of a file that is not there."""
    whole = hashlib.sha256()
    try:
        with open(source, "rb") as old, files.writing(target, 0o444, durable=False) as new:
            while piece := old.read(_PIECE):
                whole.update(piece)
                new.write(piece)
    except FileNotFoundError:
        return ""
    return whole.hexdigest()
