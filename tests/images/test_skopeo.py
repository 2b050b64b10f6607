"""How a program that fetches is started and ended."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from collections.abc import Callable
from itertools import combinations
from pathlib import Path
from typing import Any

import pytest

from stages.base.errors import ImageError
from stages.images import oci, platform, skopeo
from stages.images.oci import Platform
from tests.images.oci_maker import Image, layer, write_layout, write_platforms

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


ARMS = ["linux/arm", "linux/arm/v8", "linux/arm/v7", "linux/arm/v6", "linux/arm/v5"]
OTHERS = ["linux/arm64", "linux/arm64/v8", "linux/arm64/v9", "linux/amd64", "linux/amd64/v2", "linux/s390x"]


@pytest.mark.skipif(shutil.which("skopeo") is None, reason="skopeo is not installed")
@pytest.mark.parametrize("listed", [*combinations(ARMS, 2), *combinations(OTHERS, 2)], ids=str)
def test_of_an_index_that_image_is_picked_which_skopeo_will_fetch(tmp_path: Path, listed: tuple[str, ...]) -> None:
    names = ("os", "architecture", "variant")
    images = {one: Image([], platform=dict(zip(names, one.split("/"), strict=False))) for one in listed}
    entries = oci.index(write_platforms(tmp_path / "it", images), "it")
    for wanted in map(platform.parse, ARMS if listed[0] in ARMS else OTHERS):
        picked = unless_refused(lambda w=wanted: platform.pick(entries, w, "it").platform)
        config = unless_refused(lambda w=wanted: skopeo.raw_config(f"oci:{tmp_path}/it:x", w, 60))
        assert picked == (config and oci.config(config, 0, "it").platform), wanted


def unless_refused(act: Callable[[], Any]) -> Any:
    try:
        return act()
    except ImageError:
        return None
