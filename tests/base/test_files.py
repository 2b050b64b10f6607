"""Files appear whole or not at all."""

from __future__ import annotations

import fcntl
import os
import stat
from pathlib import Path

import pytest

from stages.base import files


def test_a_published_file_has_its_bytes_and_mode_and_nothing_else_is_left(tmp_path: Path) -> None:
    files.publish(tmp_path / "a", b"one", 0o600)
    files.publish(tmp_path / "a", b"two", 0o644)
    assert (tmp_path / "a").read_bytes() == b"two"
    assert (tmp_path / "a").stat().st_mode & 0o7777 == 0o644
    assert [path.name for path in tmp_path.iterdir()] == ["a"]


def test_a_writer_that_fails_leaves_the_old_file_and_no_other(tmp_path: Path) -> None:
    files.publish(tmp_path / "a", b"old")
    with pytest.raises(ZeroDivisionError), files.writing(tmp_path / "a") as file:
        file.write(b"half of the n")
        raise ZeroDivisionError
    assert (tmp_path / "a").read_bytes() == b"old"
    assert [path.name for path in tmp_path.iterdir()] == ["a"]


def test_a_writer_that_a_sweep_overtakes_before_its_lock_begins_anew(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    lock, swept = fcntl.flock, []

    def locking(descriptor: int, operation: int) -> None:
        if operation == fcntl.LOCK_EX and not swept:
            (found,) = files.abandoned(tmp_path)
            swept.append(files.remove_abandoned(found))
        lock(descriptor, operation)

    monkeypatch.setattr(fcntl, "flock", locking)
    files.publish(tmp_path / "a", b"whole")
    assert swept == [True]
    assert (tmp_path / "a").read_bytes() == b"whole"
    assert [path.name for path in tmp_path.iterdir()] == ["a"]


def test_what_seemed_abandoned_is_left_to_a_writer_that_has_it_by_then(tmp_path: Path) -> None:
    with files.writing(tmp_path / "a") as file:
        (temporary,) = tmp_path.iterdir()
        assert files.abandoned(tmp_path) == [] and not files.remove_abandoned(temporary)
        file.write(b"whole")
    assert (tmp_path / "a").read_bytes() == b"whole"
    dead = tmp_path / ".a.01234567"
    dead.touch()
    assert files.abandoned(tmp_path) == [dead]
    assert files.remove_abandoned(dead) and not files.remove_abandoned(dead)


def test_a_directory_is_made_with_its_mode_and_what_is_above_is_nobody_else_s_to_write(tmp_path: Path) -> None:
    before = os.umask(0)
    try:
        files.make_directory(tmp_path / "a" / "b" / "c", 0o700)
    finally:
        os.umask(before)
    modes = [stat.S_IMODE((tmp_path / path).stat().st_mode) for path in ("a", "a/b", "a/b/c")]
    assert modes == [0o755, 0o755, 0o700]
    files.make_directory(tmp_path / "a", 0o700)
    assert stat.S_IMODE((tmp_path / "a").stat().st_mode) == 0o755
    (tmp_path / "file").touch()
    with pytest.raises(FileExistsError):
        files.make_directory(tmp_path / "file")
    with pytest.raises(NotADirectoryError):
        files.make_directory(tmp_path / "file" / "a")


def test_discarding_takes_directories_files_and_nothing(tmp_path: Path) -> None:
    (tmp_path / "tree" / "below").mkdir(parents=True)
    (tmp_path / "file").write_text("x")
    for name in ("tree", "file", "missing"):
        files.discard(tmp_path / name, tmp_path / "garbage")
    assert list((tmp_path / "garbage").iterdir()) == []
    assert [path.name for path in tmp_path.iterdir()] == ["garbage"]


def test_what_is_put_aside_is_still_there_for_who_has_it(tmp_path: Path) -> None:
    (tmp_path / "tree").mkdir()
    (tmp_path / "tree" / "file").write_text("x")
    aside = files.put_aside(tmp_path / "tree", tmp_path / "garbage")
    assert aside is not None and (aside / "file").read_text() == "x"
    assert aside.parent == tmp_path / "garbage" and aside.name.rpartition(".")[0] == "tree"
    assert not (tmp_path / "tree").exists()
    assert files.put_aside(tmp_path / "tree", tmp_path / "garbage") is None


def test_deleting_a_link_spares_what_it_leads_to(tmp_path: Path) -> None:
    (tmp_path / "kept").mkdir()
    (tmp_path / "kept" / "file").write_text("x")
    (tmp_path / "link").symlink_to("kept")
    files.delete(tmp_path / "link")
    assert (tmp_path / "kept" / "file").exists()


def test_reading_what_is_not_there_is_none(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("x")
    assert files.read_or_none(tmp_path / "missing") is None
    assert files.read_or_none(tmp_path / "file" / "below") is None


def test_a_fifo_in_place_of_a_file_is_not_waited_for(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "fifo")
    for path in (tmp_path / "fifo", tmp_path):
        with pytest.raises(OSError, match="not a regular file"):
            files.read_or_none(path)
