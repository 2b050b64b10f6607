"""A directory on disk and back: through our archive, our reader, and GNU tar."""

from __future__ import annotations

import io
import os
import socket
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from stages.base.errors import ImageError
from stages.images import acl, build
from stages.images.entry import Entry, Kind
from stages.images.scan import from_directory, opened
from stages.images.tar import read_entries
from tests.images.tar_maker import attributes

ACL_TEXT = b"user::rw-,user:1234:r--,group::r--,mask::r--,other::r--"


@pytest.fixture
def tree(tmp_path: Path) -> Path:
    root = tmp_path / "tree"
    deep = root.joinpath(*["long" * 20] * 3)
    deep.mkdir(parents=True)
    (deep / ("n" * 200)).write_bytes(b"deep")
    Path(os.fsdecode(os.fsencode(root) + b"/\xff\n")).write_bytes(b"odd")
    (root / "z").write_bytes(b"x" * 5000)
    os.link(root / "z", deep / "a")
    (root / "z").chmod(0o2755)
    (root / "link").symlink_to("t/" * 150)
    os.link(root / "link", root / "link-too", follow_symlinks=False)
    os.mkfifo(root / "fifo")
    with (root / "holes").open("wb") as file:
        for place in (1 << 16, 1 << 20, (1 << 21) + 3):
            file.seek(place)
            file.write(b"data")
        file.truncate((1 << 22) + 5)
    os.setxattr(root / "z", "user.bytes", bytes(range(256)))
    os.setxattr(root / "holes", acl.ACCESS, acl.from_text(ACL_TEXT, acl.ACCESS) or b"")
    os.setxattr(root / ("long" * 20), acl.DEFAULT, acl.from_text(ACL_TEXT, acl.DEFAULT) or b"")
    for number, path in enumerate(sorted(root.rglob("*"), reverse=True)):
        os.utime(path, ns=(0, number * 1_234_567_891), follow_symlinks=False)
    return root


def archive(tree: Path) -> bytes:
    out = io.BytesIO()
    with opened(tree) as root:
        build.write_tar(out, from_directory(root))
    return out.getvalue()


def test_a_directory_comes_back_as_it_was(tree: Path, tmp_path: Path) -> None:
    path = tmp_path / "a.tar"
    path.write_bytes(archive(tree))
    out = tmp_path / "out"
    out.mkdir()
    subprocess.run(["tar", "--xattrs", "--acls", "-pxf", path, "-C", out], check=True, capture_output=True)
    assert facts(out) == facts(tree)
    assert (out / "holes").stat().st_blocks * 512 < 1 << 20


def facts(root: Path) -> dict[str, object]:
    found: dict[str, object] = {}
    inodes: dict[int, str] = {}
    for path in [root, *sorted(root.rglob("*"))]:
        name, status = str(path.relative_to(root)), path.lstat()
        first = inodes.setdefault(status.st_ino, name)
        data = os.readlink(path) if path.is_symlink() else path.read_bytes() if path.is_file() else b""
        time = status.st_mtime_ns
        found[name] = (status.st_mode, status.st_uid, status.st_gid, time, first, data, attributes(os.fsencode(path)))
    return found


def test_our_reader_sees_what_the_scan_saw(tree: Path, tmp_path: Path) -> None:
    with opened(tree) as root:
        members = {member.entry.name: member.entry for member in from_directory(root)}
    path = tmp_path / "a.tar"
    path.write_bytes(archive(tree))
    found = {entry.name: entry for entry in read_entries(path)}
    assert {name: without_places(entry) for name, entry in found.items()} == {
        name: without_places(entry) for name, entry in members.items()
    }
    assert [entry.kind for entry in found.values()].count(Kind.HARDLINK) == 2


def test_a_name_of_an_attribute_may_hold_what_ends_a_key(tree: Path, tmp_path: Path) -> None:
    os.setxattr(tree / "holes", "user.a=b", b"v=1")
    path = tmp_path / "a.tar"
    path.write_bytes(archive(tree))
    (found,) = [entry for entry in read_entries(path) if entry.name == b"holes"]
    assert (b"user.a=b", b"v=1") in found.xattrs


def without_places(entry: Entry) -> tuple[object, ...]:
    extents = [(extent.logical, extent.length) for extent in entry.extents]
    return (*(getattr(entry, field) for field in Entry.__slots__ if field != "extents"), extents)


def test_the_same_tree_gives_the_same_bytes(tree: Path) -> None:
    assert archive(tree) == archive(tree)


def test_times_and_owners_can_be_set_for_all(tree: Path) -> None:
    with opened(tree) as root:
        members = list(from_directory(root, mtime_ns=7, owner=(1, 2)))
    assert {(m.entry.mtime_ns, m.entry.uid, m.entry.gid) for m in members} == {(7, 1, 2)}


def test_a_socket_is_refused(tmp_path: Path) -> None:
    with socket.socket(socket.AF_UNIX) as one:
        one.bind(str(tmp_path / "s"))
        with opened(tmp_path) as root, pytest.raises(ImageError) as caught:
            list(from_directory(root))
    assert caught.value.reason == "type"


def a_link(path: Path, outside: Path) -> None:
    path.rename(path.with_name("away"))
    path.symlink_to(outside)


def a_file(path: Path, outside: Path) -> None:
    path.rename(path.with_name("away"))
    path.write_bytes(b"another")


def nothing(path: Path, outside: Path) -> None:
    path.rename(path.with_name("away"))


def a_fifo(path: Path, outside: Path) -> None:
    path.rename(path.with_name("away"))
    os.mkfifo(path)


SWAPS: dict[str, tuple[str, Callable[[Path, Path], None]]] = {
    "a directory for a link out of it": ("d", a_link),
    "a directory on the way for a link out of it": ("d/e", a_link),
    "a directory for a file": ("d", a_file),
    "a directory for nothing": ("d", nothing),
    "a file for a link": ("d/e/secret", a_link),
    "a file for another": ("d/e/secret", a_file),
    "a file for a pipe, which nobody writes to": ("d/e/secret", a_fifo),
    "a file for nothing": ("d/e/secret", nothing),
}


@pytest.mark.parametrize("name", SWAPS)
@pytest.mark.parametrize("after", [b"d", b"d/e", b"d/e/secret", None])
def test_a_swap_while_it_is_read_leads_nowhere(tmp_path: Path, name: str, after: bytes | None) -> None:
    """After each of the names, and between the walk and the reading of the files."""
    root, outside, out = tmp_path / "root", tmp_path / "outside", io.BytesIO()
    for top, content in ((root / "d", b"ours"), (outside, b"not ours")):
        (top / "e").mkdir(parents=True)
        (top / "e/secret").write_bytes(content)
        (top / "secret").write_bytes(content)
    where, swap = SWAPS[name]

    def members() -> Iterator[build.Member]:
        for member in from_directory(held):
            yield member
            if member.entry.name == after:
                swap(root / where, outside / where.removeprefix("d").lstrip("/"))
        if after is None:
            swap(root / where, outside / where.removeprefix("d").lstrip("/"))

    with opened(root) as held:
        try:
            build.write_tar(out, members())
        except ImageError as error:
            assert error.reason == "moving" and str(root / "d") in error.sentence and error.hint
        else:
            assert after is not None
    assert b"not ours" not in out.getvalue()


def test_names_of_bytes_are_sorted_as_bytes(tmp_path: Path) -> None:
    """Which of two hard links is the file depends on it, and so does the image's id."""
    for name in (b"\xff", "\N{ROCKET}".encode()):
        (tmp_path / os.fsdecode(name)).touch()
    with opened(tmp_path) as root:
        assert [member.entry.name for member in from_directory(root)] == [b"", "\N{ROCKET}".encode(), b"\xff"]
