"""When a tree counts as rendered: its record, and its marker, which is written last and removed first."""

from __future__ import annotations

import json
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

from stages.base import files
from stages.base.digest import canonical
from stages.base.paths import TreePaths
from stages.linux import kernel
from stages.trees.recipe import FORMAT


def seal(paths: TreePaths, made: dict[str, Any]) -> None:
    """Record what the tree is made of and how, bring all of it to the disk, then say that it is rendered."""
    files.publish(paths.record, canonical({"format": FORMAT, **made}), 0o644, durable=False)
    descriptor = os.open(paths.root, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        kernel.syncfs(descriptor)
    finally:
        os.close(descriptor)
    files.publish(paths.rendered, b"", 0o644, durable=False)


def record(paths: TreePaths) -> dict[str, Any] | None:
    """What was recorded of the tree; None when that is not there, cannot be read, or is of another format."""
    try:
        document = json.loads(files.read_or_none(paths.record) or b"null")
    except ValueError:
        return None
    return document if isinstance(document, dict) and document.get("format") == FORMAT else None


def take_away(paths: TreePaths, garbage: Path, take: Callable[[Path, Path], object] = files.discard) -> None:
    """Remove the marker, then the rest: a crash in between must not look rendered (contract D.8)."""
    if paths.rendered.exists():
        paths.rendered.unlink()
        files.sync_directory(paths.root)
    take(paths.root, garbage)
