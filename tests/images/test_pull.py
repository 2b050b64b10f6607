"""A sweep takes what dead pulls left, and nothing of one that begins at that moment."""

from __future__ import annotations

import os
import threading
from pathlib import Path
from typing import Any

import pytest

from stages.base import files
from stages.base.paths import DataDir
from stages.images import pull
from stages.images.store import ImageStore
from stages.linux import locks

PATIENCE = 500.0  # less than a test may take, so that a thread that waits for nothing ends before


@pytest.fixture
def store(tmp_path: Path) -> ImageStore:
    made = ImageStore(DataDir(tmp_path))
    made.data.images.incoming.mkdir(parents=True)
    return made


def test_what_dead_pulls_left_goes_and_nothing_else(store: ImageStore) -> None:
    incoming = store.data.images.incoming
    for name in ("pull-00000000", "other"):
        (incoming / name / "blobs").mkdir(parents=True)
    with pull._folder(store) as (path, _):
        pull.sweep(store)
        assert sorted(incoming.iterdir()) == sorted([path, incoming / "other"])
    pull.sweep(store)
    assert list(incoming.iterdir()) == [incoming / "other"]
    assert not list(store.data.garbage.iterdir())


def test_a_sweep_that_has_seen_a_folder_before_its_pull_locked_it(
    store: ImageStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The sweep stops before it deletes, until the pull has begun for good."""
    has_seen, has_begun = threading.Event(), threading.Event()
    discard, try_lock = files.discard, locks.try_lock
    sweeping = threading.Thread(target=pull.sweep, args=(store,))

    def discarding(path: Path, garbage: Path) -> None:
        if threading.current_thread() is sweeping:
            has_seen.set()
            assert has_begun.wait(PATIENCE)
        discard(path, garbage)

    def locking(path: Path, **options: Any) -> int | None:
        if threading.current_thread() is not sweeping and not sweeping.ident:
            sweeping.start()
            assert has_seen.wait(PATIENCE)
        return try_lock(path, **options)

    monkeypatch.setattr(files, "discard", discarding)
    monkeypatch.setattr(locks, "try_lock", locking)
    with pull._folder(store) as (path, lock):
        has_begun.set()
        sweeping.join(PATIENCE)
        assert path.is_dir() and os.fstat(lock).st_ino == path.stat().st_ino
    assert not list(store.data.images.incoming.iterdir())


def test_sweeps_and_pulls_at_once(store: ImageStore) -> None:
    over, troubles = threading.Event(), list[BaseException]()

    def sweeping() -> None:
        try:
            while not over.is_set():
                pull.sweep(store)
        except BaseException as error:
            troubles.append(error)

    sweepers = [threading.Thread(target=sweeping) for _ in range(2)]
    for one in sweepers:
        one.start()
    try:
        for _ in range(100):
            with pull._folder(store) as (path, _):
                (path / "blobs").mkdir()
    finally:
        over.set()
        for one in sweepers:
            one.join(PATIENCE)
    pull.sweep(store)
    assert not troubles and not list(store.data.images.incoming.iterdir())
