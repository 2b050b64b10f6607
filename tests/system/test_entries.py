"""What is mounted below a directory is found whatever it is called, and what root must not delete goes all the same."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from stages.base import entries

pytestmark = pytest.mark.system

ASK = "import sys; from stages.base import entries; print(repr(entries.mounted(sys.argv[1])))"


@pytest.mark.parametrize("name", ["plain", "a b", "a\\b", "a\tb\nc", "a\\040b", "é", "a,b:c", "a\r\rb"])
def test_mount_points_of_any_name(tmp_path: Path, name: str) -> None:
    place = tmp_path / name / "below"
    place.mkdir(parents=True)
    (tmp_path / f"{name} and more").mkdir()
    mount = ["unshare", "-m", "--propagation", "private", "/bin/sh", "-c", 'mount -t tmpfs none "$1"; shift; exec "$@"']

    def told(asked: Path) -> str:
        words = [*mount, "-", str(place), sys.executable, "-c", ASK, str(asked)]
        return subprocess.run(words, capture_output=True, text=True, check=True).stdout.strip()

    assert told(tmp_path / name) == told(place) == told(tmp_path) == repr(str(place))
    assert told(tmp_path / f"{name} and more") == told(place / "deeper") == "None"
    assert entries.mounted(str(tmp_path / name)) is None


def test_what_an_app_has_marked_goes_too(tmp_path: Path) -> None:
    """With CAP_LINUX_IMMUTABLE, which an image may ask for, an app kept its pod on the disk for ever."""
    doomed = tmp_path / "doomed"
    below = doomed / "volume" / "below"
    below.mkdir(parents=True)
    marked = [below / "file", below / "log", below, doomed / "volume"]
    for path in marked[:2]:
        path.touch()
    (doomed / "device").symlink_to("/dev/null")
    for mark, path in zip(("+i", "+a", "+a", "+i"), marked, strict=True):
        if subprocess.run(["chattr", mark, str(path)], stderr=subprocess.DEVNULL, check=False).returncode:
            return  # a file system without such marks
    entries.tree(str(doomed))
    assert list(tmp_path.iterdir()) == []
