"""A pod whose directory somebody has damaged in every place at once runs again, or is told and can be removed."""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest

from stages.base.paths import PodPaths
from tests.commands.test_gc import names_of_a_pod
from tests.system import workbench
from tests.system.workbench import Project

pytestmark = pytest.mark.system

UID = "0d6a3d52-31e0-4c8e-9e6c-6a5cf2f5ac01"
OVERLAY = pytest.mark.parametrize("overlay", [True, False], ids=["overlay", "copy"])
KINDS: dict[str, Callable[[Path], object]] = {
    "missing": lambda path: None,
    "fifo": os.mkfifo,
    "link": lambda path: os.symlink("/dev/zero", path),
    "directory": os.mkdir,
    "bytes": lambda path: path.write_bytes(b"\xff\0{" * 100),
    "number": lambda path: path.write_bytes(b"7"),
    "deep": lambda path: path.write_bytes(b"[" * 100_000),
    "loop": lambda path: path.symlink_to(path.name),
}


@pytest.fixture
def project(tmp_path: Path) -> Project:
    made = Project(tmp_path / "project", tmp_path / "data")
    made.image("web.aci", workbench.manifest("example.com/web", app=["/bin/true"]), workbench.busybox())
    return made


CONTAINER = {"name": "web", "image": "images/web.aci", "command": ["/bin/echo", "it runs"]}


def damage(pod: Path, name: str, kind: str) -> None:
    path = pod / name
    if path.is_dir() and not path.is_symlink():
        shutil.rmtree(path)
    elif os.path.lexists(path):
        path.unlink()
    KINDS[kind](path)


@OVERLAY
@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.contract("M 22")
def test_a_damaged_pod_runs_again_or_is_told(project: Project, kind: str, overlay: bool) -> None:
    project.write(workbench.spec("shop", UID, [CONTAINER], overlay=overlay, privateUsers="auto", stage1="crun"))
    assert project.doit("run", "pod=shop").out == "it runs\n"
    pod = project.pod(UID)
    below = [path for name in ("appsinfo", "appsinfo/web", "records") for path in (pod / name).iterdir()]
    known = [*names_of_a_pod(), *(str(path.relative_to(pod)) for path in (*PodPaths(pod).root.iterdir(), *below))]
    for name in sorted(set(known)):
        if (pod / name).parent.is_dir():
            damage(pod, name, kind)
            if kind == "loop":
                assert project.doit("gc", "--dry-run").code == project.doit("images", "gc", "--dry-run").code == 0, name
            ran = project.doit("run", "pod=shop")
            assert "Traceback" not in ran.err, (name, ran.err)
            assert ran.code == 0 and ran.out == "it runs\n", (name, ran.err)
    assert project.doit("rm", "pod=shop").code == 0 and not pod.exists()


@OVERLAY
def test_nothing_is_written_where_links_in_a_pod_lead(project: Project, tmp_path: Path, overlay: bool) -> None:
    project.write(workbench.spec("shop", UID, [CONTAINER], overlay=overlay, stage1="crun"))
    assert project.doit("run", "pod=shop").out == "it runs\n"
    (tmp_path / "elsewhere").mkdir()
    folders = [path for path in project.pod(UID).rglob("*") if path.is_dir() and "rootfs/" not in f"{path}/"]
    for folder in (one for one in folders if one.exists()):
        shutil.rmtree(folder)
        folder.symlink_to(tmp_path / "elsewhere")
        ran = project.doit("run", "pod=shop")
        assert (ran.code, ran.out) == (0, "it runs\n"), (folder, ran.err)
        assert os.listdir(tmp_path / "elsewhere") == [], folder


@pytest.mark.parametrize(
    ("name", "kind"), [("rootfs", "missing"), ("rootfs", "directory"), ("record", "fifo"), ("record", "directory")]
)
def test_a_damaged_tree_is_made_again(project: Project, name: str, kind: str) -> None:
    project.write(workbench.spec("shop", UID, [CONTAINER], stage1="crun"))
    assert project.doit("run", "pod=shop").out == "it runs\n"
    for tree in sorted((project.data / "trees").iterdir()):
        damage(tree, name, kind)
        ran = project.doit("run", "pod=shop")
        assert (ran.code, ran.out) == (0, "it runs\n"), ran.err
    assert project.doit("verify").code == 0


@pytest.mark.parametrize("kind", ["fifo", "link"])
def test_what_names_images_is_not_waited_for(project: Project, kind: str) -> None:
    project.write(workbench.spec("shop", UID, [CONTAINER], stage1="crun"))
    assert project.doit("run", "pod=shop").out == "it runs\n"
    damage(project.pod(UID), "pod", kind)
    damage(next((project.data / "trees").iterdir()), "record", kind)
    project.wrapper = ["timeout", "30"]
    for words in (("images", "df"), ("images", "gc", "--dry-run")):
        assert project.doit(*words).code == 0, words
