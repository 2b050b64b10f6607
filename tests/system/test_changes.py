"""The table of changes: after each single change, just the tasks that depend on it run, in both overlay modes."""

from __future__ import annotations

import copy
import gzip
import json
import os
import shutil
import sqlite3
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, NamedTuple

import pytest

from stages.images import build
from tests.system import workbench
from tests.system.workbench import Project

pytestmark = pytest.mark.system

UID = "7f0c0a3e-6a0e-4f5e-9a57-0d5b0d2f7f10"
# What a run does that has nothing to prepare.
RUN = {True: {"overlay", "init"}, False: {"init"}}
WEB = {"image:web", "tree:web", "app:web", "manifest"}
ALL_PLACED = {"stage1", "app:web", "app:side", "manifest"}


class Bench:
    """A prepared pod of two apps, one of them with a dependency, and what a row of the table may do to it."""

    def __init__(self, folder: Path, overlay: bool) -> None:
        self.overlay = overlay
        self.project = Project(folder / "project", folder / "data", own_code=True)
        self.base(b"base\n")
        self.web(b"web\n")
        self.project.image("side.aci", workbench.manifest("example.com/side", app=["/bin/true"]), workbench.busybox())
        self.spec = workbench.spec(
            "shop",
            UID,
            [
                {"name": "web", "image": "images/web.aci", "command": ["/bin/true"]},
                {"name": "side", "image": "images/side.aci"},
            ],
            overlay=overlay,
            stage1="stub",
            dependencies=["images/base.aci"],
        )
        self.spec["spec"]["volumes"] = [{"name": "data", "emptyDir": {}}]
        self.project.write(self.spec)

    def base(self, content: bytes, **more: Any) -> None:
        members = workbench.busybox(build.regular("etc/base", content))
        self.project.image("base.aci", workbench.manifest("example.com/base", **more), members)

    def web(self, content: bytes, **more: Any) -> None:
        more.setdefault("dependencies", [{"imageName": "example.com/base"}])
        members = [build.directory("etc"), build.regular("etc/web", content)]
        self.project.image("web.aci", workbench.manifest("example.com/web", app=["/bin/true"], **more), members)

    def edit(self, change: Callable[[dict[str, Any]], object]) -> None:
        self.spec = copy.deepcopy(self.spec)
        change(self.spec)
        self.project.write(self.spec)

    def source(self, path: str, old: str, new: str) -> None:
        """Edit a file of the project's own copy of the code."""
        file = self.project.root / path
        text = file.read_text()
        assert old in text, f"{path} has no {old!r} any more"
        file.write_text(text.replace(old, new))

    @property
    def pod(self) -> Path:
        return self.project.pod(UID)

    def tree(self, app: str) -> Path:
        """The tree of an app in the store, or of stage1."""
        name = self.pod / "stage1TreeStoreID" if app == "stage1" else self.pod / "appsinfo" / app / "treeStoreID"
        return self.project.data / "trees" / name.read_text()


class Row(NamedTuple):
    """A change, and the tasks it makes run, beyond those of every run: with overlay, and without."""

    change: Callable[[Bench], object]
    overlay: set[str]
    copied: set[str] | None = None

    def tasks(self, overlay: bool) -> set[str]:
        expected = self.overlay if overlay or self.copied is None else self.copied
        # Without overlay an app has no tree in the store.
        return (expected if overlay else expected - {"tree:web", "tree:side"}) | RUN[overlay]


def container(bench: Bench, **fields: Any) -> None:
    bench.edit(lambda spec: spec["spec"]["containers"][0].update(fields))


def stage0(bench: Bench, **fields: Any) -> None:
    bench.edit(lambda spec: spec["stage0"].update(fields))


def pod_spec(bench: Bench, **fields: Any) -> None:
    bench.edit(lambda spec: spec["spec"].update(fields))


def metadata(bench: Bench, **fields: Any) -> None:
    bench.edit(lambda spec: spec["metadata"].update(fields))


def touch(path: Path) -> None:
    os.utime(path)


def compressed(bench: Bench) -> None:
    path = bench.project.root / "images" / "web.aci"
    path.write_bytes(gzip.compress(path.read_bytes()))


def renamed(bench: Bench) -> None:
    container(bench, name="shop")


def added(bench: Bench) -> None:
    bench.edit(lambda spec: spec["spec"]["containers"].append({"name": "more", "image": "images/side.aci"}))


def removed(bench: Bench) -> None:
    bench.edit(lambda spec: spec["spec"]["containers"].pop())


def unmarked(bench: Bench, name: str) -> None:
    """Whether its marker is for good, or of this boot."""
    (marker,) = bench.tree(name).glob("rendered*")
    marker.unlink()


def damaged_index(bench: Bench) -> None:
    path = bench.tree("web") / "index.erofs"
    path.chmod(0o644)
    with open(path, "r+b") as file:
        file.seek(4096)
        file.write(b"damage")


def other_order(bench: Bench) -> None:
    bench.edit(lambda spec: spec["spec"]["containers"].reverse())


def reformatted(bench: Bench) -> None:
    path = bench.project.root / "pods" / "shop.yaml"
    path.write_text("# a comment\n" + path.read_text().replace("name: web", "name:   web"))


def other_bytes(bench: Bench) -> None:
    """Values that Python finds equal, as 1 and true, are not for everybody who reads a manifest."""
    manifest = bench.pod / "pod"
    manifest.write_text(json.dumps(json.loads(manifest.read_bytes()), indent=1))


def forgotten(bench: Bench) -> None:
    (bench.pod / "doit.db").unlink()


def corrupted(bench: Bench) -> None:
    (bench.pod / "doit.db").write_bytes(b"this is no database" * 1000)


def emptied(bench: Bench) -> None:
    with sqlite3.connect(bench.pod / "doit.db") as database:
        database.execute("delete from doit")


def without_records(bench: Bench) -> None:
    shutil.rmtree(bench.pod / "records")


def blob_gone(bench: Bench) -> None:
    """The stored archive of web is lost: its file is still there, so it is imported again; its tree is the same."""
    image_id = bench.project.doit("images", "--format", "json").out
    assert image_id
    for path in (bench.project.data / "images" / "blobs" / "sha512").iterdir():
        if b"etc/web" in path.read_bytes()[:8192]:
            path.unlink()


def moved_data(bench: Bench) -> None:
    """The data directory is renamed; what is in it stays what it was."""
    target = bench.project.data.with_name("elsewhere")
    bench.project.data.rename(target)
    bench.project.data = target


TABLE = {
    "nothing": Row(lambda bench: None, set()),
    "image content": Row(lambda bench: bench.web(b"new\n"), WEB),
    "image touched": Row(lambda bench: touch(bench.project.root / "images/web.aci"), {"image:web"}),
    "image compressed, the same bytes inside": Row(compressed, {"image:web"}),
    "image manifest only": Row(lambda bench: bench.web(b"web\n", annotations=[{"name": "a", "value": "b"}]), WEB),
    "image whitelist": Row(lambda bench: bench.web(b"web\n", pathWhitelist=["/etc/web", "/bin/true"]), WEB),
    "dependency content": Row(lambda bench: bench.base(b"new\n"), {"image:dependencies", "tree:web", "app:web"}),
    "dependency touched": Row(lambda bench: touch(bench.project.root / "images/base.aci"), {"image:dependencies"}),
    "command": Row(lambda bench: container(bench, command=["/bin/false"]), {"manifest"}),
    "args": Row(lambda bench: container(bench, args=["one", "two"]), {"manifest"}),
    "env": Row(lambda bench: container(bench, env=[{"name": "TZ", "value": "UTC"}]), {"manifest"}),
    "working directory": Row(lambda bench: container(bench, workingDir="/tmp"), {"manifest"}),
    "ports": Row(lambda bench: container(bench, ports=[{"name": "http", "containerPort": 80}]), {"manifest"}),
    "mounts": Row(lambda bench: container(bench, volumeMounts=[{"name": "data", "mountPath": "/tmp"}]), {"manifest"}),
    "limits": Row(lambda bench: container(bench, resources={"limits": {"memory": "64Mi"}}), {"manifest"}),
    "user": Row(lambda bench: container(bench, securityContext={"runAsUser": 1000}), {"manifest"}),
    "read-only root": Row(
        lambda bench: container(bench, securityContext={"readOnlyRootFilesystem": True}), {"manifest"}
    ),
    "volumes": Row(
        lambda bench: pod_spec(bench, volumes=[{"name": "data", "hostPath": {"path": "/tmp"}}]), {"manifest"}
    ),
    "grace": Row(lambda bench: pod_spec(bench, terminationGracePeriodSeconds=3), {"manifest"}),
    "annotations": Row(lambda bench: metadata(bench, annotations={"owner": "me"}), {"manifest"}),
    "environment of all apps": Row(lambda bench: stage0(bench, env={"LANG": "C.UTF-8"}), {"manifest"}),
    "inherited environment": Row(lambda bench: stage0(bench, inheritEnv=True), {"manifest"}),
    "hostname": Row(lambda bench: pod_spec(bench, hostname="shop"), set()),
    "net": Row(lambda bench: stage0(bench, net=["host"]), set()),
    "debug": Row(lambda bench: stage0(bench, debug=True), set()),
    "a comment in the spec": Row(reformatted, set()),
    "app renamed": Row(renamed, {"app:shop", "manifest"}),
    "app added": Row(added, {"app:more", "manifest"}),
    "app removed": Row(removed, {"manifest"}),
    "apps in another order": Row(other_order, {"manifest"}),
    "overlay switched": Row(
        lambda bench: stage0(bench, overlay=not bench.overlay), ALL_PLACED, ALL_PLACED | {"tree:web", "tree:side"}
    ),
    "another stage1": Row(
        lambda bench: stage0(bench, stage1="crun"),
        {"image:stage1", "tree:stage1", "stage1"},
        {"image:stage1", "tree:stage1", "stage1", "app:web", "app:side"},
    ),
    "stage1's program edited": Row(
        lambda bench: bench.source("stages/stage1/stub/main.py", "from __future__", "# Edited.\nfrom __future__"),
        {"image:stage1", "tree:stage1", "stage1"},
        {"image:stage1", "tree:stage1", "stage1", "app:web", "app:side"},
    ),
    "a step's code changed": Row(
        lambda bench: bench.source("stages/render_app.py", "VERSION = 3", "VERSION = 99"), {"app:web", "app:side"}
    ),
    "stage1's tree damaged": Row(
        lambda bench: (bench.tree("stage1") / "rootfs" / "etc" / "intruder").touch(), {"tree:stage1"}
    ),
    "stage1's tree changed in place": Row(
        lambda bench: (bench.tree("stage1") / "rootfs" / "run").write_text("#!/bin/false\n"), {"tree:stage1"}
    ),
    "stage1's marker lost": Row(lambda bench: unmarked(bench, "stage1"), {"tree:stage1"}),
    "the stored archive lost": Row(blob_gone, {"image:web"}, {"image:web"}),
    "database deleted": Row(forgotten, set()),
    "database emptied": Row(emptied, set()),
    "database corrupted": Row(corrupted, set()),
    "pod manifest lost": Row(lambda bench: (bench.pod / "pod").unlink(), {"manifest"}),
    "pod manifest edited": Row(lambda bench: (bench.pod / "pod").write_text("{}"), {"manifest"}),
    "pod manifest, the same in other bytes": Row(other_bytes, {"manifest"}),
    "an app's manifest lost": Row(lambda bench: (bench.pod / "appsinfo/web/manifest").unlink(), {"app:web"}),
    "records lost": Row(without_records, {"stage1", "app:web", "app:side"}),
    "pod directory deleted": Row(lambda bench: shutil.rmtree(bench.pod), ALL_PLACED),
    "data directory moved": Row(moved_data, set()),
    "private users": Row(lambda bench: stage0(bench, privateUsers={"shift": 1000000, "count": 65536}), ALL_PLACED),
}
ONLY_OVERLAY = {
    "an index damaged": Row(damaged_index, {"tree:web"}),
    "a tree's marker lost": Row(lambda bench: unmarked(bench, "web"), {"tree:web"}),
    "a tree's record damaged": Row(lambda bench: (bench.tree("web") / "record").write_text("{"), {"tree:web"}),
    "a tree deleted": Row(lambda bench: shutil.rmtree(bench.tree("web")), {"tree:web"}),
}
ONLY_COPIED = {
    "an app's root damaged": Row(
        lambda bench: (bench.pod / "stage1/rootfs/opt/stage2/web/rootfs/etc/web").write_text("x"), {"app:web"}
    ),
    "a file added to an app's root": Row(
        lambda bench: (bench.pod / "stage1/rootfs/opt/stage2/web/rootfs/new").touch(), {"app:web"}
    ),
}


def cases() -> Iterator[Any]:
    for overlay, rows in ((True, TABLE | ONLY_OVERLAY), (False, TABLE | ONLY_COPIED)):
        for name, row in rows.items():
            yield pytest.param(overlay, row, id=f"{name}-{'overlay' if overlay else 'copy'}")


@pytest.mark.contract("M 7", "M.6 check at start")
@pytest.mark.parametrize(("overlay", "row"), list(cases()))
def test_just_what_depends_on_a_change_is_done_again(tmp_path: Path, overlay: bool, row: Row) -> None:
    bench = Bench(tmp_path, overlay)
    # Prepared, and without overlay not run: a run dirties the roots, and everything there is made again.
    until = ["init"] if overlay else ["manifest"]
    first = bench.project.run("shop", *until)
    assert first.code == 0, first.err
    row.change(bench)
    again = bench.project.run("shop", *(["init"] if bench.spec["stage0"]["overlay"] else ["manifest"]))
    assert again.code == 0, again.err
    expected = row.tasks(overlay)
    if not bench.spec["stage0"]["overlay"]:
        expected = expected - {"overlay", "init", "tree:web", "tree:side"}
    elif not overlay:
        expected = expected | RUN[True] | (row.overlay if row.copied is None else row.copied)
    assert again.tasks == expected
    settled = bench.project.run("shop", *(["init"] if bench.spec["stage0"]["overlay"] else ["manifest"]))
    assert settled.code == 0, settled.err
    assert settled.tasks == (RUN[True] if bench.spec["stage0"]["overlay"] else set())


def test_without_overlay_a_pod_that_has_run_is_rendered_again(tmp_path: Path) -> None:
    bench = Bench(tmp_path, overlay=False)
    assert bench.project.run("shop").code == 0
    again = bench.project.run("shop")
    assert again.code == 0 and again.tasks == {"stage1", "app:web", "app:side", "init"}
