"""The index as the kernel sees it: a mounted index and what GNU tar extracts of the same archive are the same tree."""

from __future__ import annotations

import contextlib
import hashlib
import os
import shutil
import stat
import subprocess
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from stages.images.entry import Extent, Kind
from stages.linux import kernel
from stages.linux.erofs import Way, probe
from stages.linux.overlay import Overlay
from stages.trees.erofs_probe import probe as probe_directory
from stages.trees.model import Node, Tree
from tests.system.erofs_host import Made, isolated, look, make_index, opened, tree_of, user_namespace
from tests.trees.erofs_maker import Maker, directory
from tests.trees.test_erofs_generated import Plan, grow, plans

pytestmark = pytest.mark.system

EDGES = (0, 1, 511, 512, 513, 4095, 4096, 4097, 1_000_000)
TAR = ["tar", "--numeric-owner", "--xattrs", "--xattrs-include=*", "--acls"]


@pytest.fixture(scope="module")
def disk() -> Iterator[Path]:
    """A directory that is not on tmpfs, where mounts by file do not work."""
    with tempfile.TemporaryDirectory(prefix="podwright-test-", dir="/var/tmp") as path:
        yield Path(path)


@pytest.fixture(scope="module", params=list(Way), ids=lambda way: way.value)
def way(request: pytest.FixtureRequest, disk: Path) -> Way:
    """Each way of mounting that this kernel has."""
    wanted: Way = request.param
    found = probe_directory(disk)
    refused = dict(found.refusals).get(wanted)
    if found.way is None or refused:
        pytest.skip(f"no EROFS by {wanted.value} here: {refused}")
    return wanted


@pytest.fixture
def scratch(disk: Path) -> Iterator[Path]:
    with tempfile.TemporaryDirectory(dir=disk) as path:
        yield Path(path)


def rich_source(root: Path) -> None:
    """One of everything that an archive can hold."""
    root.mkdir()
    for size in EDGES:
        (root / f"size-{size}").write_bytes((b"%07d" % size * (size // 7 + 1))[:size])
    (root / "deep" / "er" / ("n" * 255)).mkdir(parents=True)
    (root / "deep" / "er" / ("n" * 255) / ("f" * 255)).write_text("long")
    os.link(root / "size-513", root / "deep" / "linked")
    os.symlink("../size-1", root / "deep" / "link")
    os.link(root / "deep" / "link", root / "link too", follow_symlinks=False)
    os.symlink("x" * 3000, root / "long link")
    os.mkfifo(root / "fifo", 0o640)
    os.mknod(root / "char", 0o666 | stat.S_IFCHR, os.makedev(1, 3))
    os.mknod(root / "block", 0o660 | stat.S_IFBLK, os.makedev(259, 70_000))
    (root / os.fsdecode(b"not \xff utf-8\n")).write_text("odd name")
    with open(root / "sparse", "wb") as file:
        for position, data in ((0, b"start"), (3 << 20, b"middle" * 3000), (7 << 20, b"end")):
            os.pwrite(file.fileno(), data, position)
        file.truncate((7 << 20) + 12_345)
    many = root / "many"
    many.mkdir()
    for number in range(700):
        (many / f"entry {number}").touch()
    dress(root)


def dress(root: Path) -> None:
    """Owners, modes, attributes and times that are easily lost."""
    os.chown(root / "size-1", 3_000_000_000, 4_000_000_000)
    os.chown(root / "long link", 70_000, 5, follow_symlinks=False)
    os.chmod(root / "size-511", 0o6755)
    os.chmod(root / "deep" / "er", 0o3777)
    os.setxattr(root / "size-512", "user.comment", b"with a \0 byte")
    os.setxattr(root / "size-512", "user.empty", b"")
    os.setxattr(root / "deep", "trusted.label", b"v" * 700)
    capability = bytes.fromhex("0100000200040000000000000000000000000000")
    os.setxattr(root / "size-4096", "security.capability", capability)
    os.setxattr(root / "long link", "trusted.of-a-link", b"1", follow_symlinks=False)
    subprocess.run(["setfacl", "-m", "u:1234:rwx,g:77:r", root / "size-513", root / "many"], check=True)
    subprocess.run(["setfacl", "-d", "-m", "u:1234:rx", root / "many"], check=True)
    os.utime(root / "size-0", ns=(0, -1_500_000_000))
    os.utime(root / "fifo", ns=(0, 1_234_567_890_123_456_789))
    os.utime(root / "deep" / "link", ns=(0, 999_999_999), follow_symlinks=False)
    os.utime(root / "deep", ns=(0, 4_000_000_000_000_000_001))


@pytest.fixture(scope="module")
def rich(disk: Path) -> Path:
    """A directory with the source tree, and what GNU tar makes and extracts of it in each format."""
    rich_source(disk / "source")
    return disk / "source"


def archived(source: Path, archive: Path, *options: str) -> Path:
    subprocess.run([*TAR, *options, "-C", source, "-cf", archive, "."], check=True)
    return archive


def extracted(archive: Path, target: Path) -> Path:
    target.mkdir()
    subprocess.run([*TAR, "-C", target, "-xpf", archive], check=True)
    return target


def test_mounted_index_equals_what_tar_extracts(rich: Path, scratch: Path, way: Way) -> None:
    archive = archived(rich, scratch / "rich.tar", "--format=posix", "--sparse")
    made = make_index(tree_of(archive), scratch / "tree")
    with opened(extracted(archive, scratch / "extracted")) as directory, made.mounted(way) as mount:
        wanted, found = look(directory), look(mount)
        assert found.keys() == wanted.keys()
        assert [(path, found[path], wanted[path]) for path in wanted if found[path] != wanted[path]] == []
    assert len(wanted) > 720
    assert made.index.size < 300_000


@pytest.mark.parametrize(
    "options",
    [
        ("--format=gnu", "--sparse"),
        ("--format=posix", "--sparse-version=0.0"),
        ("--format=posix", "--sparse-version=0.1"),
        ("--format=posix", "--sparse-version=1.0"),
    ],
    ids=" ".join,
)
def test_sparse_members_of_every_form(rich: Path, scratch: Path, options: tuple[str, ...]) -> None:
    archive = scratch / "sparse.tar"
    subprocess.run(["tar", "-C", rich, *options, "--sparse", "-cf", archive, "sparse"], check=True)
    made = make_index(tree_of(archive), scratch / "tree")
    with made.mounted(best(scratch)) as mount:
        assert look(mount)[b"sparse"].content == hashlib.sha256((rich / "sparse").read_bytes()).hexdigest()
    assert archive.stat().st_size < 100_000


def best(directory: Path) -> Way:
    found = probe_directory(directory)
    if found.way is None:
        pytest.skip(f"no EROFS with external data here: {found.refusals}")
    return found.way


def test_debian_root_equals_what_tar_extracts(minbase: Path, scratch: Path) -> None:
    blob = Path(shutil.copy(minbase, scratch / "minbase.tar"))
    made = make_index(tree_of(blob), scratch / "tree")
    # Thousands of files go to memory: deleting them from a disk slows every test that follows.
    with (
        tempfile.TemporaryDirectory(prefix="podwright-test-", dir="/dev/shm") as memory,
        opened(extracted(blob, Path(memory, "root"))) as extract,
        made.mounted(best(scratch)) as mount,
    ):
        wanted, found = look(extract), look(mount)
    assert len(found) > 8000
    assert {path for path in wanted.keys() | found.keys() if wanted.get(path) != found.get(path)} == set()
    assert made.index.side_size == 0
    assert made.index.size < 2_000_000


def test_programs_run_from_it(minbase: Path, scratch: Path, way: Way) -> None:
    blob = Path(shutil.copy(minbase, scratch / "minbase.tar"))
    made = make_index(tree_of(blob), scratch / "tree")
    (scratch / "root").mkdir()
    script = "set -e; dpkg --version; perl -e 'print 6 * 7'; . /etc/os-release; echo $VERSION_CODENAME"

    def work() -> None:
        with made.mounted(way) as mount:
            kernel.move_mount(mount, str(scratch / "root"))
        told = subprocess.run(["chroot", scratch / "root", "/bin/sh", "-c", script], check=True, capture_output=True)
        assert told.stdout.endswith(b"42bookworm\n")

    isolated(work)


def test_two_archives_make_one_tree(scratch: Path) -> None:
    for name, files in {"weak": {"both": "old", "weak": "w" * 5000}, "strong": {"both": "new", "strong": "s"}}.items():
        (scratch / name).mkdir()
        for file, text in files.items():
            (scratch / name / file).write_text(text)
        archived(scratch / name, scratch / f"{name}.tar")
    made = make_index(tree_of(scratch / "strong.tar", scratch / "weak.tar"), scratch / "tree")
    with made.mounted(best(scratch)) as mount:
        texts = {name: Path(f"/proc/self/fd/{mount}/{name}").read_text() for name in listed(mount)}
    assert texts == {"both": "new", "strong": "s", "weak": "w" * 5000}


def test_bytes_beyond_four_gibibytes_are_found(scratch: Path, way: Way) -> None:
    size, start = (4 << 30) + 1000, 1536
    marks = {0: b"first", (4 << 30) - 3: b"across", size - 4: b"last"}
    with open(scratch / "blob", "wb") as blob:
        for position, data in marks.items():
            os.pwrite(blob.fileno(), data, start + position)
        blob.truncate(start + (size + 511 & -512))
    root = directory({b"large": Node(Kind.FILE, size=size, extents=(Extent(0, start, size),))})
    made = make_index(Tree(root, (str(scratch / "blob"),)), scratch / "tree")
    with made.mounted(way) as mount, open(f"/proc/self/fd/{mount}/large", "rb") as file:
        assert os.fstat(file.fileno()).st_size == size
        for position, data in marks.items():
            assert os.pread(file.fileno(), len(data), position) == data
        assert os.pread(file.fileno(), 10, size) == b""


def test_data_from_the_side_blob_is_read(scratch: Path, way: Way) -> None:
    maker = Maker(scratch)
    parts = [(100, b"a" * 1000), (9000, b"b" * 5000), (20_000, b"c")]
    node = maker.sparse(20_100, *parts, shift=77)
    index, reader = maker.write_all(directory({b"f": node, b"g": maker.file(b"plain" * 999)}))
    made = Made(scratch / "index", (scratch / "blob-0", scratch / "side"), index)
    assert index.side_size
    with made.mounted(way) as mount:
        seen = {name: Path(f"/proc/self/fd/{mount}/{name}").read_bytes() for name in "fg"}
    found = reader.walk()
    assert seen == {"f": reader.read(found[b"f"]), "g": b"plain" * 999}
    for position, data in parts:
        assert seen["f"][position : position + len(data)] == data


@pytest.mark.parametrize("count", [1, 20, 21, 42, 5000])
def test_large_directories_list_and_look_up(scratch: Path, count: int) -> None:
    maker = Maker(scratch)
    names = [b"%d-%s" % (number, b"x" * (number * 37 % 240)) for number in range(count)]
    index, _ = maker.write_all(directory({name: maker.file(b"%d" % n) for n, name in enumerate(names)}))
    made = Made(scratch / "index", (scratch / "blob-0",), index)
    with made.mounted(best(scratch)) as mount:
        assert sorted(listed(mount)) == sorted(map(os.fsdecode, names))
        for number in range(0, count, 97):
            with open(os.open(names[number], os.O_RDONLY, dir_fd=mount), "rb") as file:
                assert file.read() == b"%d" % number
            for missing in (names[number] + b"!", names[number][:-1] + b"\x01", b"\xff"):
                with pytest.raises(FileNotFoundError):
                    os.stat(missing, dir_fd=mount)


def listed(mount: int) -> list[str]:
    return os.listdir(f"/proc/self/fd/{mount}/.")


@settings(max_examples=150, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(steps=st.lists(plans, max_size=40))
def test_the_kernel_shows_any_tree_as_it_is(scratch: Path, steps: list[Plan]) -> None:
    maker = Maker(scratch)
    root, nodes, contents = grow(maker, steps)
    index, _ = maker.write_all(root)
    with Made(scratch / "index", (scratch / "blob-0",), index).mounted(best(scratch)) as mount:
        found = look(mount)
    assert found.keys() == nodes.keys()
    for path, node in nodes.items():
        seen = found[path]
        assert (seen.mode & 0o7777, seen.uid, seen.gid, seen.mtime_ns) == (
            node.mode, node.uid, node.gid, node.mtime_ns,
        )  # fmt: skip
        assert seen.names == {other for other in nodes if nodes[other] is node}
        if node.kind is Kind.FILE:
            assert (seen.size, seen.content) == (node.size, hashlib.sha256(contents.get(path, b"")).hexdigest())
        elif node.kind is Kind.SYMLINK:
            assert os.fsencode(seen.content) == node.target
        elif node.kind in (Kind.CHAR, Kind.BLOCK):
            assert seen.device == os.makedev(node.major, node.minor)
        shown = {os.fsdecode(name): value for name, value in node.xattrs}
        if node.kind not in (Kind.FILE, Kind.DIRECTORY):
            shown = {name: value for name, value in shown.items() if not name.startswith("user.")}
        assert dict(seen.xattrs) == shown


def test_same_index_by_paths_longer_than_an_option(scratch: Path) -> None:
    far = scratch / ("d" * 200) / ("e" * 200)
    far.mkdir(parents=True)
    assert probe_directory(far).way == probe_directory(scratch).way


def test_probe_says_why_a_way_is_refused(scratch: Path) -> None:
    found = probe_directory(Path("/dev/shm"))
    assert found.way is not Way.FILE
    assert found.refusals[0][0] is Way.FILE
    assert "index" in found.refusals[0][1]
    maker = Maker(scratch)
    maker.write(directory({b"f": maker.file(b"content")}))
    wrong = probe(scratch / "index", [scratch / "blob-0"], "f", b"other content")
    assert wrong.way is None
    assert {reason for _, reason in wrong.refusals} == {"the kernel reads other bytes than were written"}


def test_index_without_its_blob_is_refused(scratch: Path, way: Way) -> None:
    maker = Maker(scratch)
    index, _ = maker.write_all(directory({b"f": maker.file(b"content")}))
    with pytest.raises(OSError), Made(scratch / "index", (), index).mounted(way):
        pass
    with pytest.raises(FileNotFoundError), Made(scratch / "index", (scratch / "none",), index).mounted(way):
        pass
    until_none_is_backed_by(scratch)


def test_damaged_superblock_is_refused(scratch: Path, way: Way) -> None:
    maker = Maker(scratch)
    index, reader = maker.write_all(directory())
    image = bytearray(reader.image)
    image[1024 + 20] ^= 1
    (scratch / "index").write_bytes(image)
    with pytest.raises(OSError, match="index"), Made(scratch / "index", (scratch / "blob-0",), index).mounted(way):
        pass
    until_none_is_backed_by(scratch)


def test_loop_devices_go_with_the_mount(scratch: Path) -> None:
    maker = Maker(scratch)
    index, _ = maker.write_all(directory({b"f": maker.file(b"content")}))
    with Made(scratch / "index", (scratch / "blob-0",), index).mounted(Way.LOOP):
        assert len(backed_by(scratch)) == 2
    until_none_is_backed_by(scratch)


def backed_by(directory: Path) -> list[str]:
    """The loop devices over files in a directory."""
    found = []
    for device in Path("/sys/block").glob("loop*"):
        with contextlib.suppress(OSError):  # it is free, or has just become free
            if (device / "loop/backing_file").read_text().startswith(str(directory)):
                found.append(device.name)
    return found


def until_none_is_backed_by(directory: Path) -> None:
    """Nothing keeps a device any more; who watches devices may look at it for a moment (udev does)."""
    while backed_by(directory):
        time.sleep(0.01)


def test_ids_are_shifted_by_the_mount(rich: Path, scratch: Path, way: Way) -> None:
    archive = archived(rich, scratch / "rich.tar", "--format=posix")
    made = make_index(tree_of(archive), scratch / "tree")
    with made.mounted(way) as mount:
        plain = look(mount)
    with user_namespace(1_000_000, 65_536) as namespace, made.mounted(way) as mount:
        kernel.mount_setattr_idmap(mount, namespace)
        shifted = look(mount)
    assert shifted.keys() == plain.keys()
    for path, before in plain.items():
        for id_before, id_after in ((before.uid, shifted[path].uid), (before.gid, shifted[path].gid)):
            # Ids that the namespace has no name for are shown as the overflow id.
            assert id_after == (id_before + 1_000_000 if id_before < 65_536 else 65_534)
        assert shifted[path].content == before.content
        assert shifted[path].mtime_ns == before.mtime_ns
    assert plain[b"size-1"].uid == 3_000_000_000


@pytest.mark.parametrize("shift", [0, 1_000_000])
def test_overlay_on_top_leaves_index_and_blobs_alone(rich: Path, scratch: Path, shift: int) -> None:
    archive = archived(rich, scratch / "rich.tar", "--format=posix")
    made = make_index(tree_of(archive), scratch / "tree")
    before = [hashlib.sha256(path.read_bytes()).hexdigest() for path in (made.path, *made.blobs)]
    way = best(scratch)
    parts = {name: scratch / name for name in ("lower", "upper", "work", "merged")}
    for part in parts.values():
        part.mkdir()

    def work() -> None:
        with made.mounted(way) as mount:
            if shift:
                with user_namespace(shift, 65_536) as namespace:
                    kernel.mount_setattr_idmap(mount, namespace)
            kernel.move_mount(mount, str(parts["lower"]))
        Overlay(*map(str, parts.values())).mount()
        merged = parts["merged"]
        with opened(parts["lower"]) as lower, opened(merged) as top:
            assert look(top).keys() == look(lower).keys()
        with open(merged / "size-4096", "ab") as file:
            file.write(b"more")
        (merged / "size-513").unlink()
        (merged / "many" / "new").write_text("new")
        shutil.rmtree(merged / "deep")
        status = os.stat(merged / "size-4096")
        assert (status.st_uid, status.st_size) == (shift, 4100)
        assert not (merged / "size-513").exists()
        assert len(os.listdir(merged / "many")) == 701
        with pytest.raises(OSError):
            (parts["lower"] / "new").write_text("read-only")

    isolated(work)
    assert [hashlib.sha256(path.read_bytes()).hexdigest() for path in (made.path, *made.blobs)] == before
    assert stat.S_ISCHR(os.lstat(parts["upper"] / "size-513").st_mode)
