"""Data directories on other file systems: copies share blocks where one can, and pods run from files and indexes."""

from __future__ import annotations

import json
import mmap
import os
import shutil
import struct
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from stages.images import build
from stages.images.build import Member
from stages.images.entry import Entry, Kind
from stages.images.tar import read_entries
from tests.system import workbench
from tests.system.workbench import Project

pytestmark = pytest.mark.system

UID, OTHER = "5a8e3c1e-55a1-4c1f-8a55-0a9e60c1f001", "5a8e3c1e-55a1-4c1f-8a55-0a9e60c1f002"
BLOCK = 4096
MIB = 1 << 20
MAKE = {
    "ext4": ["mkfs.ext4", "-q", "-O", "verity"],
    "xfs": ["mkfs.xfs", "-q", "-m", "reflink=1"],
    "btrfs": ["mkfs.btrfs", "-q"],
}
SHARING = ("xfs", "btrfs")
KNOWN = [kind for kind in MAKE if f"\t{kind}\n" in Path("/proc/filesystems").read_text()]
# Eight of them, and a header of 512 bytes before each: one begins at a block of the file system, the others between.
PARTS = [f"part-{number}" for number in range(8)]


@pytest.fixture(params=KNOWN)
def kind(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@pytest.fixture
def disk(kind: str, tmp_path: Path) -> Iterator[Path]:
    """A small file system of that kind, on a loop device that goes with the mount."""
    image, mount = tmp_path / "disk.img", tmp_path / "disk"
    with image.open("wb") as file:
        file.truncate(512 * MIB)
    subprocess.run([*MAKE[kind], image], check=True, capture_output=True)
    mount.mkdir()
    attach(mount)
    try:
        yield mount
    finally:
        subprocess.run(["umount", mount], check=True)
        image.unlink()  # pytest keeps the directories of some runs


def attach(disk: Path) -> None:
    subprocess.run(["mount", "-o", "loop", disk.with_suffix(".img"), disk], check=True)


def change_beneath(disk: Path, data: bytes) -> None:
    """Change a byte of these, the only ones of their kind, as a disk does it: no inode moves, no cache knows."""
    subprocess.run(["umount", disk], check=True)
    try:
        with open(disk.with_suffix(".img"), "r+b") as file, mmap.mmap(file.fileno(), 0) as image:
            at = image.find(data)
            assert at > 0 and image.find(data, at + 1) < 0
            image[at] ^= 0x10
    finally:
        attach(disk)


def content(name: str) -> bytes:
    return bytes([ord(name[-1])]) * (2 * MIB - 100) + name.encode()


def project(disk: Path, tmp_path: Path) -> Project:
    """A pod on copies and one on what the kernel allows, each of whose apps tells what it sees."""
    made = Project(tmp_path / "project", disk / "data")
    links = [Member(Entry(f"{name}-too".encode(), Kind.HARDLINK, target=name.encode())) for name in PARTS]
    members = [*workbench.busybox(), *(build.regular(name, content(name)) for name in PARTS), *links]
    made.image("box.aci", workbench.manifest("example.com/box", app=["/bin/true"]), members)
    for name, uid, overlay in (("copy", UID, False), ("other", OTHER, "auto")):
        told = "cd / && ls part-* && cat part-3-too | tail -c 6 && stat -c ' %h' part-5 && echo mine >part-5"
        container = {"name": "app", "image": "images/box.aci", "command": ["/bin/sh", "-c", told]}
        made.write(workbench.spec(name, uid, [container], overlay=overlay))
    return made


def test_copies_share_blocks_where_they_can_and_links_stay_links(kind: str, disk: Path, tmp_path: Path) -> None:
    made = project(disk, tmp_path)
    assert made.doit("run", "pod=copy", "manifest").code == 0
    root = made.pod(UID) / "stage1/rootfs/opt/stage2/app/rootfs"
    (blob,) = [path for path in (made.data / "images/blobs/sha512").iterdir() if path.stat().st_size > MIB]
    shared = []
    for name in PARTS:
        assert (root / name).read_bytes() == content(name)
        assert (root / name).samefile(root / f"{name}-too")
        shared += [name] if is_shared(root / name) else []
    entries = {entry.name: entry for entry in read_entries(blob)}
    aligned = [one for one in PARTS if entries[f"rootfs/{one}".encode()].extents[0].offset % BLOCK == 0]
    assert len(aligned) == 1 and shared == (aligned if kind in SHARING else [])
    # What is shared is written to by nobody else: the app's own copy is its own.
    (root / aligned[0]).write_bytes(b"changed")
    assert made.doit("verify").code == 0


def is_shared(path: Path) -> bool:
    """Whether other files have blocks of this one (FIEMAP's word for it, as filefrag shows it)."""
    told = subprocess.run(["filefrag", "-v", "-s", path], check=True, capture_output=True, text=True).stdout
    return "shared" in told


def test_pods_run_from_files_and_from_an_index(kind: str, disk: Path, tmp_path: Path) -> None:
    made = project(disk, tmp_path)
    expected = "".join(f"{name}\n" for name in sorted([*PARTS, *(f"{name}-too" for name in PARTS)])) + "part-3 2\n"
    for name in ("copy", "other"):
        for _ in range(2):
            ran = made.run(name)
            assert (ran.code, ran.out) == (0, expected), ran.err
    forms = {json.loads(path.read_bytes())["form"] for path in (made.data / "trees").glob("*/record")}
    assert forms == {"directory", "index"}
    assert made.doit("verify").code == 0
    if kind == "ext4":
        seals = [json.loads(path.read_bytes()) for path in (made.data / "images/seals").iterdir()]
        with_verity = Path("/sys/fs/ext4/features/verity").exists()
        assert seals and all(("verity" in seal) is with_verity for seal in seals)
    for name in ("copy", "other"):
        assert made.doit("rm", name).code == 0
    assert made.doit("gc").code == 0 and os.listdir(made.data / "trees") == []
    assert shutil.disk_usage(disk).free > 400 * MIB


@pytest.mark.parametrize("part", ["blob", "index"])
def test_what_the_disk_forgets_is_found_and_named_and_made_again(
    kind: str, disk: Path, tmp_path: Path, part: str
) -> None:
    """Whether the file system tells (btrfs, and ext4 where the kernel has fs-verity, have sums of their own) or not."""
    made = project(disk, tmp_path)
    assert made.run("other").code == 0 and made.doit("verify").code == 0
    (index,) = (made.data / "trees").glob("*/index.erofs")
    superblock = index.read_bytes()[1024:1152]  # with a UUID in it
    change_beneath(disk, content("part-3")[-40:] if part == "blob" else superblock)
    assert made.run("other", "manifest").tasks == frozenset()  # no stamp tells
    found = made.doit("verify")
    bad = [line for line in found.out.splitlines() if not line.endswith("  ok")]
    assert found.code == 1 and "Traceback" not in found.err, found
    if part == "blob":
        image, tree = bad
        assert image.startswith("image ") and "its bytes are others" in image
        assert f"the archive of image {image.split()[1]} is damaged" in tree
    else:
        (tree,) = bad
        assert "the bytes of its index.erofs are others" in tree
    assert tree.split()[1] == index.parent.name[:24]
    ran = made.run("other")
    assert ran.code == 0 and ("image:app" in ran.tasks) is (part == "blob") and "tree:app" in ran.tasks, ran
    assert made.doit("verify").code == 0


def squashfs() -> bytes:
    """The smallest there is: an empty root directory and no table of attributes."""
    none, base, size = (1 << 64) - 1, 96, 4096
    inode, ids = struct.pack("<4H4I2HI", 1, 0o755, 0, 0, 0, 1, 0, 2, 3, 0, 2), struct.pack("<I", 0)
    inode, ids = (struct.pack("<H", 1 << 15 | len(one)) + one for one in (inode, ids))
    table, places = base + len(inode), base + len(inode) + len(ids)
    head = struct.pack("<4s4I6H", b"hsqs", 1, 0, 1 << 17, 0, 1, 17, 0, 1, 4, 0)
    head += struct.pack("<8Q", 0, places + 8, places, none, base, table, none, none)
    return (head + inode + ids + struct.pack("<Q", table)).ljust(size, b"\0")


def test_a_root_file_system_may_lie_where_there_are_no_attributes(tmp_path: Path) -> None:
    made, disk = Project(tmp_path / "project", tmp_path / "data"), tmp_path / "project/disk"
    disk.mkdir(parents=True)
    disk.with_suffix(".img").write_bytes(squashfs())
    attach(disk)
    try:
        with pytest.raises(OSError, match="not supported"):
            os.listxattr(disk)
        imported = made.doit("images", "import", "dir:disk")
    finally:
        subprocess.run(["umount", disk], check=True)
    assert imported.code == 0, imported.err
