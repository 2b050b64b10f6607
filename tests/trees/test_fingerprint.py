"""The two fingerprints: the quick one moves with any touch, the full one with content only."""

from __future__ import annotations

import itertools
import os
import shutil
import socket
from collections.abc import Callable
from pathlib import Path

import pytest

from stages.base.errors import TreeError
from stages.trees import descent, fingerprint
from tests.clock import tick


@pytest.fixture
def tree(tmp_path: Path) -> Path:
    root = tmp_path / "tree"
    (root / "d/e").mkdir(parents=True)
    (root / "a").write_bytes(b"one")
    (root / "d/b").write_bytes(b"two")
    (root / "d/e/big").write_bytes(bytes(range(256)) * 10_000)
    (root / "d/empty").touch()
    os.link(root / "a", root / "d/same")
    (root / "link").symlink_to("a")
    os.mkfifo(root / "fifo")
    os.setxattr(root / "d/b", "user.k", b"v")
    (root / os.fsdecode(b"\xff\n\t")).touch()
    return root


def keeping_times(path: Path, change: Callable[[], object]) -> None:
    before = path.lstat()
    change()
    os.utime(path, ns=(before.st_atime_ns, before.st_mtime_ns), follow_symlinks=False)


def _relink(root: Path) -> None:
    before = root.stat(), (root / "d").stat()
    (root / "d/same").unlink()
    shutil.copy2(root / "a", root / "d/same")
    for path, status in zip((root, root / "d"), before, strict=True):
        os.utime(path, ns=(0, status.st_mtime_ns))


CHANGES: dict[str, tuple[Callable[[Path], object], str, str]] = {
    "a byte, size and time kept": (
        lambda root: keeping_times(root / "d/b", lambda: (root / "d/b").write_bytes(b"tvo")), "d/b", "content"),
    "a byte of a large file": (
        lambda root: keeping_times(root / "d/e/big", lambda: _poke(root / "d/e/big", 1_500_000)), "d/e/big", "content"),
    "size": (lambda root: (root / "d/b").write_bytes(b"three"), "d/b", "size"),
    "mode": (lambda root: (root / "a").chmod(0o600), "a", "mode 100644 -> 100600"),
    "mtime of a file": (lambda root: os.utime(root / "a", ns=(0, 5)), "a", "mtime"),
    "mtime of a directory": (lambda root: os.utime(root / "d", ns=(0, 5)), "d", "mtime"),
    "mtime of the root": (lambda root: os.utime(root, ns=(0, 5)), ".", "mtime"),
    "mtime of a link": (lambda root: os.utime(root / "link", ns=(0, 5), follow_symlinks=False), "link", "mtime"),
    "xattr value": (lambda root: os.setxattr(root / "d/b", "user.k", b"w"), "d/b", "attributes"),
    "xattr of a directory": (lambda root: os.setxattr(root / "d", "user.k", b"w"), "d", "attributes"),
    "a file more": (lambda root: (root / "d/new").touch(), "d/new", "is new"),
    "a file less": (lambda root: (root / "d/b").unlink(), "d/b", "is gone"),
    "a hard link broken": (_relink, "d/same", "link"),
}  # fmt: skip


def _poke(path: Path, offset: int) -> None:
    with path.open("r+b") as file:
        file.seek(offset)
        file.write(b"!!")


@pytest.mark.contract("M 35")
@pytest.mark.parametrize("change", CHANGES)
def test_a_change_moves_both_fingerprints_and_its_path_is_told(tree: Path, change: str) -> None:
    os.chmod(tree / "a", 0o644)
    make, path, what = CHANGES[change]
    listing, contents = fingerprint.listing(tree), fingerprint.contents(tree)
    tick()
    make(tree)
    assert any(one.startswith(f"{path}: ") for one in fingerprint.compare(listing, fingerprint.listing(tree)))
    told = fingerprint.compare(contents, fingerprint.contents(tree))
    assert any(one.startswith(f"{path}: ") and what in one for one in told), told


def test_another_link_text_of_the_same_length_moves_both(tree: Path) -> None:
    before = tree.stat()
    quick, full = fingerprint.listing(tree), fingerprint.contents(tree)
    link = tree / "link"
    tick()

    def replace() -> None:
        link.unlink()
        link.symlink_to("b")

    keeping_times(link, replace)
    os.utime(tree, ns=(0, before.st_mtime_ns))
    assert fingerprint.listing(tree) != quick
    assert fingerprint.contents(tree) != full


def test_nothing_moves_by_itself_or_by_reading(tree: Path) -> None:
    quick, full = fingerprint.listing(tree), fingerprint.contents(tree)
    (tree / "a").read_bytes()
    os.listdir(tree / "d")
    assert (fingerprint.listing(tree), fingerprint.contents(tree)) == (quick, full)
    assert fingerprint.compare(fingerprint.listing(tree), fingerprint.listing(tree)) == ()


def test_holes_are_not_read_and_are_the_zeros_that_they_stand_for(tmp_path: Path) -> None:
    """At once, where 8 TiB of zeros take hours, which an image can say in a few bytes."""
    (tmp_path / "vast").mkdir()
    with open(tmp_path / "vast/f", "wb") as file:
        file.truncate(1 << 43)
        for position in (1 << 30, 1 << 42):
            os.pwrite(file.fileno(), b"x", position)
    assert fingerprint.contents(tmp_path / "vast", 1).endswith(b"\tf\0")
    piece, gap = b"x" * (1 << 20), bytes(1 << 20)
    seen = set()
    for number, parts in enumerate(itertools.product((piece, gap), repeat=5)):
        told = []
        for holes in (True, False):
            folder = tmp_path / f"{number}{holes}"
            folder.mkdir()
            with open(folder / "f", "wb") as file:
                file.truncate(5 * len(piece) + 1)
                for at, part in enumerate(parts):
                    if part is piece or not holes:
                        os.pwrite(file.fileno(), part, at * len(piece))
            os.utime(folder / "f", ns=(0, 0))
            os.utime(folder, ns=(0, 0))
            told.append(fingerprint.contents(folder, 1))
        assert told[0] == told[1]
        seen.add(told[0])
    assert len(seen) == 2**5


def test_a_copy_has_the_same_full_fingerprint_and_another_quick_one(tree: Path, tmp_path: Path) -> None:
    copy = tmp_path / "elsewhere"
    assert os.spawnlp(os.P_WAIT, "cp", "cp", "-a", str(tree), str(copy)) == 0
    assert fingerprint.contents(copy) == fingerprint.contents(tree)
    assert fingerprint.listing(copy) != fingerprint.listing(tree)


def test_a_touch_that_is_undone_moves_the_quick_one_only(tree: Path) -> None:
    quick, full = fingerprint.listing(tree), fingerprint.contents(tree)
    mode = (tree / "a").stat().st_mode
    tick()
    (tree / "a").chmod(0o777)
    (tree / "a").chmod(mode)
    assert fingerprint.listing(tree) != quick
    assert fingerprint.contents(tree) == full


def test_any_number_of_jobs_gives_the_same(tree: Path) -> None:
    assert {fingerprint.contents(tree, jobs) for jobs in (1, 2, 3, 50)} == {fingerprint.contents(tree)}


def test_renaming_a_directory_above_moves_nothing(tree: Path, tmp_path: Path) -> None:
    outer = tmp_path / "outer"
    outer.mkdir()
    shutil.move(tree, outer / "tree")
    quick = fingerprint.listing(outer / "tree")
    outer.rename(tmp_path / "renamed")
    assert fingerprint.listing(tmp_path / "renamed/tree") == quick


def test_links_are_not_followed(tree: Path, tmp_path: Path) -> None:
    outside = tmp_path / "outside"
    outside.mkdir()
    (tree / "out").symlink_to(outside)
    quick, full = fingerprint.listing(tree), fingerprint.contents(tree)
    (outside / "f").touch()
    assert (fingerprint.listing(tree), fingerprint.contents(tree)) == (quick, full)


def test_neither_devices_nor_sockets_nor_fifos_are_opened(tree: Path) -> None:
    with socket.socket(socket.AF_UNIX) as one:
        one.bind(str(tree / "socket"))
    assert b"\tsocket\0" in fingerprint.contents(tree)  # and it has not blocked on the fifo


def test_at_most_five_differences_are_told(tree: Path) -> None:
    listing = fingerprint.listing(tree)
    for number in range(20):
        (tree / f"new{number}").touch()
    told = fingerprint.compare(listing, fingerprint.listing(tree))
    assert len(told) == 5
    assert told[0].startswith(".: ")


@pytest.mark.parametrize("old", [b"", b"\0", b"garbage", b"other\tcolumns\tpath\0x\ty\tz\0"])
def test_a_record_of_another_form_is_one_difference(tree: Path, old: bytes) -> None:
    assert fingerprint.compare(old, fingerprint.listing(tree)) == ("the old record is of another form",)


def test_odd_names_are_told_in_one_line(tree: Path) -> None:
    listing = fingerprint.listing(tree)
    (tree / os.fsdecode(b"\xff\n\t")).write_bytes(b"x")
    (told,) = fingerprint.compare(listing, fingerprint.listing(tree))
    assert "\n" not in told


def test_a_tree_that_is_too_deep_is_an_error_of_ours(tmp_path: Path) -> None:
    here = os.open(tmp_path, os.O_RDONLY)
    for _ in range(descent.DEEPEST + 1):
        os.mkdir("d", dir_fd=here)
        below = descent.enter(here, "d")
        os.close(here)
        here = below
    os.close(here)
    for take in (fingerprint.listing, fingerprint.contents):
        with pytest.raises(TreeError) as caught:
            take(tmp_path)
        assert caught.value.reason == "tree-depth"
