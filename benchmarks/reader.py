"""A process that mounts a tree as a pod does, reads every file in it, and says how fast: `python -m benchmarks.reader`.

It leaves the host's mount namespace first, so that its mounts end with it.
"""

from __future__ import annotations

import json
import os
import sys
import time
from pathlib import Path

from benchmarks.findings import Sample
from stages.linux import acts, kernel
from stages.linux.overlay import Overlay
from stages.trees import forms
from stages.trees.forms import Lower

_PIECE = 1 << 18


def main(order: str) -> None:
    """order: JSON with `lower` (trees.forms.Lower), `cold` and `place`, a directory to be. Prints a sample as JSON."""
    words = json.loads(order)
    lower = Lower(**words["lower"])
    place = Path(words["place"])
    kernel.private_mounts()
    if words["cold"]:
        _forget([Path(blob) for blob in lower.blobs] or _files(Path(lower.path)))
    root = _mounted(lower, place)
    if not words["cold"]:
        _read(root)
    start = time.perf_counter()
    count = _read(root)
    seconds = time.perf_counter() - start
    sample: Sample = {"wall": seconds, "rate": count / seconds}
    print(json.dumps(sample))


def _mounted(lower: Lower, place: Path) -> Path:
    """The tree below a new overlay; returns where."""
    names = ("lower", "upper", "work", "root")
    for name in names:
        (place / name).mkdir(parents=True)
    below, upper, work, root = (str(place / name) for name in names)
    if lower.image:
        acts.do(forms.mounting(lower, below, shifted=False))
    else:
        below = lower.path
    Overlay(below, upper, work, root).mount()
    return Path(root)


def _files(root: Path) -> list[Path]:
    found = []
    for folder, _, names in os.walk(root):
        found += [path for name in names if not (path := Path(folder, name)).is_symlink() and path.is_file()]
    return sorted(found)


def _read(root: Path) -> int:
    count = 0
    for path in _files(root):
        descriptor = os.open(path, os.O_RDONLY)
        while piece := os.read(descriptor, _PIECE):
            count += len(piece)
        os.close(descriptor)
    return count


def _forget(files: list[Path]) -> None:
    """Give the files' pages back. They are on the disk: the caller has synced."""
    for path in files:
        descriptor = os.open(path, os.O_RDONLY)
        os.posix_fadvise(descriptor, 0, 0, os.POSIX_FADV_DONTNEED)
        os.close(descriptor)


if __name__ == "__main__":
    main(sys.argv[1])
