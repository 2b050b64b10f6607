"""Reading a small file in a directory that others may have written to."""

from __future__ import annotations

import os
from pathlib import Path

from stages.base import files


def test_a_small_file_is_read(tmp_path: Path) -> None:
    (tmp_path / "file").write_bytes(b"text")
    assert files.read_small(tmp_path / "file") == b"text"
    assert files.read_small(tmp_path / "file", 4) == b"text"


def test_what_is_no_small_file_is_not_waited_for_nor_followed(tmp_path: Path) -> None:
    (tmp_path / "file").write_bytes(b"text")
    os.mkfifo(tmp_path / "fifo")
    (tmp_path / "directory").mkdir()
    (tmp_path / "link").symlink_to("file")
    before = len(os.listdir("/proc/self/fd"))
    for name in ("missing", "fifo", "directory", "link", "file/below"):
        assert files.read_small(tmp_path / name) is None, name
    assert files.read_small(tmp_path / "file", 3) is None
    assert len(os.listdir("/proc/self/fd")) == before
