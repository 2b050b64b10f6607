"""Writing a tree as a directory, as far as it needs no rights."""

from __future__ import annotations

import errno
import os
import resource
import stat
from collections.abc import Callable
from pathlib import Path
from typing import Any

import psutil
import pytest

from stages.base.errors import TreeError
from stages.images.entry import Extent, Kind
from stages.trees import descent, directory
from stages.trees.model import Node, Tree
from stages.trees.shift import Shift
from tests.trees.on_disk import facts

ME: dict[str, Any] = {"uid": os.geteuid(), "gid": os.getegid()}


def folder(children: dict[bytes, Node], mode: int = 0o755, mtime_ns: int = 0) -> Node:
    return Node(Kind.DIRECTORY, mode, **ME, mtime_ns=mtime_ns, children=children)


def file(size: int = 0, extents: tuple[Extent, ...] = (), mode: int = 0o644, mtime_ns: int = 0) -> Node:
    return Node(Kind.FILE, mode, **ME, mtime_ns=mtime_ns, size=size, extents=extents)


def nothing(_: int) -> None:
    pass


def write(tree: Tree, target: Path, shift: Shift | None = None, progress: Callable[[int], None] = nothing) -> None:
    target.mkdir(exist_ok=True)
    descriptor = os.open(target, os.O_RDONLY | os.O_DIRECTORY)
    try:
        directory.write(tree, descriptor, shift=shift, progress=progress)
    finally:
        os.close(descriptor)


@pytest.fixture
def blob(tmp_path: Path) -> str:
    path = tmp_path / "blob"
    path.write_bytes(b"0123456789" * 300_000)
    return str(path)


@pytest.mark.contract("M 33")
def test_bytes_come_from_the_extents_and_gaps_are_holes(tmp_path: Path, blob: str) -> None:
    extents = (Extent(0, 3, 4), Extent(1_000_000, 20, 5), Extent(1_500_000, 0, 0))
    write(Tree(folder({b"f": file(2_000_000, extents), b"hole": file(1 << 20)}), (blob,)), tmp_path / "t")
    data = (tmp_path / "t/f").read_bytes()
    assert (data[:4], data[1_000_000:1_000_005], len(data)) == (b"3456", b"01234", 2_000_000)
    assert set(data[4:1_000_000] + data[1_000_005:]) == {0}
    assert (tmp_path / "t/f").stat().st_blocks * 512 < 100_000
    assert (tmp_path / "t/hole").stat().st_blocks == 0


@pytest.mark.parametrize("number", [errno.EXDEV, errno.EINVAL, errno.ENOSYS])
def test_bytes_arrive_where_the_kernel_copies_no_ranges(
    tmp_path: Path, blob: str, monkeypatch: pytest.MonkeyPatch, number: int
) -> None:
    def refuse(*_: object) -> int:
        raise OSError(number, os.strerror(number))

    monkeypatch.setattr(os, "copy_file_range", refuse)
    write(Tree(folder({b"f": file(2_500_000, (Extent(0, 7, 2_500_000),))}), (blob,)), tmp_path / "t")
    assert (tmp_path / "t/f").read_bytes() == Path(blob).read_bytes()[7:2_500_007]


def test_modes_and_times_are_exact_also_of_directories_and_links(tmp_path: Path) -> None:
    tree = folder(
        {
            b"d": folder({b"f": file(mode=0o6755, mtime_ns=1_234_567_890_123_456_789)}, 0o2511, 5),
            b"l": Node(Kind.SYMLINK, 0o777, **ME, mtime_ns=-1_000_000_001, target=b"/etc/passwd"),
            b"p": Node(Kind.FIFO, 0o622, **ME, mtime_ns=9),
        },
        0o1777,
        -77,
    )
    previous = os.umask(0o077)
    try:
        write(Tree(tree, ()), tmp_path / "t")
    finally:
        os.umask(previous)
    found = {path: (stat.S_IMODE(one.mode), one.mtime_ns) for path, one in facts(tmp_path / "t").items()}
    assert found == {
        b".": (0o1777, -77),
        b"d": (0o2511, 5),
        b"d/f": (0o6755, 1_234_567_890_123_456_789),
        b"l": (0o777, -1_000_000_001),
        b"p": (0o622, 9),
    }


def test_one_node_under_many_names_is_one_inode(tmp_path: Path) -> None:
    shared, symlink = file(), Node(Kind.SYMLINK, 0o777, **ME, target=b"nowhere")
    deep = folder({b"again": shared, b"e": folder({b"link": symlink, b"too": shared})})
    write(Tree(folder({b"a": shared, b"l": symlink, b"d": deep, b"other": file()}), ()), tmp_path / "t")
    groups = {path: one.group for path, one in facts(tmp_path / "t").items() if not stat.S_ISDIR(one.mode)}
    assert groups == {
        b"a": b"a",
        b"d/again": b"a",
        b"d/e/too": b"a",
        b"l": b"d/e/link",
        b"d/e/link": b"d/e/link",
        b"other": b"other",
    }


def test_names_are_bytes(tmp_path: Path) -> None:
    names = [b"\xff\xfe", b"new\nline", b"tab\there", b" ", b"n" * 255]
    write(Tree(folder({name: file() for name in names}), ()), tmp_path / "t")
    assert sorted(os.listdir(os.fsencode(tmp_path / "t"))) == sorted(names)


def test_what_is_there_already_is_not_overwritten(tmp_path: Path) -> None:
    (tmp_path / "t").mkdir()
    (tmp_path / "outside").write_text("mine")
    (tmp_path / "t/f").symlink_to(tmp_path / "outside")
    with pytest.raises(FileExistsError) as caught:
        write(Tree(folder({b"f": file()}), ()), tmp_path / "t")
    assert caught.value.filename == "f"
    assert (tmp_path / "outside").read_text() == "mine"


def test_a_refusal_names_the_path_in_the_tree(tmp_path: Path) -> None:
    tree = Tree(folder({b"d": folder({b"x" * 256: file()})}), ())
    with pytest.raises(OSError, match="d/xxx") as caught:
        write(tree, tmp_path / "t")
    assert caught.value.errno == errno.ENAMETOOLONG


def test_a_full_disk_is_an_os_error_with_the_path(tmp_path: Path, blob: str) -> None:
    tree = Tree(folder({b"d": folder({b"f": file(3_000_000, (Extent(0, 0, 3_000_000),))})}), (blob,))
    pid = os.fork()  # a limit of the file size, in a process of its own, refuses as a full disk does
    if not pid:
        resource.setrlimit(resource.RLIMIT_FSIZE, (1_000_000, 1_000_000))
        try:
            write(tree, tmp_path / "t")
        except OSError as error:
            os._exit(0 if (error.errno, error.filename) == (errno.EFBIG, "d/f") else 1)
        finally:
            os._exit(2)
    assert os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) == 0


def test_an_archive_that_ends_early_is_told(tmp_path: Path, blob: str) -> None:
    tree = Tree(folder({b"f": file(4_000_000, (Extent(0, 0, 4_000_000),))}), (blob,))
    with pytest.raises(TreeError) as caught:
        write(tree, tmp_path / "t")
    assert caught.value.reason == "tree-blob"
    assert caught.value.sentence.startswith("f: ")


def test_all_bytes_are_told_as_progress(tmp_path: Path, blob: str) -> None:
    told: list[int] = []
    shared = file(2_000_000, (Extent(0, 0, 2_000_000),))
    write(Tree(folder({b"a": file(10, (Extent(0, 0, 10),)), b"b": shared, b"c": shared}), (blob,)), tmp_path / "t",
          progress=told.append)  # fmt: skip
    assert sum(told) == 2_000_010


def many(blob_size: int) -> Node:
    """Directories with files of one name and of several, in and across them."""
    shared = file(1000, (Extent(0, 7, 1000),), 0o640, 77)
    names = [b"%d" % number for number in range(12)]
    return folder(
        {
            name: folder(
                {
                    b"own": file(blob_size, (Extent(0, 0, blob_size),), 0o4755, number),
                    b"link": Node(Kind.SYMLINK, 0o777, **ME, mtime_ns=3, target=b"own"),
                    b"shared": shared,
                    b"empty": folder({}, 0o555, 9),
                },
                0o2750,
                -number,
            )
            for number, name in enumerate(names)
        }
    )


@pytest.mark.parametrize("jobs", [2, 3, 50])
def test_more_processes_write_the_same_tree(tmp_path: Path, blob: str, jobs: int) -> None:
    tree, told = Tree(many(200_000), (blob,)), []
    for name, count in (("one", 1), ("more", jobs)):
        (tmp_path / name).mkdir()
        descriptor = os.open(tmp_path / name, os.O_RDONLY | os.O_DIRECTORY)
        spoken: list[int] = []
        directory.write(tree, descriptor, shift=None, progress=spoken.append, jobs=count)
        os.close(descriptor)
        told.append(sum(spoken))
    assert facts(tmp_path / "one") == facts(tmp_path / "more")
    assert told == [12 * 200_000 + 1000] * 2


def test_a_refusal_in_another_process_names_the_path(tmp_path: Path, blob: str) -> None:
    before = psutil.Process().children()  # what orphans other tests left to this process is not ours
    root = many(200_000)
    root.children[b"11"].children[b"x" * 256] = file()
    root.children[b"10"].children[b"own"].place = (Extent(0, 2_990_000, 200_000),)
    (tmp_path / "t").mkdir()
    descriptor = os.open(tmp_path / "t", os.O_RDONLY | os.O_DIRECTORY)
    with pytest.raises(TreeError, match=r"10/own: the stored archive .* ends early") as caught:
        directory.write(Tree(root, (blob,)), descriptor, shift=None, progress=nothing, jobs=12)
    assert caught.value.reason == "tree-blob"
    del root.children[b"10"]
    (tmp_path / "u").mkdir()
    os.close(descriptor)
    descriptor = os.open(tmp_path / "u", os.O_RDONLY | os.O_DIRECTORY)
    with pytest.raises(OSError, match="11/xxx") as refused:
        directory.write(Tree(root, (blob,)), descriptor, shift=None, progress=nothing, jobs=12)
    assert refused.value.errno == errno.ENAMETOOLONG
    os.close(descriptor)
    assert psutil.Process().children() == before


def test_more_archives_than_descriptors_are_no_problem(tmp_path: Path) -> None:
    names = [b"%d" % number for number in range(150)]
    for name in names:
        (tmp_path / name.decode()).write_bytes(name)
    children = {name: file(len(name), (Extent(0, 0, len(name)),)) for name in names}
    for number, node in enumerate(children.values()):
        node.blob = number
    limits = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (len(os.listdir("/proc/self/fd")) + 90, limits[1]))
    try:
        write(Tree(folder(children), tuple(str(tmp_path / name.decode()) for name in names)), tmp_path / "t")
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, limits)
    assert all((tmp_path / "t" / name.decode()).read_bytes() == name for name in names)


def nested(depth: int) -> Tree:
    node = folder({})
    for _ in range(depth):
        node = folder({b"d": node})
    return Tree(node, ())


def test_the_deepest_tree_is_written_and_a_deeper_one_refused(tmp_path: Path) -> None:
    write(nested(descent.DEEPEST), tmp_path / "t")
    assert (tmp_path / "t" / "/".join(["d"] * descent.DEEPEST)).is_dir()
    with pytest.raises(TreeError) as caught:
        write(nested(descent.DEEPEST + 1), tmp_path / "u")
    assert caught.value.reason == "tree-depth"


def test_an_owner_outside_the_shift_is_refused(tmp_path: Path) -> None:
    tree = Tree(folder({b"f": Node(Kind.FILE, 0o644, uid=70_000)}), ())
    with pytest.raises(TreeError) as caught:
        write(tree, tmp_path / "t", Shift(100_000, 65_536))
    assert caught.value.reason == "tree-id"
    assert caught.value.sentence.startswith("f: ")


def test_an_owner_that_cannot_be_given_is_an_error(tmp_path: Path) -> None:
    tmp_path.chmod(0o755)
    target = tmp_path / "t"
    target.mkdir()
    os.chown(target, *((4321, 4321) if not os.geteuid() else (-1, -1)))
    tree = Tree(folder({b"f": Node(Kind.FILE, 0o644, uid=12_345, gid=12_345)}), ())
    descriptor = os.open(target, os.O_RDONLY | os.O_DIRECTORY)
    pid = os.fork()
    if not pid:
        if not os.geteuid():
            os.setresuid(4321, 4321, 4321)
        try:
            directory.write(tree, descriptor, shift=None, progress=nothing)
        except TreeError as error:
            os._exit(0 if error.reason == "tree-owner" else 1)
        finally:
            os._exit(2)
    os.close(descriptor)
    assert os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) == 0


@pytest.fixture
def outside(tmp_path: Path) -> Path:
    path = tmp_path / "outside"
    path.mkdir()
    (path / "precious").write_text("mine")
    return path


def after(monkeypatch: pytest.MonkeyPatch, name: str, victim: bytes, attack: Callable[[], None]) -> None:
    """Attack at the worst moment: right after the writer's call of os.`name` for `victim`."""
    real = getattr(os, name)

    def call(path: bytes, *arguments: object, **options: object) -> object:
        result = real(path, *arguments, **options)
        if path == victim:
            attack()
        return result

    monkeypatch.setattr(os, name, call)


@pytest.mark.contract("M 34")
def test_a_directory_that_turns_into_a_link_is_not_entered(
    tmp_path: Path, outside: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def attack() -> None:
        (tmp_path / "t/d").rmdir()
        (tmp_path / "t/d").symlink_to(outside)

    before = facts(outside)
    after(monkeypatch, "mkdir", b"d", attack)
    with pytest.raises(NotADirectoryError):
        write(Tree(folder({b"d": folder({b"landed": file()}, 0o711)}), ()), tmp_path / "t")
    assert facts(outside) == before


def test_a_fifo_that_turns_into_a_link_leads_to_no_other_file(
    tmp_path: Path, outside: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def attack() -> None:
        (tmp_path / "t/p").unlink()
        (tmp_path / "t/p").symlink_to(outside / "precious")

    before = facts(outside)
    after(monkeypatch, "mknod", b"p", attack)
    with pytest.raises(OSError, match="p"):
        write(Tree(folder({b"p": Node(Kind.FIFO, 0o666, **ME, mtime_ns=5)}), ()), tmp_path / "t")
    assert facts(outside) == before


@pytest.mark.parametrize("turn", [Path.symlink_to, lambda path, outside: outside.rename(path)])
def test_a_hard_link_leads_to_no_file_that_was_put_in_the_firsts_place(
    tmp_path: Path, outside: Path, monkeypatch: pytest.MonkeyPatch, turn: Callable[[Path, Path], object]
) -> None:
    def attack() -> None:
        (tmp_path / "t/a").rename(tmp_path / "away")
        turn(tmp_path / "t/a", outside)

    shared = file()
    tree = Tree(folder({b"a": folder({b"precious": shared}), b"b": folder({b"again": shared})}), ())
    after(monkeypatch, "open", b"precious", attack)
    with pytest.raises(OSError, match="b/again"):
        write(tree, tmp_path / "t")
