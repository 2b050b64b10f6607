"""What a run that has nothing to do must not cost: it reads no content of any image, and loads nothing that works."""

from __future__ import annotations

import ctypes
import os
import re
import struct
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from stages.images import build
from tests.system import workbench
from tests.system.workbench import Project
from tests.test_light_starts import OF_WORK

pytestmark = pytest.mark.system

UID = "3b8a4f0e-52a5-4a34-8a40-4d0c3f4a7c55"
IN_ACCESS, IN_ISDIR = 0x1, 0x40000000
HEAD = struct.Struct("iIII")


class Reads:
    """Tells which of some files were read from, by whomever and by read(2) of any kind; directories do not count."""

    def __init__(self, places: list[Path]) -> None:
        libc = ctypes.CDLL(None, use_errno=True)
        self._descriptor = libc.inotify_init1(os.O_NONBLOCK | os.O_CLOEXEC)
        self._watched = {}
        for place in places:
            number = libc.inotify_add_watch(self._descriptor, os.fsencode(place), IN_ACCESS)
            assert number >= 0, os.strerror(ctypes.get_errno())
            self._watched[number] = place

    def so_far(self) -> set[str]:
        """Since the last question."""
        return set(self._events())

    def _events(self) -> Iterator[str]:
        try:
            data = os.read(self._descriptor, 1 << 20)
        except BlockingIOError:
            return
        while data:
            number, mask, _, length = HEAD.unpack_from(data)
            name = data[HEAD.size : HEAD.size + length].rstrip(b"\0").decode()
            data = data[HEAD.size + length :]
            if not mask & IN_ISDIR:
                yield str(self._watched[number] / name)

    def close(self) -> None:
        os.close(self._descriptor)


@pytest.fixture
def project(tmp_path: Path) -> Project:
    project = Project(tmp_path / "project", tmp_path / "data")
    members = workbench.busybox(build.regular("etc/large", b"content" * 100_000))
    project.image("web.aci", workbench.manifest("example.com/web", app=["/bin/true"]), members)
    project.write(workbench.spec("shop", UID, [{"name": "web", "image": "images/web.aci"}], stage1="stub"))
    first = project.run("shop")
    assert first.code == 0, first.err
    return project


def content(project: Project) -> list[Path]:
    """Where all that images hold lies: the archives, and the directories of the app's tree."""
    blobs = [path for path in (project.data / "images" / "blobs").rglob("*") if path.is_file()]
    tree_id = (project.pod(UID) / "appsinfo" / "web" / "treeStoreID").read_text()
    rootfs = project.data / "trees" / tree_id / "rootfs"
    return [project.root / "images" / "web.aci", *blobs, *(Path(folder) for folder, _, _ in os.walk(rootfs))]


def test_a_run_with_nothing_to_do_reads_no_image_content(project: Project) -> None:
    places = content(project)
    assert len(places) >= 4, "the file, its archive, stage1's archive, the tree"
    reads = Reads(places)
    try:
        again = project.run("shop")
        assert again.code == 0, again.err
        assert again.tasks == {"overlay", "init"}
        assert not reads.so_far()
        # That it would be seen:
        places[1].read_bytes()
        assert reads.so_far() == {str(places[1])}
    finally:
        reads.close()


def test_a_prepare_with_nothing_to_do_loads_nothing_that_works(project: Project) -> None:
    loud = replace(project, environment={"PYTHONPROFILEIMPORTTIME": "1"})
    done = loud.doit("run", "pod=shop", "manifest")
    loaded = set(re.findall(r"^import time:.*\| +(\S+)$", done.err, re.MULTILINE))
    assert done.code == 0 and loaded >= {"stages.graph.session", "stages.render_tree"}
    assert not OF_WORK & loaded
