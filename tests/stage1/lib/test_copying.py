"""Directories copied by descriptors."""

from __future__ import annotations

import os
import socket
import stat
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from stages.stage1.lib import copying


@contextmanager
def opened(path: Path) -> Iterator[int]:
    handle = os.open(path, os.O_RDONLY | os.O_DIRECTORY)
    try:
        yield handle
    finally:
        os.close(handle)


def copied(source: Path) -> Path:
    target = source.parent / "copy"
    target.mkdir()
    with opened(source) as theirs, opened(target) as ours:
        copying.Copier(theirs, ours).run()
    return target


@pytest.fixture
def source(tmp_path: Path) -> Path:
    made = tmp_path / "source"
    made.mkdir()
    return made


def test_attributes_links_and_pipes_are_kept(source: Path, tmp_path: Path) -> None:
    (source / "deep").mkdir(mode=0o711)
    (source / "deep/file").write_bytes(b"x" * 100_000)
    os.chmod(source / "deep/file", 0o4640)
    os.link(source / "deep/file", source / "again")
    os.setxattr(source / "again", "user.note", b"\0n")
    (source / "out").symlink_to(tmp_path)
    (source / "nowhere").symlink_to("/nowhere/at/all")
    os.mkfifo(source / "pipe", 0o606)
    with socket.socket(socket.AF_UNIX) as server, opened(source) as here:
        server.bind(f"/proc/self/fd/{here}/socket")
    os.utime(source / "deep", ns=(3, 5))
    os.utime(source, ns=(7, 9))
    os.chmod(source, 0o1750)
    target = copied(source)
    assert stat.S_IMODE(target.stat().st_mode) == 0o1750 and target.stat().st_mtime_ns == 9
    assert (target / "deep").stat().st_mtime_ns == 5
    assert (target / "deep/file").read_bytes() == b"x" * 100_000
    assert (target / "again").samefile(target / "deep/file") and (target / "again").stat().st_nlink == 2
    assert stat.S_IMODE((target / "again").stat().st_mode) == 0o4640
    assert os.getxattr(target / "again", "user.note") == b"\0n"
    assert os.readlink(target / "out") == str(tmp_path) and os.readlink(target / "nowhere") == "/nowhere/at/all"
    for name in ("pipe", "socket"):
        assert (target / name).lstat().st_mode == (source / name).lstat().st_mode


def test_holes_stay_holes(source: Path) -> None:
    with open(source / "sparse", "wb") as file:
        file.truncate(1 << 40)
        file.seek(1 << 30)
        file.write(b"middle")
    status = (copied(source) / "sparse").stat()
    assert status.st_size == 1 << 40 and status.st_blocks * 512 < 1 << 20
    with open(source.parent / "copy/sparse", "rb") as file:
        file.seek(1 << 30)
        assert file.read(6) == b"middle"


def test_an_error_names_the_path(source: Path) -> None:
    place = source
    for _ in range(copying.MAX_DEPTH + 2):
        place = place / "d"
        place.mkdir()
    with pytest.raises(OSError, match="directories in each other"):
        copied(source)
