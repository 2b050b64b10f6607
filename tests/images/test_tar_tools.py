"""Archives made by GNU tar, bsdtar and Python's tarfile, compared with the tree they were made from."""

from __future__ import annotations

import os
import shutil
import stat
import subprocess
import tarfile
from pathlib import Path

import pytest

from stages.images import acl
from stages.images.entry import Entry, Kind
from stages.images.tar import read_entries
from tests.images.tar_maker import attributes, content, with_tarfile

BSDTAR = shutil.which("bsdtar")
SPARSE_SIZE = 3 << 20
ALL_XATTRS = ["--xattrs", "--xattrs-include=*", "--acls", "--numeric-owner"]
ACL_TEXT = b"user::rw-,user:1234:r--,group::r--,mask::r--,other::r--"


@pytest.fixture
def tree(tmp_path: Path) -> Path:
    """Files of many sizes and times, links, deep and odd names; short enough for v7."""
    root = tmp_path / "tree"
    (root / "d" / "e").mkdir(parents=True)
    for size in (0, 1, 511, 512, 513, 5000):
        (root / "d" / f"s{size}").write_bytes(os.urandom(size))
    (root / "run").write_bytes(b"#!/bin/sh\n")
    (root / "run").chmod(0o4755)
    (root / "d").chmod(0o2750)
    (root / "e").mkdir(mode=0o700)
    (root / "e").chmod(0o1777)
    (root / "link").symlink_to("../out/of here")
    os.link(root / "run", root / "d" / "run-too")
    os.mkfifo(root / "fifo", 0o600)
    for number, path in enumerate(sorted(root.rglob("*"), reverse=True)):
        os.utime(path, ns=(0, 1_600_000_000 * 10**9 + number * 1_234_567_891), follow_symlinks=False)
    return root


def add_what_v7_cannot_say(root: Path) -> None:
    deep = root.joinpath(*["long" * 20] * 3)
    deep.mkdir(parents=True)
    (deep / ("n" * 200)).write_bytes(b"deep")
    (root / "far").symlink_to("t" * 300)
    Path(os.fsdecode(os.fsencode(root) + b"/\xff\xfe\n")).write_bytes(b"odd")
    (root / "ünï").write_bytes(b"utf")


def add_attributes(root: Path) -> None:
    os.setxattr(root / "run", "user.bytes", bytes(range(256)))
    os.setxattr(root / "d", "user.empty", b"")
    os.setxattr(root / "d" / "s5000", "user.a.b", b"x=y\n")
    os.setxattr(root / "d" / "s513", acl.ACCESS, acl.from_text(ACL_TEXT, acl.ACCESS) or b"")
    os.setxattr(root / "e", acl.DEFAULT, acl.from_text(ACL_TEXT, acl.DEFAULT) or b"")


def add_holes(root: Path) -> dict[bytes, bytes]:
    """Sparse files, and their content."""
    for name, places in {"ends": (0, SPARSE_SIZE - 1), "many": range(0, SPARSE_SIZE, 1 << 17), "none": ()}.items():
        with (root / name).open("wb") as file:
            file.truncate(SPARSE_SIZE)
            for place in places:
                file.seek(place)
                file.write(b"data")
    return {name: (root / os.fsdecode(name)).read_bytes() for name in (b"ends", b"many", b"none")}


def archived(tmp_path: Path, root: Path, *command: str) -> tuple[bytes, dict[bytes, Entry]]:
    path = tmp_path / "archive.tar"
    subprocess.run([*command, "-cf", path, "-C", root, "."], check=True)
    return path.read_bytes(), {entry.name: entry for entry in read_entries(path)}


def check(root: Path, archive: bytes, found: dict[bytes, Entry], *, exact_times: bool, xattrs: bool = False) -> None:
    """Every file on disk is an entry and says what lstat says."""
    top = os.fsencode(root)
    names = {os.path.relpath(os.path.join(at, name), top) for at, dirs, files in os.walk(top) for name in dirs + files}
    assert set(found) == names | {b""}
    for name, entry in found.items():
        path = os.path.join(top, name)
        status = os.lstat(path)
        assert entry.mode == stat.S_IMODE(status.st_mode), name
        assert (entry.uid, entry.gid) == (status.st_uid, status.st_gid), name
        assert entry.mtime_ns == status.st_mtime_ns if exact_times else entry.mtime_ns // 10**9 == status.st_mtime // 1
        if entry.kind is Kind.FILE:
            assert content(archive, entry) == Path(os.fsdecode(path)).read_bytes(), name
        elif entry.kind is Kind.SYMLINK:
            assert entry.target == os.readlink(path), name
        elif entry.kind is Kind.HARDLINK:
            assert os.path.samefile(path, os.path.join(top, entry.target)), name
        else:
            assert stat.S_ISDIR(status.st_mode) if entry.kind is Kind.DIRECTORY else stat.S_ISFIFO(status.st_mode), name
        if xattrs and entry.kind is not Kind.HARDLINK:
            assert entry.xattrs == attributes(path), name


@pytest.mark.parametrize("form", ["v7", "ustar", "oldgnu", "gnu", "posix"])
def test_gnu_tars_formats(form: str, tree: Path, tmp_path: Path) -> None:
    if form == "v7":
        (tree / "fifo").unlink()
    if form in ("oldgnu", "gnu", "posix"):
        add_what_v7_cannot_say(tree)
    archive, found = archived(tmp_path, tree, "tar", f"--format={form}")
    check(tree, archive, found, exact_times=form == "posix")
    assert Kind.HARDLINK in {entry.kind for entry in found.values()}


def test_gnu_tar_with_attributes_and_acls(tree: Path, tmp_path: Path) -> None:
    add_what_v7_cannot_say(tree)
    add_attributes(tree)
    archive, found = archived(tmp_path, tree, "tar", "--format=posix", *ALL_XATTRS)
    check(tree, archive, found, exact_times=True, xattrs=True)
    assert dict(found[b"d/s513"].xattrs).keys() == {acl.ACCESS}
    assert dict(found[b"e"].xattrs).keys() == {acl.DEFAULT}


SPARSE = [["--format=oldgnu"], ["--format=gnu"]]
SPARSE += [["--format=posix", f"--sparse-version={version}"] for version in ("0.0", "0.1", "1.0")]


@pytest.mark.parametrize("options", SPARSE, ids=lambda options: options[-1])
def test_gnu_tars_sparse_files(options: list[str], tree: Path, tmp_path: Path) -> None:
    contents = add_holes(tree)
    archive, found = archived(tmp_path, tree, "tar", "--sparse", *options)
    check(tree, archive, found, exact_times="posix" in options[0])
    for name in contents:
        assert sum(extent.length for extent in found[name].extents) < SPARSE_SIZE / 2
    assert len(found[b"many"].extents) == 24


@pytest.mark.skipif(BSDTAR is None, reason="needs bsdtar: apt-get install libarchive-tools")
@pytest.mark.parametrize("form", ["v7", "ustar", "gnutar", "pax"])
def test_bsdtars_formats(form: str, tree: Path, tmp_path: Path) -> None:
    if form == "v7":
        (tree / "fifo").unlink()
        shutil.rmtree(tree / "e")
    if form in ("gnutar", "pax"):
        add_what_v7_cannot_say(tree)
    if form == "pax":
        add_attributes(tree)
        add_holes(tree)
    archive, found = archived(tmp_path, tree, "bsdtar", f"--format={form}", "--acls", "--xattrs", "--numeric-owner")
    check(tree, archive, found, exact_times=form == "pax", xattrs=form == "pax")


@pytest.mark.parametrize("form", [tarfile.USTAR_FORMAT, tarfile.GNU_FORMAT, tarfile.PAX_FORMAT])
def test_pythons_formats(form: int, tmp_path: Path) -> None:
    kinds = {
        Kind.FILE: tarfile.REGTYPE,
        Kind.DIRECTORY: tarfile.DIRTYPE,
        Kind.SYMLINK: tarfile.SYMTYPE,
        Kind.HARDLINK: tarfile.LNKTYPE,
        Kind.CHAR: tarfile.CHRTYPE,
        Kind.BLOCK: tarfile.BLKTYPE,
        Kind.FIFO: tarfile.FIFOTYPE,
    }
    members = []
    for number, flag in enumerate(kinds.values()):
        info = tarfile.TarInfo(f"{'p' * 90}/{'n' * 60}{number}")
        info.type, info.mode, info.uid, info.gid, info.mtime = flag, 0o640 + number, 1000 + number, 0o7777777, number
        info.linkname = "x" * 90 if flag in (tarfile.SYMTYPE, tarfile.LNKTYPE) else ""
        info.devmajor, info.devminor = (8, 300) if flag in (tarfile.CHRTYPE, tarfile.BLKTYPE) else (0, 0)
        info.size = 700 if flag == tarfile.REGTYPE else 0
        members.append((info, bytes(info.size)))
    path = tmp_path / "a.tar"
    path.write_bytes(with_tarfile(members, form))
    found = list(read_entries(path))
    with tarfile.open(path) as archive:
        theirs = archive.getmembers()
    for entry, info in zip(found, theirs, strict=True):
        assert entry.name == info.name.encode()
        assert kinds[entry.kind] == info.type
        mode = 0o777 if entry.kind is Kind.SYMLINK else info.mode
        assert (entry.mode, entry.uid, entry.gid) == (mode, info.uid, info.gid)
        assert (entry.mtime_ns, entry.size) == (int(info.mtime) * 10**9, info.size)
        assert (entry.target, entry.major, entry.minor) == (info.linkname.encode(), info.devmajor, info.devminor)
        assert [extent.offset for extent in entry.extents] == ([info.offset_data] if info.size else [])
