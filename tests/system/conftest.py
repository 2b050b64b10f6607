"""What several of the system tests need: a registry, somebody who signs, a Debian."""

from __future__ import annotations

import fcntl
import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.images.signing import Signer
from tests.system import workbench
from tests.system.registry import Registry


@pytest.fixture
def registry(tmp_path: Path) -> Iterator[Registry]:
    made = Registry(tmp_path / "registry")
    yield made
    made.stop()


@pytest.fixture
def signer(tmp_path: Path) -> Iterator[Signer]:
    made = Signer(tmp_path / "gpg")
    yield made
    made.close()


@pytest.fixture(scope="session")
def minbase(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A small Debian as one tar archive, fetched once in a run; a developer may keep one in /dev/shm."""
    kept = Path("/dev/shm/minbase.tar")
    if kept.is_file():
        return kept
    folder = tmp_path_factory.getbasetemp()
    if "PYTEST_XDIST_WORKER" in os.environ:
        folder = folder.parent  # that of all workers
    archive = folder / "minbase.tar"
    with open(folder / "minbase.lock", "ab") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not archive.exists():
            workbench.debian(folder / "minbase.new.tar").rename(archive)
    return archive
