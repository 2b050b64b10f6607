"""What is checked before the kernel is asked; tests/system/test_erofs.py asks it."""

from __future__ import annotations

import errno
import os
import resource
import struct
from pathlib import Path

import pytest

from stages.linux.erofs import Way, mount_index, probe


@pytest.mark.parametrize("way", Way)
@pytest.mark.parametrize(("counted", "given"), [(1, 0), (0, 1), (2, 1), (300, 299)])
def test_an_image_is_not_mounted_with_another_number_of_devices(
    tmp_path: Path, way: Way, counted: int, given: int
) -> None:
    index = tmp_path / "index"
    index.write_bytes(bytes(1024 + 86) + struct.pack("<H", counted) + bytes(1024))
    with pytest.raises(OSError) as caught:
        mount_index(index, [tmp_path / "blob"] * given, way)
    assert (caught.value.errno, caught.value.filename) == (errno.EINVAL, str(index))


def test_a_missing_or_empty_image_is_named(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError) as missing:
        mount_index(tmp_path / "index", [], Way.FILE)
    assert missing.value.filename == str(tmp_path / "index")
    (tmp_path / "index").touch()
    with pytest.raises(OSError) as empty:
        mount_index(tmp_path / "index", [tmp_path], Way.FILE)
    assert empty.value.filename == str(tmp_path / "index")


def test_what_the_host_lacks_for_now_is_no_refusal(tmp_path: Path) -> None:
    (tmp_path / "index").write_bytes(bytes(4096))
    assert probe(tmp_path / "index", [], "f", b"").way is None
    free = os.open(os.devnull, os.O_RDONLY)
    os.close(free)
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (free, hard))
    try:
        with pytest.raises(OSError) as caught:
            probe(tmp_path / "index", [], "f", b"")
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
    assert caught.value.errno == errno.EMFILE
