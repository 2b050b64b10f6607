"""How a program that fetches is started and ended."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from stages.images import skopeo
from stages.images.oci import Platform
from tests.images.oci_maker import Image, layer, write_layout

# An interrupt that comes just when Python does what is to be done after a fork, which passes over exceptions.
INTERRUPTED = """
import os, signal
from stages.images import skopeo
os.register_at_fork(after_in_parent=lambda: os.kill(os.getpid(), signal.SIGINT))
try:
    with skopeo.running(["sleep", "1000"]) as process:
        process.wait()
except KeyboardInterrupt:
    print("interrupted")
"""


def test_an_interrupt_at_the_start_is_not_lost() -> None:
    done = subprocess.run([sys.executable, "-c", INTERRUPTED], capture_output=True, text=True, check=True)
    assert (done.stdout, done.stderr) == ("interrupted\n", "")


def test_the_program_ends_with_the_block() -> None:
    with pytest.raises(ZeroDivisionError), skopeo.running(["sleep", "1000"]) as process:
        raise ZeroDivisionError
    assert process.returncode == -9


def test_its_signals_are_as_any_program_has_them() -> None:
    with skopeo.running(["grep", "^Sig[BI]", "/proc/self/status"], stdout=subprocess.PIPE) as process:
        told = process.communicate()[0].decode()
    blocked, ignored = (int(line.split()[1], 16) for line in sorted(told.splitlines()))
    assert not blocked and not ignored & (1 << 1 | 1 << 14)


def test_a_program_that_is_not_there_leaves_no_signal_held() -> None:
    with pytest.raises(FileNotFoundError), skopeo.running(["/nowhere"]):
        pass
    with skopeo.running(["sh", "-c", "kill -INT $$; sleep 1000"]) as process:
        assert process.wait() == -2


@pytest.mark.skipif(shutil.which("skopeo") is None, reason="skopeo is not installed")
def test_what_is_fetched_stays_in_the_folder_whatever_that_is_called(tmp_path: Path) -> None:
    write_layout(tmp_path / "source", {"x": Image([layer([])])})
    folder = tmp_path / "data:base" / "pull"
    folder.mkdir(parents=True)
    lock = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        skopeo.copy(f"oci:{tmp_path}/source:x", folder, Platform("linux", "amd64"), lock, lambda pid: None)
    finally:
        os.close(lock)
    assert sorted(os.listdir(tmp_path)) == ["data:base", "source"]
    assert sorted(os.listdir(folder)) == ["blobs", "errors", "layout"]
