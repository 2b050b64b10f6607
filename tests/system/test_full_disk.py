"""A disk that is full when a pod is started that was prepared before: a sentence with the place, and no other harm."""

from __future__ import annotations

import contextlib
import itertools
import os
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.system import workbench
from tests.system.workbench import DOIT, Project

pytestmark = pytest.mark.system

UID = "f0110000-0000-4000-8000-00000000000f"
BLOCK = 4096
# Of each, blocks of the file system that are left: where a start fails depends on how far it comes.
LEFT = (0, 1, 2, 4, 6, 8, 10, 12, 16)


@pytest.fixture
def disk(tmp_path: Path) -> Iterator[Path]:
    image, mount = tmp_path / "disk.img", tmp_path / "disk"
    with image.open("wb") as file:
        file.truncate(40 << 20)
    subprocess.run(["mkfs.ext4", "-q", "-m0", image], check=True, capture_output=True)
    mount.mkdir()
    subprocess.run(["mount", "-o", "loop", image, mount], check=True)
    try:
        yield mount
    finally:
        subprocess.run(["umount", mount], check=True)
        image.unlink()


def fill(disk: Path, left: int) -> None:
    """Leave so many blocks of it."""
    with open(disk / "filling", "wb", buffering=0) as file:
        try:
            while file.write(bytes(BLOCK)):
                pass
        except OSError:
            whole = os.fstat(file.fileno()).st_size // BLOCK
            os.ftruncate(file.fileno(), (whole - left) * BLOCK)
            os.fsync(file.fileno())


def use_up_inodes(disk: Path) -> None:
    folder = disk / "empty"
    folder.mkdir()
    with contextlib.suppress(OSError):
        for number in itertools.count():
            (folder / str(number)).touch()


@pytest.mark.parametrize("flavor", ["crun", "fly"])
@pytest.mark.parametrize("script", ["doit", "podwright"])
def test_a_start_on_a_full_disk_is_refused_with_the_place(disk: Path, tmp_path: Path, script: str, flavor: str) -> None:
    project = Project(tmp_path / "project", disk / "data", program=[str(DOIT.with_name(script))])
    project.image("web.aci", workbench.manifest("example.com/web", app=["/bin/true"]), workbench.busybox())
    app = {"name": "app", "image": "images/web.aci", "command": ["/bin/sh", "-c", "echo up; exit 4"]}
    project.write(workbench.spec("web", UID, [app], stage1=flavor))
    # Once, so that there is no record of it; by the other one, so that doit has no database there.
    assert (
        Project(project.root, project.data, program=[str(DOIT.with_name("podwright"))]).doit("run", "pod=web").code == 4
    )
    for left in LEFT:
        fill(disk, left)
        for _ in range(2):
            ran = project.doit("run", "pod=web")
            if (ran.code, ran.out) == (4, "up\n"):
                continue
            assert ran.code and ran.out == "" and "No space left on device" in ran.err, (left, ran)
            assert "Traceback" not in ran.err and "overlay: false" not in ran.err, (left, ran)
            assert str(disk) in ran.err or "cannot mkdir" in ran.err, (left, ran)
        (disk / "filling").unlink()
    assert (project.doit("run", "pod=web").code, project.doit("run", "pod=web").out) == (4, "up\n")


@pytest.mark.parametrize(
    "words", [("rm", "web"), ("gc", "--grace-period", "0", "--expire-prepared", "0")], ids=["rm", "gc"]
)
@pytest.mark.parametrize("how_far", [(), ("manifest",)], ids=["exited", "prepared"])
def test_a_pod_is_removed_from_a_full_disk(
    disk: Path, tmp_path: Path, how_far: tuple[str, ...], words: tuple[str, ...]
) -> None:
    project = Project(tmp_path / "project", disk / "data")
    project.image("web.aci", workbench.manifest("example.com/web", app=["/bin/true"]), workbench.busybox())
    project.write(workbench.spec("web", UID, [{"name": "app", "image": "images/web.aci"}], stage1="stub"))
    assert project.doit("run", "pod=web", *how_far).code == 0
    use_up_inodes(disk)
    removed = project.doit(*words)
    assert (removed.code, removed.err) == (0, ""), removed
    assert not project.pod(UID).exists() and not os.listdir(project.data / "garbage")
