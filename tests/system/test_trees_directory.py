"""Directory trees as root: all that an archive can say reaches the disk, and nothing reaches outside the target."""

from __future__ import annotations

import contextlib
import errno
import itertools
import multiprocessing
import os
import stat
import struct
import subprocess
from collections.abc import Iterator
from multiprocessing.synchronize import Event
from pathlib import Path

import pytest

from stages.base.errors import TreeError
from stages.images.entry import Entry, Extent, Kind
from stages.images.placement import place
from stages.images.tar import read_entries
from stages.linux import kernel
from stages.trees import directory, fingerprint
from stages.trees.merge import Layer, merge, size
from stages.trees.model import Node, Tree
from stages.trees.shift import Shift
from tests.trees.on_disk import Facts, facts

pytestmark = pytest.mark.system

NET_RAW = struct.pack("<IIIII", 0x02000001, 1 << 13, 0, 0, 0)
NOBODY = 2**32 - 1


def acl(user: int) -> bytes:
    entries = [(1, 6, NOBODY), (2, 4, user), (4, 4, NOBODY), (0x10, 4, NOBODY), (0x20, 0, NOBODY)]
    return struct.pack("<I", 2) + b"".join(struct.pack("<HHI", *entry) for entry in entries)


def write(tree: Tree, target: Path, shift: Shift | None = None) -> None:
    target.mkdir(exist_ok=True)
    descriptor = os.open(target, os.O_RDONLY | os.O_DIRECTORY)
    try:
        directory.write(tree, descriptor, shift=shift, progress=lambda _: None)
    finally:
        os.close(descriptor)


def tree_of(archive: Path) -> Tree:
    return merge([Layer(str(archive), place(read_entries(archive)))])


def tar(*arguments: str | Path) -> None:
    subprocess.run(["tar", "--xattrs", "--xattrs-include=*", "--acls", "--numeric-owner", *arguments], check=True)


@pytest.fixture
def awkward(tmp_path: Path) -> Path:
    """A directory with everything that archives are known to lose."""
    root = tmp_path / "source"
    root.mkdir(mode=0o755)
    _files(root)
    _specials(root)
    here = os.open(root, os.O_RDONLY)
    for number in range(4):
        name = f"{number}" * 90
        os.mkdir(name, dir_fd=here)
        below = os.open(name, os.O_RDONLY, dir_fd=here)
        os.close(here)
        here = below
    os.close(os.open("n" * 200, os.O_CREAT | os.O_WRONLY, dir_fd=here))
    os.close(here)
    (root / "locked/deep").mkdir(parents=True)
    (root / "locked/deep/f").write_text("inside")
    (root / "locked/deep").chmod(0o555)
    (root / "locked").chmod(0o500)
    for path, when in (("locked", -1_500_000_001), ("plain", 1_234_567_890_123_456_789), (".", 987_654_321)):
        os.utime(root / path, ns=(when, when))
    return root


def _files(root: Path) -> None:
    (root / "plain").write_bytes(os.urandom(100_001))
    os.setxattr(root / "plain", "user.text", b"v\0\n")
    os.setxattr(root / "plain", "trusted.secret", b"t")
    (root / "setuid").write_bytes(b"#!")
    os.chown(root / "setuid", 12, 34)
    (root / "setuid").chmod(0o6755)
    (root / "capable").write_bytes(b"ping")
    os.chown(root / "capable", 7, 8)
    os.setxattr(root / "capable", "security.capability", NET_RAW)
    (root / "huge-id").write_bytes(b"")
    os.chown(root / "huge-id", 3_000_000_000, 3_000_000_001)
    (root / "acl").write_bytes(b"x")
    os.setxattr(root / "acl", "system.posix_acl_access", acl(1234))
    with (root / "sparse").open("wb") as file:
        for position in (0, 5 << 20, (40 << 20) + 77):
            file.seek(position)
            file.write(b"data")
        file.truncate(64 << 20)
    for name in (b"\xff\xfe\x80", b"new\nline", b"back\\slash"):
        (root / os.fsdecode(name)).write_bytes(name)
    os.link(root / "plain", root / "same")


def _specials(root: Path) -> None:
    os.mknod(root / "char", 0o666 | stat.S_IFCHR, os.makedev(1, 3))
    os.mknod(root / "block", 0o640 | stat.S_IFBLK, os.makedev(259, 70_000))
    os.chown(root / "block", 5, 6)
    os.mkfifo(root / "fifo", 0o622)
    (root / "link").symlink_to("x" * 4000)
    os.chown(root / "link", 9, 10, follow_symlinks=False)
    os.setxattr(root / "link", "trusted.of-link", b"l", follow_symlinks=False)
    os.setxattr(root / "char", "trusted.of-device", b"d")
    os.link(root / "link", root / "link-again", follow_symlinks=False)
    os.utime(root / "link", ns=(-1, -1), follow_symlinks=False)
    (root / "shared").mkdir()
    (root / "shared").chmod(0o3777)
    os.setxattr(root / "shared", "system.posix_acl_default", acl(99))
    (root / "shared/inherits-nothing").write_text("")
    os.removexattr(root / "shared/inherits-nothing", "system.posix_acl_access")
    (root / "shared/inherits-nothing").chmod(0o644)


def differences(one: dict[bytes, Facts], other: dict[bytes, Facts]) -> dict[bytes, tuple[object, object]]:
    paths = one.keys() | other.keys()
    return {path: (one.get(path), other.get(path)) for path in paths if one.get(path) != other.get(path)}


def test_everything_that_an_archive_holds_reaches_the_disk(awkward: Path, tmp_path: Path) -> None:
    archive = tmp_path / "source.tar"
    tar("--format=posix", "--sparse", "-cf", archive, "-C", awkward, ".")
    write(tree_of(archive), tmp_path / "ours")
    assert differences(facts(awkward), facts(tmp_path / "ours")) == {}
    assert (tmp_path / "ours/sparse").stat().st_blocks * 512 < 1 << 20
    assert fingerprint.contents(tmp_path / "ours", 2) == fingerprint.contents(awkward)


def test_gnu_tar_makes_the_same_of_the_same_archive(awkward: Path, tmp_path: Path) -> None:
    archive, theirs = tmp_path / "source.tar", tmp_path / "theirs"
    tar("--format=posix", "-cf", archive, "-C", awkward, ".")
    theirs.mkdir()
    tar("-xpf", archive, "-C", theirs)
    write(tree_of(archive), tmp_path / "ours")
    assert differences(facts(theirs), facts(tmp_path / "ours")) == {}


def test_devices_and_fifos_with_two_names_are_one_inode(tmp_path: Path) -> None:
    device, fifo = Node(Kind.CHAR, 0o4666, 5, 6, -1, major=511, minor=1_000_000), Node(Kind.FIFO, 0o600)
    below = Node(Kind.DIRECTORY, children={b"device": device, b"fifo": fifo})
    write(Tree(Node(Kind.DIRECTORY, children={b"a": device, b"d": below, b"e": fifo}), ()), tmp_path / "t")
    found = facts(tmp_path / "t")
    assert (found[b"d/device"].group, found[b"e"].group) == (b"a", b"d/fifo")
    assert found[b"a"].device == os.makedev(511, 1_000_000)
    assert (stat.S_IMODE(found[b"a"].mode), found[b"a"].owner, found[b"a"].mtime_ns) == (0o4666, (5, 6), -1)


def test_a_debian_system_is_what_gnu_tar_makes_of_it(minbase: Path, scratch: Path) -> None:
    theirs = scratch / "theirs"
    theirs.mkdir()
    tar("-xpf", minbase, "-C", theirs)
    tree = tree_of(minbase)
    write(tree, scratch / "ours")
    assert size(tree) > 100 << 20
    assert differences(facts(theirs), facts(scratch / "ours")) == {}
    assert fingerprint.contents(theirs, 2) == fingerprint.contents(scratch / "ours", 2)


@pytest.fixture
def scratch(tmp_path: Path) -> Iterator[Path]:
    """A file system in memory: thousands of files, gone at once."""
    with small_disk(tmp_path / "scratch", "2g") as disk:
        yield disk


@contextlib.contextmanager
def small_disk(path: Path, limit: str) -> Iterator[Path]:
    path.mkdir()
    kernel.mount("tmpfs", str(path), "tmpfs", data=f"size={limit},mode=0755")
    try:
        yield path
    finally:
        kernel.umount(str(path))


def test_a_full_disk_is_told_with_the_path(tmp_path: Path) -> None:
    (tmp_path / "blob").write_bytes(bytes(8 << 20))
    file = Node(Kind.FILE, size=8 << 20, extents=(Extent(0, 0, 8 << 20),))
    tree = Tree(
        Node(Kind.DIRECTORY, children={b"d": Node(Kind.DIRECTORY, children={b"f": file})}), (str(tmp_path / "blob"),)
    )
    with small_disk(tmp_path / "disk", "1m") as disk, pytest.raises(OSError, match="d/f") as caught:
        write(tree, disk)
    assert caught.value.errno == errno.ENOSPC


def test_a_shift_moves_every_owner(tmp_path: Path) -> None:
    entries = [
        Entry(b"d", Kind.DIRECTORY, 0o755, 1, 2),
        Entry(b"d/ping", Kind.FILE, 0o4755, 3, 4, xattrs=((b"security.capability", NET_RAW),)),
        Entry(b"d/acl", Kind.FILE, 0o640, xattrs=((b"system.posix_acl_access", acl(1234)),)),
        Entry(b"l", Kind.SYMLINK, 0o777, 5, 6, target=b"/"),
        Entry(b"null", Kind.CHAR, 0o666, 0, 65_535, major=1, minor=3),
    ]
    write(merge([Layer("/unused", entries)]), tmp_path / "t", Shift(1_000_000, 65_536))
    found = facts(tmp_path / "t")
    assert {path: one.owner for path, one in found.items()} == {
        b".": (1_000_000, 1_000_000),
        b"d": (1_000_001, 1_000_002),
        b"d/ping": (1_000_003, 1_000_004),
        b"d/acl": (1_000_000, 1_000_000),
        b"l": (1_000_005, 1_000_006),
        b"null": (1_000_000, 1_065_535),
    }
    assert stat.S_IMODE(found[b"d/ping"].mode) == 0o4755
    namespaced = struct.pack("<I", 0x03000001) + NET_RAW[4:] + struct.pack("<I", 1_000_000)
    assert dict(found[b"d/ping"].xattrs) == {"security.capability": namespaced}
    assert dict(found[b"d/acl"].xattrs) == {"system.posix_acl_access": acl(1_001_234)}


def test_what_the_target_would_pass_on_reaches_nothing(tmp_path: Path) -> None:
    target = tmp_path / "t"
    target.mkdir()
    os.chown(target, 0, 77)
    target.chmod(0o2755)
    os.setxattr(target, "system.posix_acl_default", acl(99))
    entries = [Entry(b"d", Kind.DIRECTORY, 0o755), Entry(b"d/f", Kind.FILE, 0o600), Entry(b"g", Kind.FIFO, 0o600)]
    write(merge([Layer("/unused", entries)]), target)
    assert all((one.owner, one.xattrs) == ((0, 0), ()) for one in facts(target).values())
    assert stat.S_IMODE(target.stat().st_mode) == 0o755


def test_nobody_else_gets_in_before_a_directory_is_whole(tmp_path: Path) -> None:
    (tmp_path / "blob").write_bytes(bytes(4 << 20))
    file = Node(Kind.FILE, size=4 << 20, extents=(Extent(0, 0, 4 << 20),))
    below = Node(Kind.DIRECTORY, 0o777, 1000, 1000, children={b"f": file})
    seen: list[list[int]] = []
    target = tmp_path / "t"
    target.mkdir()

    def look(_: int) -> None:
        seen.append([stat.S_IMODE(path.stat().st_mode) for path in (target, target / "d")])

    descriptor = os.open(target, os.O_RDONLY)
    tree = Tree(Node(Kind.DIRECTORY, 0o777, children={b"d": below}), (str(tmp_path / "blob"),))
    directory.write(tree, descriptor, shift=None, progress=look)
    os.close(descriptor)
    assert seen[0] == [0o700, 0o700]
    assert stat.S_IMODE((target / "d").stat().st_mode) == 0o777


def _swap_for_links(target: str, outside: str, begun: Event) -> None:
    """Replace every directory that turns up by a link to `outside`, until killed."""
    here = os.open(target, os.O_RDONLY)
    begun.set()
    number = 0
    while True:
        for name in os.listdir(here):
            number += 1
            with contextlib.suppress(OSError):
                os.rename(name, f".moved-{number}", src_dir_fd=here, dst_dir_fd=here)
                os.symlink(outside, name, dir_fd=here)


def test_directories_that_turn_into_links_lead_nowhere(scratch: Path) -> None:
    outside = scratch / "outside"
    outside.mkdir()
    (outside / "precious").write_text("mine")
    before = facts(outside)
    shared = Node(Kind.FILE, 0o666, 4321, 4321)
    landing = {b"landed": Node(Kind.FIFO), b"precious": shared}
    folders = {b"d%d" % number: Node(Kind.DIRECTORY, 0o777, 4321, 4321, children=landing) for number in range(300)}
    forking, refused = multiprocessing.get_context("fork"), 0
    for attempt in itertools.count():  # until the race was really on, often enough
        target = scratch / f"t{attempt}"
        target.mkdir()
        begun = forking.Event()
        process = forking.Process(target=_swap_for_links, args=(str(target), str(outside), begun))
        process.start()
        begun.wait()
        try:
            write(Tree(Node(Kind.DIRECTORY, children=folders), ()), target)
        except (OSError, TreeError):
            refused += 1
        finally:
            process.kill()
            process.join()
        if refused == 20:
            break
    assert facts(outside) == before
