"""An app's root file system to look into, with links that try to lead out of it."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import pytest

ME = (os.getuid(), os.getgid())


@pytest.fixture
def tree(tmp_path: Path) -> Path:
    root = tmp_path / "root"
    (root / "dir1").mkdir(parents=True)
    (root / "dir2").mkdir()
    (root / "etc").mkdir()
    (root / "dir2/file").write_text("two")
    (tmp_path / "outside").mkdir()
    (tmp_path / "outside/file").write_text("secret")
    for name, target in {
        "abs": "/dir2",
        "rel": "../dir2",
        "up": "../../outside",
        "far": "../" * 40 + "outside",
        "root": "/",
        "loop": "loop",
        "nowhere": "/made/here",
    }.items():
        (root / "dir1" / name).symlink_to(target)
    return root


@pytest.fixture
def root(tree: Path) -> Iterator[int]:
    handle = os.open(tree, os.O_RDONLY | os.O_DIRECTORY)
    before = len(os.listdir("/proc/self/fd"))
    yield handle
    assert len(os.listdir("/proc/self/fd")) == before, "a descriptor leaks"
    os.close(handle)
