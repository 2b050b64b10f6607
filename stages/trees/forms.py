"""The two forms of a stored tree: a directory, or an index over the stored archives that copies no data.

A form knows how the tree is written, what of it is recorded, whether what is there is still that, and how it becomes
a lower directory. Which form a tree has is the store's choice; nobody else asks.
"""

from __future__ import annotations

import errno
import hashlib
import os
from collections.abc import Callable, Mapping, Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import TYPE_CHECKING, Any

from stages.base import files
from stages.base.paths import TreePaths
from stages.base.records import NamedTuple
from stages.base.verdict import FRESH, Reason, Verdict
from stages.linux import acts, verity
from stages.linux.acts import Act
from stages.trees import fingerprint

if TYPE_CHECKING:
    from stages.linux import erofs
    from stages.trees.model import Node, Tree

Record = dict[str, Any]

DIRECTORY, INDEX = "directory", "index"
_LARGEST = 1 << 32  # bytes of a listing


class Lower(NamedTuple):
    """How a tree becomes a lower directory: `path` as it is, or after `image` was mounted there over `blobs`."""

    path: str
    image: str = ""
    blobs: tuple[str, ...] = ()
    way: str = ""


def facts(tree: Tree) -> Record:
    """What a record says of a tree in any form: owner and mode of its root, which a writable layer over it takes on,
    and how many names it has.
    """
    root = tree.root
    return {"root": {"uid": root.uid, "gid": root.gid, "mode": root.mode}, "entries": _entries(root)}


def write_directory(tree: Tree, paths: TreePaths, progress: Callable[[int], None]) -> Record:
    """Write the tree as a directory; what the record has to say of it."""
    from stages.trees import directory

    paths.rootfs.mkdir(mode=0o755)
    descriptor = os.open(paths.rootfs, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        directory.write(tree, descriptor, shift=None, progress=progress)
    finally:
        os.close(descriptor)
    listing = fingerprint.listing(paths.rootfs)
    files.publish(paths.listing, listing, 0o600, durable=False)
    contents = fingerprint.contents(paths.rootfs)
    files.publish(paths.contents, contents, 0o600, durable=False)
    full = hashlib.sha256(contents).hexdigest()
    return {"form": DIRECTORY, "quick": hashlib.sha256(listing).hexdigest(), "full": full}


def write_index(tree: Tree, paths: TreePaths) -> Record:
    """Write the tree as an index beside an empty directory to mount it on. Raises TreeError where it has no room."""
    from stages.trees import erofs as writer

    paths.rootfs.mkdir(mode=0o755)
    sizes = [os.stat(blob).st_size for blob in tree.blobs]
    with ExitStack() as stack:
        out, side = (stack.enter_context(files.writing(one, 0o444, durable=False)) for one in (paths.image, paths.side))
        made = writer.write_index(tree, out, side, sizes)
    if not made.side_size:
        paths.side.unlink()
    written = (paths.image, paths.side)[: 2 if made.side_size else 1]
    return index_record(paths, [Path(blob).name for blob in tree.blobs], {one.name: _digest(one) for one in written})


def index_record(paths: TreePaths, blobs: list[str], digests: Mapping[str, str]) -> Record:
    """Freeze the files of an index, where the kernel can; what the record has to say. digests: theirs, by name."""
    for name in digests:
        verity.enable(paths.root / name)
    return {"form": INDEX, "blobs": blobs, "digests": dict(digests), **_stamps(paths, measured=True)}


def quick(record: Record, paths: TreePaths) -> Verdict:
    """The quick check of what a form left: inodes of a directory, two files of an index. Reads no content."""
    if not paths.rootfs.is_dir():
        return _ROOT_GONE
    if record["form"] == INDEX:
        found = _stamps(paths, measured="verity" in (record["index"] or ()))
        return FRESH if found == {"index": record["index"], "side": record["side"]} else _INDEX_MOVED
    return _compared(paths.listing, record["quick"], fingerprint.listing(paths.rootfs), "it is not as it was rendered")


def full(record: Record, paths: TreePaths, jobs: int) -> Verdict:
    """The full check: every byte and attribute of a directory; of an index its own bytes, not those of the archives."""
    if not paths.rootfs.is_dir():
        return _ROOT_GONE
    if record["form"] == DIRECTORY:
        contents = fingerprint.contents(paths.rootfs, jobs)
        return _compared(paths.contents, record["full"], contents, "its content is not what was rendered")
    found = quick(record, paths)
    if not found.fresh:
        return found
    # Records of older versions have no digests: their trees are made again once.
    held = record.get("digests") or {paths.image.name: ""}
    damaged = [name for name, digest in held.items() if _digest(paths.root / name) != digest]
    return Verdict(tuple(Reason(f"the bytes of its {name} are others") for name in damaged))


def _compared(kept: Path, digest: str, found: bytes, otherwise: str) -> Verdict:
    """Fresh when what was found has the digest; else what differs from what was kept, if that has it."""
    if hashlib.sha256(found).hexdigest() == digest:
        return FRESH
    known = files.read_small(kept, _LARGEST) or b""
    whole = hashlib.sha256(known).hexdigest() == digest  # else an older version's, or damaged too
    differences = fingerprint.compare(known, found) if whole else ()
    return Verdict(tuple(map(Reason, differences))) if differences else Verdict.stale(otherwise)


def lower(record: Record, paths: TreePaths, blob: Callable[[str], Path], way: erofs.Way | None) -> Lower:
    """How the tree is used. blob: finds a stored archive by its file name."""
    if record["form"] == DIRECTORY:
        return Lower(str(paths.rootfs))
    assert way is not None, "a tree of this form is fresh only where it can be mounted"
    side = [str(paths.side)] if record["side"] else []
    blobs = [str(blob(name)) for name in record["blobs"]] + side
    return Lower(str(paths.rootfs), str(paths.image), tuple(blobs), way.value)


def mounting(lower: Lower, target: str, shifted: bool) -> list[Act]:
    """The acts after which `target` shows the tree, with ids shifted or not."""
    if lower.image:
        return [acts.index(lower.image, lower.blobs, lower.way, target)]
    if shifted:
        return [acts.shifted(lower.path, target)]
    assert target == lower.path, "a plain directory is used where it is"
    return []


def _entries(root: Node) -> int:
    pending, count = [root], 0
    while pending:
        children: Sequence[Node] = list(pending.pop().children.values())
        count += len(children)
        pending += [child for child in children if child.children]
    return count


def _stamps(paths: TreePaths, *, measured: bool) -> Record:
    return {"index": verity.stamped(paths.image, measured), "side": verity.stamped(paths.side, measured)}


def _digest(path: Path) -> str:
    """sha256 of a file, in hex; "" when it is gone, or the kernel does not vouch for what the disk has of it."""
    try:
        with open(path, "rb") as file:
            return hashlib.file_digest(file, "sha256").hexdigest()
    except FileNotFoundError:
        return ""
    except OSError as error:
        if error.errno == errno.EIO:
            return ""
        raise


_ROOT_GONE = Verdict.stale("its root directory is gone")
_INDEX_MOVED = Verdict.stale("its index is not the one that was written")
