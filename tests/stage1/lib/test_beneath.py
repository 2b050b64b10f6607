"""Paths beneath an app's root."""

from __future__ import annotations

import errno
import os
from pathlib import Path

import pytest

from stages.stage1.lib import beneath

ME = (os.getuid(), os.getgid())


def where(root: int, path: str, make: tuple[int, int] | None = None) -> str:
    with beneath.Walk(root) as walk:
        walk.go(path, make)
        return walk.path


@pytest.mark.parametrize(
    ("path", "real"),
    [
        ("/dir1/abs/file", "/dir2/file"),
        ("dir1/rel/file", "/dir2/file"),
        ("/../../dir2", "/dir2"),
        ("/dir1/root/dir2", "/dir2"),
        ("//dir1/./../dir2//", "/dir2"),
        ("/", "/"),
        ("", "/"),
    ],
)
def test_paths_are_resolved_inside_the_root(root: int, path: str, real: str) -> None:
    assert where(root, path) == real


@pytest.mark.parametrize("path", ["/dir1/up/file", "/dir1/far/file", "/../outside/file"])
def test_nothing_outside_of_the_root_is_found(root: int, path: str) -> None:
    with pytest.raises(FileNotFoundError):
        where(root, path)
    assert beneath.read_bytes(root, path) is None


def test_a_loop_of_links_ends(root: int) -> None:
    with pytest.raises(OSError) as refused:
        where(root, "/dir1/loop")
    assert refused.value.errno == errno.ELOOP


def test_a_file_is_no_directory(root: int) -> None:
    with pytest.raises(NotADirectoryError):
        where(root, "/dir2/file/x")


def test_directories_are_made_inside_through_dangling_links(root: int, tree: Path) -> None:
    assert beneath.make_target(root, "/dir1/nowhere/deep", True, ME) == "/made/here/deep"
    assert (tree / "made/here/deep").is_dir()
    assert beneath.make_target(root, "/dir1/far/new", True, ME) == "/outside/new"
    assert not (tree.parent / "outside/new").exists()


def test_a_file_target_is_made_where_a_dangling_link_points(root: int, tree: Path) -> None:
    assert beneath.make_target(root, "/dir1/nowhere", False, ME) == "/made/here"
    assert (tree / "made/here").read_bytes() == b""


def test_a_file_in_the_way_of_a_directory_is_replaced(root: int, tree: Path) -> None:
    assert beneath.make_target(root, "/dir2/file", True, ME) == "/dir2/file"
    assert (tree / "dir2/file").is_dir()


def test_a_directory_in_the_way_of_a_file_is_an_error(root: int) -> None:
    with pytest.raises(IsADirectoryError):
        beneath.make_target(root, "/dir2", False, ME)


def test_making_a_file_never_follows_a_link(root: int, tree: Path) -> None:
    (tree / "etc/hosts").symlink_to("/dir2/file")
    with pytest.raises(FileExistsError):
        beneath.make_file(root, "/etc/hosts", b"x", 0o644, ME)
    assert (tree / "dir2/file").read_text() == "two"
