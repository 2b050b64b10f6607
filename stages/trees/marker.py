"""When a tree counts as rendered: its record, and its marker, which is written last and removed first.

A tree that is quickly read or made again is not brought to the disk while somebody waits for it: its marker carries
the id of the host's boot. In that boot what was written is there, whatever the disk has. After another one it is read
once, and marked for good if it is whole. Where the host has no such id, every tree is brought to the disk.
"""

from __future__ import annotations

import functools
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

from stages.base import files
from stages.base.digest import canonical
from stages.base.paths import TreePaths
from stages.linux import host, kernel
from stages.trees.recipe import FORMAT


def seal(paths: TreePaths, made: dict[str, Any], *, durable: bool) -> None:
    """Record what the tree is made of and how, then say that it is rendered: for good, or in this boot."""
    files.publish(paths.record, canonical({"format": FORMAT, **made}), 0o644, durable=False)
    if durable or not _boot():
        settle(paths)
    else:
        files.publish(paths.rendered_in(_boot()), b"", 0o644, durable=False)


def settle(paths: TreePaths) -> None:
    """Bring all of the tree to the disk, then mark it for good."""
    kernel.syncfs(str(paths.root))
    files.publish(paths.rendered, b"", 0o644, durable=False)
    for old in _of_boots(paths):
        old.unlink()


def is_rendered(paths: TreePaths) -> bool:
    """Whether the tree says that it is there, good or bad."""
    return paths.rendered.exists() or (_boot() != "" and paths.rendered_in(_boot()).exists())


def is_in_doubt(paths: TreePaths) -> bool:
    """Whether the tree was there in another boot, and nobody has looked since how much of it the disk has."""
    return not is_rendered(paths) and bool(_of_boots(paths))


def record(paths: TreePaths) -> dict[str, Any] | None:
    """What was recorded of the tree; None when that is not there, cannot be read, or is of another format."""
    document = files.read_value(paths.record)
    return document if isinstance(document, dict) and document.get("format") == FORMAT else None


def unmark(paths: TreePaths) -> None:
    """Have the tree be none, before anything of it is touched; a crash must not bring it back (contract D.8)."""
    markers = [one for one in (paths.rendered, *_of_boots(paths)) if one.exists()]
    for one in markers:
        one.unlink()
    if markers:
        files.sync_directory(paths.root)


def take_away(paths: TreePaths, garbage: Path, take: Callable[[Path, Path], object] = files.discard) -> None:
    """Remove the marker, then the rest."""
    unmark(paths)
    take(paths.root, garbage)


def _of_boots(paths: TreePaths) -> list[Path]:
    try:
        names = os.listdir(paths.root)
    except (FileNotFoundError, NotADirectoryError):
        return []
    return [paths.root / name for name in names if name.startswith(paths.rendered_in("").name)]


@functools.cache
def _boot() -> str:
    return host.boot()
