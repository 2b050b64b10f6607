"""Locks under changing and misleading names, and waiting for them."""

from __future__ import annotations

import os
import subprocess
import sys
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from stages.linux import locks


def test_a_link_to_a_directory_is_refused_rather_than_tried_for_ever(tmp_path: Path) -> None:
    (tmp_path / "real").mkdir()
    (tmp_path / "link").symlink_to("real")
    (tmp_path / "file").touch()
    for name in ("link", "file"):
        with pytest.raises(NotADirectoryError):
            locks.try_lock(tmp_path / name)
    with pytest.raises(FileNotFoundError):
        locks.try_lock(tmp_path / "missing")


def test_a_wait_ends_with_the_lock_or_with_its_time(tmp_path: Path) -> None:
    assert locks.wait(tmp_path) and locks.wait(tmp_path, 0) and locks.wait(tmp_path / "missing", 0)
    (tmp_path / "file").touch()
    assert locks.wait(tmp_path / "file")
    held = locks.try_lock(tmp_path)
    assert held is not None
    assert not locks.wait(tmp_path, 0)
    os.close(held)
    assert locks.wait(tmp_path, 0)


def test_a_wait_without_a_limit_ends_when_the_holder_dies(tmp_path: Path) -> None:
    code = "import fcntl, os, sys; fcntl.flock(os.open(sys.argv[1], os.O_RDONLY), 2); print(flush=True); input()"
    holder = subprocess.Popen(
        [sys.executable, "-c", code, str(tmp_path)], stdin=subprocess.PIPE, stdout=subprocess.PIPE
    )
    assert holder.stdout is not None and holder.stdout.readline()
    assert not locks.wait(tmp_path, 0)
    holder.communicate(b"\n")
    assert locks.wait(tmp_path)


def test_a_lock_file_that_is_taken_away_while_it_is_waited_for_is_waited_for_anew(tmp_path: Path) -> None:
    """As a collection does with a tree's: who waited held a file without a name, beside whoever came after it."""
    lock, waits = tmp_path / "lock", threading.Event()

    def wait() -> bool:
        waits.set()
        with locks.held(lock), locks.tried(lock) as another:
            return another

    with ThreadPoolExecutor() as others:
        with locks.held(lock):
            waiting = others.submit(wait)
            waits.wait()
            time.sleep(0.1)
            lock.unlink()
        assert waiting.result() is False
