"""What only root can put on disk goes through archives unchanged: owners, devices, capabilities, trusted attributes."""

from __future__ import annotations

import io
import os
import stat
import struct
import subprocess
from pathlib import Path

import pytest

from stages.images import build
from stages.images.aci import layout
from stages.images.entry import Entry, Kind
from stages.images.scan import from_directory, opened
from stages.images.tar import read_entries
from tests.images.tar_maker import attributes

pytestmark = pytest.mark.system

NET_RAW = struct.pack("<IIIII", 0x02000001, 1 << 13, 0, 0, 0)


@pytest.fixture
def tree(tmp_path: Path) -> Path:
    root = tmp_path / "tree"
    root.mkdir()
    (root / "ping").write_bytes(b"program")
    os.mknod(root / "null", stat.S_IFCHR | 0o666, os.makedev(1, 3))
    os.mknod(root / "disk", stat.S_IFBLK | 0o600, os.makedev(259, 70_000))
    os.link(root / "null", root / "null-too")
    (root / "link").symlink_to("ping")
    for number, name in enumerate(sorted(os.listdir(root))):
        os.chown(root / name, 3_000_000_000 + number, 100_000 + number, follow_symlinks=False)
    os.chmod(root / "ping", 0o6755)
    os.setxattr(root / "ping", "security.capability", NET_RAW)
    os.setxattr(root / "ping", "trusted.note", b"\0\1")
    os.setxattr(root / "link", "trusted.on-a-link", b"x", follow_symlinks=False)
    return root


def check(root: Path, entries: list[Entry]) -> None:
    assert {entry.name for entry in entries} == {b"", *(os.fsencode(name) for name in os.listdir(root))}
    for entry in entries:
        path = os.path.join(os.fsencode(root), entry.name)
        status = os.lstat(path)
        assert (entry.uid, entry.gid, entry.mode) == (status.st_uid, status.st_gid, stat.S_IMODE(status.st_mode))
        assert entry.mtime_ns == status.st_mtime_ns
        if entry.kind is not Kind.HARDLINK:
            assert entry.xattrs == attributes(path), entry.name
        if entry.kind in (Kind.CHAR, Kind.BLOCK):
            assert os.makedev(entry.major, entry.minor) == status.st_rdev


@pytest.mark.parametrize("program", ["tar", "bsdtar"])
def test_what_tar_programs_wrote_is_read(program: str, tree: Path, tmp_path: Path) -> None:
    path = tmp_path / "a.tar"
    form = ["--format=posix", "--xattrs-include=*"] if program == "tar" else ["--format=pax"]
    command = [program, *form, "--xattrs", "--acls", "--numeric-owner", "-cf", str(path), "-C", str(tree), "."]
    subprocess.run(command, check=True)
    check(tree, list(read_entries(path)))


def test_what_we_wrote_is_read_by_us_and_by_gnu_tar(tree: Path, tmp_path: Path) -> None:
    out = io.BytesIO()
    with opened(tree) as root:
        build.write_archive(out, {"acKind": "ImageManifest"}, from_directory(root))
    path = tmp_path / "a.aci"
    path.write_bytes(out.getvalue())
    check(tree, list(layout(read_entries(path)).members))
    place = tmp_path / "out"
    place.mkdir()
    options = ["--xattrs", "--xattrs-include=*", "--numeric-owner", "--same-owner"]
    subprocess.run(["tar", *options, "-pxf", path, "-C", place], check=True, capture_output=True)
    check(place / "rootfs", list(layout(read_entries(path)).members))
