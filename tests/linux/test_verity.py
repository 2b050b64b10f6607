"""fs-verity: the exact calls, what this machine says to them, and that a file without it is vouched for as before."""

from __future__ import annotations

import errno
import fcntl
import hashlib
import json
import os
import struct
from collections.abc import Callable
from pathlib import Path

import pytest

from stages.base import stamp
from stages.base.paths import DataDir
from stages.images.blobs import Blobs
from stages.images.entry import Kind
from stages.linux import verity
from stages.trees import forms
from stages.trees.model import Node, Tree

DIGEST = bytes(range(32))
Call = tuple[int, bytes]


@pytest.fixture
def file(tmp_path: Path) -> Path:
    path = tmp_path / "file"
    path.write_bytes(b"bytes" * 3000)
    return path


@pytest.fixture
def freezing(monkeypatch: pytest.MonkeyPatch) -> list[Call]:
    """A kernel that freezes files: as this one may not, what it would be told is noted, and answered as it would."""
    told: list[Call] = []

    def ioctl(descriptor: int, number: int, argument: bytes) -> bytes:
        assert fcntl.fcntl(descriptor, fcntl.F_GETFL) & os.O_ACCMODE == os.O_RDONLY
        told.append((number, argument))
        return argument if number == verity.ENABLE else struct.pack("=HH64s", 1, 32, DIGEST)

    monkeypatch.setattr(fcntl, "ioctl", ioctl)
    return told


def refusing(number: int) -> Callable[..., bytes]:
    def ioctl(*_: object) -> bytes:
        raise OSError(number, os.strerror(number))

    return ioctl


def numbered(direction: int, size: int, number: int) -> int:
    """The generic _IOC(): direction, size, type and number."""
    return direction << 30 | size << 16 | ord("f") << 8 | number


def test_the_numbers_and_arguments_are_those_of_the_kernel(file: Path, freezing: list[Call]) -> None:
    assert verity.enable(file) == ""
    assert verity.measure(file) == f"sha256:{DIGEST.hex()}"
    (enabled, argument), (measured, room) = freezing
    assert (enabled, measured) == (numbered(1, 128, 133), numbered(3, 4, 134))
    assert argument == struct.pack("<4I", 1, 1, 4096, 0) + bytes(128 - 16)
    assert room == struct.pack("<HH", 0, 64) + bytes(64)


def test_this_machine_freezes_the_file_or_says_why_not(file: Path) -> None:
    before = stamp.at(file)
    refused = verity.enable(file)
    assert stamp.at(file) == before
    digest = verity.measure(file)
    assert bool(digest) is not bool(refused)
    assert verity.stamped(file, measured=True) == {**(before or {}), **({"verity": digest} if digest else {})}
    if digest:
        with pytest.raises(PermissionError):
            file.open("r+b")
    else:
        assert refused in {os.strerror(one) for one in (errno.EOPNOTSUPP, errno.ENOTTY, errno.EINVAL)}


@pytest.mark.parametrize("number", [errno.EOPNOTSUPP, errno.ENOTTY, errno.EINVAL, errno.ETXTBSY, errno.ENOSPC])
def test_what_cannot_be_frozen_stays_as_it_is(file: Path, monkeypatch: pytest.MonkeyPatch, number: int) -> None:
    monkeypatch.setattr(fcntl, "ioctl", refusing(number))
    assert verity.enable(file) == os.strerror(number)


def test_a_frozen_file_is_frozen_and_a_broken_disk_is_told(file: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(fcntl, "ioctl", refusing(errno.EEXIST))
    assert verity.enable(file) == ""
    monkeypatch.setattr(fcntl, "ioctl", refusing(errno.EIO))
    for call in (verity.enable, verity.measure):
        with pytest.raises(OSError, match="file") as caught:
            call(file)
        assert caught.value.errno == errno.EIO


def stored(data: DataDir, content: bytes) -> tuple[Blobs, str]:
    blobs, blob_id = Blobs(data), "sha256-" + hashlib.sha256(content).hexdigest()
    with blobs.spool("it") as spool:
        spool.write(content)
        spool.flush()
        blobs.keep(spool, blob_id)
        assert spool.fileno() >= 0
        assert fcntl.fcntl(spool.fileno(), fcntl.F_GETFL) & os.O_ACCMODE == os.O_RDONLY
        assert fcntl.fcntl(spool.fileno(), fcntl.F_GETFD) & fcntl.FD_CLOEXEC
    return blobs, blob_id


def test_a_stored_blob_is_frozen_when_nobody_can_write_to_it_any_more(tmp_path: Path, freezing: list[Call]) -> None:
    data = DataDir(tmp_path)
    blobs, blob_id = stored(data, b"content")
    assert [number for number, _ in freezing] == [verity.ENABLE, verity.MEASURE]
    assert json.loads(data.images.seal(blob_id).read_bytes())["verity"] == f"sha256:{DIGEST.hex()}"
    assert blobs.has(blob_id)


def test_a_blob_that_the_kernel_holds_to_something_else_is_not_whole(
    tmp_path: Path, freezing: list[Call], monkeypatch: pytest.MonkeyPatch
) -> None:
    blobs, blob_id = stored(DataDir(tmp_path), b"content")
    assert blobs.has(blob_id) and freezing
    monkeypatch.setattr(fcntl, "ioctl", refusing(errno.EOPNOTSUPP))
    assert not blobs.has(blob_id)
    assert blobs.heal(blob_id) and blobs.has(blob_id)


def test_a_blob_without_it_is_measured_by_nobody(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(fcntl, "ioctl", refusing(errno.EOPNOTSUPP))
    data = DataDir(tmp_path)
    blobs, blob_id = stored(data, b"content")
    assert "verity" not in json.loads(data.images.seal(blob_id).read_bytes())
    monkeypatch.setattr(fcntl, "ioctl", refusing(errno.EIO))
    assert blobs.has(blob_id)


def test_bytes_that_the_kernel_refuses_to_read_are_not_whole(tmp_path: Path) -> None:
    blobs, blob_id = stored(DataDir(tmp_path), b"content")

    def damaged(_: int) -> bool:
        raise OSError(errno.EIO, os.strerror(errno.EIO))

    assert blobs.rehash(blob_id) and not blobs.rehash(blob_id, damaged)


def test_an_index_is_frozen_and_recorded_with_what_it_is_held_to(
    tmp_path: Path, freezing: list[Call], monkeypatch: pytest.MonkeyPatch
) -> None:
    paths = DataDir(tmp_path).tree("t")
    paths.root.mkdir(parents=True)
    record = forms.write_index(Tree(Node(Kind.DIRECTORY, children={b"d": Node(Kind.DIRECTORY)}), ()), paths)
    assert [number for number, _ in freezing] == [verity.ENABLE, verity.MEASURE]
    assert record["index"]["verity"] == f"sha256:{DIGEST.hex()}"
    assert forms.quick(record, paths).fresh
    monkeypatch.setattr(fcntl, "ioctl", refusing(errno.ENODATA))
    assert not forms.quick(record, paths).fresh
