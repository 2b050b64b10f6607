"""A directory on disk and back: through our archive, our reader, and GNU tar."""

from __future__ import annotations

import io
import os
import socket
import subprocess
from pathlib import Path

import pytest

from stages.base.errors import ImageError
from stages.images import acl, build
from stages.images.entry import Entry, Kind
from stages.images.scan import from_directory
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


def archive(members: object) -> bytes:
    out = io.BytesIO()
    build.write_tar(out, members)  # type: ignore[arg-type]
    return out.getvalue()


def test_a_directory_comes_back_as_it_was(tree: Path, tmp_path: Path) -> None:
    path = tmp_path / "a.tar"
    path.write_bytes(archive(from_directory(tree)))
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
    members = {member.entry.name: member.entry for member in from_directory(tree)}
    path = tmp_path / "a.tar"
    path.write_bytes(archive(from_directory(tree)))
    found = {entry.name: entry for entry in read_entries(path)}
    assert {name: without_places(entry) for name, entry in found.items()} == {
        name: without_places(entry) for name, entry in members.items()
    }
    assert [entry.kind for entry in found.values()].count(Kind.HARDLINK) == 2


def without_places(entry: Entry) -> tuple[object, ...]:
    extents = [(extent.logical, extent.length) for extent in entry.extents]
    return (*(getattr(entry, field) for field in Entry.__slots__ if field != "extents"), extents)


def test_the_same_tree_gives_the_same_bytes(tree: Path) -> None:
    assert archive(from_directory(tree)) == archive(from_directory(tree))


def test_times_and_owners_can_be_set_for_all(tree: Path) -> None:
    members = list(from_directory(tree, mtime_ns=7, owner=(1, 2)))
    assert {(m.entry.mtime_ns, m.entry.uid, m.entry.gid) for m in members} == {(7, 1, 2)}


def test_a_socket_is_refused(tmp_path: Path) -> None:
    with socket.socket(socket.AF_UNIX) as one:
        one.bind(str(tmp_path / "s"))
        with pytest.raises(ImageError) as caught:
            list(from_directory(tmp_path))
    assert caught.value.reason == "type"
