"""Deleting directories: links are not followed, what is missing is no trouble, and no depth is too deep."""

from __future__ import annotations

import os
from pathlib import Path

from stages.base import entries


def test_a_directory_goes_with_all_that_is_in_it_and_nothing_that_it_leads_to(tmp_path: Path) -> None:
    kept = tmp_path / "kept"
    kept.mkdir()
    (kept / "file").touch()
    doomed = tmp_path / "doomed"
    (doomed / "below").mkdir(parents=True)
    (doomed / "below" / "link").symlink_to(kept)
    (doomed / "file").touch()
    os.mkfifo(doomed / "fifo")
    entries.tree(str(doomed))
    assert os.listdir(tmp_path) == ["kept"] and (kept / "file").exists()


def test_a_link_goes_itself_and_what_is_missing_is_no_trouble(tmp_path: Path) -> None:
    (tmp_path / "link").symlink_to(tmp_path)
    entries.tree(str(tmp_path / "link"))
    entries.tree(str(tmp_path / "link"))
    assert os.listdir(tmp_path) == []


def test_thousands_of_levels_are_no_trouble(tmp_path: Path) -> None:
    place = os.open(tmp_path, os.O_RDONLY)
    for _ in range(3000):
        os.mkdir("d", dir_fd=place)
        below = os.open("d", os.O_RDONLY | os.O_DIRECTORY, dir_fd=place)
        os.close(place)
        place = below
    os.close(place)
    entries.tree(str(tmp_path / "d"))
    assert os.listdir(tmp_path) == []
