"""Root file systems that lie in the pod itself, as they do without overlay: written, and checked as trees are."""

from __future__ import annotations

import contextlib
import os
from pathlib import Path

from stages.base.digest import sha256_hex
from stages.base.errors import PodError
from stages.base.verdict import FRESH, Verdict
from stages.linux import kernel
from stages.pod import records
from stages.pod.context import Context
from stages.trees import fingerprint
from stages.trees.recipe import Recipe

# Below stage1's root, where the apps lie; not stage1's own.
_STAGE2 = b"opt/stage2"


def write(context: Context, recipe: Recipe, target: Path, home: str = "") -> str:
    """Render into the new directory `target`, shifted, and bring it to the disk; returns its fingerprint.

    home: a directory in it that others will use, made now if the image has none.
    """
    from stages.trees.shift import Shift

    pair = context.shift_pair()
    context.trees.write(recipe, target, Shift(*pair) if pair else None, context.progress)
    make_parents(target, target / home)
    kernel.syncfs(str(target))
    return _fingerprint(target)


def verdict(context: Context, task: str, target: Path) -> Verdict:
    """The quick check of what a task rendered into the pod. With overlay there is nothing to check here."""
    if context.overlay:
        return FRESH
    record = records.read(context.pod, task)
    if not target.is_dir():
        return Verdict.stale("its root file system is not there (the pod has run, or it was never made)")
    if record is None or record.get("fingerprint") != _fingerprint(target):
        return Verdict.stale("its root file system is not as it was rendered")
    return FRESH


def make_parents(root: Path, path: Path) -> None:
    """Make the directories from `root` down to `path`. Raises PodError when an image put something else there."""
    parent = os.open(root, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        for part in path.relative_to(root).parts:
            parent = _step(parent, part)
    except OSError as error:
        raise PodError(f"stage1's image has something else than a directory at {part}", reason="stage1-root") from error
    finally:
        os.close(parent)


def give(context: Context, home: Path, file: Path) -> None:
    """Let the directory of an app, and its manifest, be root's of the pod, and nobody else's (contract A.11, 6)."""
    start = (context.shift_pair() or (0, 0))[0]
    home.chmod(0o750)
    for path in (home, file):
        os.chown(path, start, start)


def _step(parent: int, name: str) -> int:
    """Into the directory `name` of `parent`, made if missing and never through a link; closes `parent`."""
    with contextlib.suppress(FileExistsError):
        os.mkdir(name, 0o755, dir_fd=parent)
    child = os.open(name, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC, dir_fd=parent)
    os.close(parent)
    return child


def _fingerprint(target: Path) -> str:
    """The quick fingerprint, without what lies in opt/stage2: that is the apps' own."""
    records = fingerprint.listing(target).split(b"\0")
    return sha256_hex(b"\0".join(one for one in records if not _of_an_app(one.rpartition(b"\t")[2])))


def _of_an_app(path: bytes) -> bool:
    return path == _STAGE2 or path.startswith(_STAGE2 + b"/")
