"""Locks on directories, between processes."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from stages.linux import locks


def test_a_held_directory_cannot_be_locked_again_and_a_released_one_can(tmp_path: Path) -> None:
    first = locks.try_lock(tmp_path)
    assert first is not None
    assert locks.is_locked(tmp_path)
    assert locks.try_lock(tmp_path) is None
    os.close(first)
    assert not locks.is_locked(tmp_path)
    second = locks.try_lock(tmp_path)
    assert second is not None
    os.close(second)


def test_the_lock_lives_as_long_as_any_heir_has_it(tmp_path: Path) -> None:
    first = locks.try_lock(tmp_path)
    assert first is not None
    heir = os.dup(first)
    os.close(first)
    assert locks.is_locked(tmp_path)
    os.close(heir)
    assert not locks.is_locked(tmp_path)


def test_a_missing_directory_is_not_locked(tmp_path: Path) -> None:
    assert not locks.is_locked(tmp_path / "missing")
    with pytest.raises(FileNotFoundError):
        locks.try_lock(tmp_path / "missing")


def test_sharers_keep_the_exclusive_one_out(tmp_path: Path) -> None:
    shared = locks.shared(tmp_path / "lock")
    with locks.tried(tmp_path / "lock") as got:
        assert not got
    os.close(shared)
    with locks.tried(tmp_path / "lock") as got:
        assert got
        with locks.tried(tmp_path / "lock") as again:
            assert not again


def test_lock_files_that_nobody_needs_or_holds_are_swept(tmp_path: Path) -> None:
    for name in ("needed", "held", "neither"):
        (tmp_path / name).touch()
    with locks.held(tmp_path / "held"):
        locks.sweep(tmp_path, {"needed"})
    assert sorted(path.name for path in tmp_path.iterdir()) == ["held", "needed"]
    locks.sweep(tmp_path / "missing", ())
