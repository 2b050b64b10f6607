"""How much deleting something gives back."""

from __future__ import annotations

import os
from pathlib import Path

from stages.base import files
from stages.base.paths import DataDir
from stages.commands import sweep
from stages.commands.sweep import Sweep


def test_sizes_are_what_lies_on_the_disk(tmp_path: Path) -> None:
    (tmp_path / "folder" / "below").mkdir(parents=True)
    (tmp_path / "folder" / "full").write_bytes(b"x" * 100_000)
    with open(tmp_path / "folder" / "below" / "sparse", "wb") as file:
        file.truncate(1 << 30)
    (tmp_path / "folder" / "link").symlink_to("/")
    assert 100_000 <= sweep.size_of(tmp_path / "folder") < 1 << 20
    assert sweep.size_of(tmp_path / "missing") == 0


def test_what_is_listed_is_sorted_and_may_be_nothing(tmp_path: Path) -> None:
    for name in "ba":
        (tmp_path / name).touch()
    assert [path.name for path in files.listed(tmp_path)] == ["a", "b"]
    assert files.listed(tmp_path / "missing") == files.listed(tmp_path / "a") == []


def test_half_written_files_of_the_dead_go_and_those_of_the_living_stay(tmp_path: Path) -> None:
    from stages.base import files

    data = DataDir(tmp_path)
    data.images.names.mkdir(parents=True)
    (data.images.names / ".entry.01234567").touch()
    (data.images.names / ".hidden").touch()
    with files.writing(data.images.names / "new") as file:
        file.write(b"x")
        Sweep(data, dry=True).unfinished()
        Sweep(data, dry=False).unfinished()
    assert sorted(os.listdir(data.images.names)) == [".hidden", "new"]


def test_a_directory_deeper_than_a_path_can_say_keeps_nothing_from_being_counted(tmp_path: Path) -> None:
    """An app may leave one; it must not be what ends each collection."""
    (tmp_path / "file").write_bytes(b"x" * 65536)
    here = os.open(tmp_path, os.O_RDONLY)
    for _ in range(30):
        os.mkdir("d" * 250, dir_fd=here)
        below = os.open("d" * 250, os.O_RDONLY, dir_fd=here)
        os.close(here)
        here = below
    os.close(here)
    assert sweep.size_of(tmp_path) >= 65536
    files.delete(tmp_path / ("d" * 250))
