"""What the full check says of a tree of files that is not what was written."""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest

from stages.base.paths import DataDir, TreePaths
from stages.images.entry import Extent, Kind
from stages.trees import forms
from stages.trees.forms import Record
from stages.trees.model import Node, Tree


@pytest.fixture
def written(tmp_path: Path) -> tuple[Record, TreePaths]:
    """A directory d with a file f and a link l, owned by whoever runs this."""
    (tmp_path / "blob").write_bytes(b"content")
    owner = {"uid": os.geteuid(), "gid": os.getegid()}
    file = Node(Kind.FILE, 0o644, **owner, size=7, extents=(Extent(0, 0, 7),))
    link = Node(Kind.SYMLINK, 0o777, **owner, target=b"f")
    below = Node(Kind.DIRECTORY, 0o755, **owner, children={b"f": file, b"l": link})
    paths = DataDir(tmp_path).tree("t")
    paths.root.mkdir(parents=True)
    tree = Tree(Node(Kind.DIRECTORY, 0o755, **owner, children={b"d": below}), (str(tmp_path / "blob"),))
    return forms.write_directory(tree, paths, lambda _: None), paths


def told(written: tuple[Record, TreePaths]) -> list[str]:
    return [reason.text() for reason in forms.full(*written, 1).reasons]


def test_what_was_written_is_whole(written: tuple[Record, TreePaths]) -> None:
    assert told(written) == []


def test_what_is_other_is_named(written: tuple[Record, TreePaths]) -> None:
    file = written[1].rootfs / "d/f"
    before = file.stat()
    file.write_bytes(b"c0ntent")
    os.utime(file, ns=(before.st_atime_ns, before.st_mtime_ns))
    assert told(written) == ["d/f: content differs"]
    (written[1].rootfs / "d/l").unlink()
    os.utime(written[1].rootfs / "d", ns=(0, 0))
    assert told(written) == ["d/f: content differs", "d/l: is gone"]


DAMAGE: dict[str, Callable[[Path, bytes], object]] = {
    "lost": lambda path, data: path.unlink(),
    "empty": lambda path, data: path.write_bytes(b""),
    "nonsense": lambda path, data: path.write_bytes(b"nonsense\0"),
    "no text": lambda path, data: path.write_bytes(b"\xff" + data),
    "fewer fields": lambda path, data: path.write_bytes(data[:-1].replace(b"\t", b" ").join((data, b"\0"))),
    "a directory": lambda path, data: (path.unlink(), path.mkdir()),
}


@pytest.mark.parametrize("how", DAMAGE)
def test_without_the_record_of_it_only_that_is_said(written: tuple[Record, TreePaths], how: str) -> None:
    _, paths = written
    (paths.rootfs / "d/f").write_bytes(b"c0ntent")
    for record in (paths.contents, paths.listing):
        DAMAGE[how](record, record.read_bytes())
    assert told(written) == ["its content is not what was rendered"]
    assert [reason.text() for reason in forms.quick(*written).reasons] == ["it is not as it was rendered"]


def test_a_tree_whose_root_is_gone_is_told_by_either_check(written: tuple[Record, TreePaths]) -> None:
    shutil.rmtree(written[1].rootfs)
    assert told(written) == ["its root directory is gone"]
    assert [reason.text() for reason in forms.quick(*written).reasons] == told(written)
