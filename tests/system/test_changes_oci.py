"""The table of changes for OCI images beside an ACI: registries, layouts, layers of their own and shared ones.

In both overlay modes, through `doit run` and through `podwright run`, which does without doit.
"""

from __future__ import annotations

import copy
import os
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, NamedTuple

import pytest

from stages.images import build, oci_app
from tests.images.oci_maker import Image, layer, write_layout
from tests.system import workbench
from tests.system.registry import Registry
from tests.system.workbench import DOIT, Project

pytestmark = pytest.mark.system

UID = "7f0c0a3e-6a0e-4f5e-9a57-0d5b0d2f7f17"
SHARED = [build.directory("etc"), build.regular("etc/shared", b"shared\n")]


class Bench:
    """A prepared pod: `tag` and, asked each time, `always` of a registry, `one` and `two` of layouts, `old` an ACI.

    All OCI images have one layer in common, those of the layouts another one.
    """

    def __init__(self, folder: Path, overlay: bool) -> None:
        self.folder, self.overlay = folder, overlay
        self.registry = Registry(folder / "registry")
        environment = {**self.registry.environment, "CI": ""}
        self.project = Project(folder / "project", folder / "data", environment=environment)
        self.push("tag", b"first\n")
        self.push("always", b"first\n")
        self.layouts()
        self.aci(b"first\n")
        apps = [
            {"name": "tag", "image": self.reference("tag")},
            {"name": "always", "image": self.reference("always"), "imagePullPolicy": "Always"},
            {"name": "one", "image": "oci:images/one:x"},
            {"name": "two", "image": "oci:images/two:x"},
            {"name": "old", "image": "images/old.aci"},
        ]
        self.spec = workbench.spec("mixed", UID, apps, overlay=overlay, stage1="stub")
        self.project.write(self.spec)

    def reference(self, name: str) -> str:
        return f"docker://{self.registry.host}/team/{name}:1"

    def push(self, name: str, text: bytes) -> None:
        layout = self.folder / f"{name}-{len(list(self.folder.iterdir()))}"
        write_layout(layout, {"x": image(SHARED, name, text)})
        self.registry.push(f"oci:{layout}:x", f"team/{name}:1")

    def layouts(self, shared: bytes = b"below\n", kind: str = "gzip", **texts: bytes) -> None:
        for name in ("one", "two"):
            target = self.project.root / "images" / name
            shutil.rmtree(target, ignore_errors=True)
            below = [build.directory("srv"), build.regular("srv/below", shared)]
            write_layout(target, {"x": image(SHARED, name, texts.get(name, b"first\n"), below, kind)})

    def aci(self, text: bytes) -> None:
        members = [build.directory("etc"), build.regular("etc/old", text)]
        self.project.image("old.aci", workbench.manifest("example.com/old", app=["/bin/true"]), members)

    def lock(self, *words: str) -> None:
        done = self.project.doit("lock", *words)
        assert done.code == 0, done.err

    def app(self, name: str, **fields: Any) -> None:
        self.spec = copy.deepcopy(self.spec)
        next(one for one in self.spec["spec"]["containers"] if one["name"] == name).update(fields)
        self.project.write(self.spec)

    def lose(self, content: bytes) -> None:
        """Lose the stored blobs with these bytes in them."""
        for path in (self.project.data / "images/blobs").glob("*/*"):
            if content in path.read_bytes():
                path.unlink()

    def run(self) -> frozenset[str]:
        """The tasks that a run executes, without those that each run has."""
        done = self.project.run("mixed", "init" if self.overlay else "manifest")
        assert done.code == 0, done.err
        return done.tasks - {"overlay", "init"}

    def by_podwright(self) -> frozenset[str]:
        """The tasks that `podwright run` did."""
        program = [str(DOIT.parent / "podwright")]
        project = Project(self.project.root, self.project.data, environment=self.project.environment, program=program)
        done = project.doit("run", "pod=mixed")
        assert done.code == 0, done.err[-500:]
        return workbench.told(done.err)


def image(*layers: Any) -> Image:
    """An image of the shared layer, perhaps another one, and one of its own."""
    shared, name, text, *more = layers
    below, kind = more or ([], "gzip")
    own = [build.directory("srv"), build.regular(f"srv/{name}", text)]
    parts = [layer(shared), *([layer(below)] if below else []), layer(own)]
    return Image(parts, kind, process={"Cmd": ["/bin/true"]})


def of(*names: str) -> set[str]:
    """The tasks of apps whose images changed."""
    return {f"{task}:{name}" for name in names for task in ("image", "tree", "app")} | {"manifest"}


class Row(NamedTuple):
    """A change, the tasks that it makes run, and what precedes it, before the pod is prepared."""

    change: Callable[[Bench], object]
    tasks: set[str]
    before: Callable[[Bench], object] = lambda bench: None

    def expected(self, overlay: bool) -> set[str]:
        """Without overlay an app has no tree in the store."""
        return {one for one in self.tasks if overlay or not one.startswith("tree:")}


def locked(bench: Bench) -> None:
    bench.lock()


def moved(bench: Bench) -> None:
    bench.push("tag", b"second\n")
    bench.push("always", b"second\n")


def updated(bench: Bench) -> None:
    moved(bench)
    bench.lock("--update")


def gone(bench: Bench) -> None:
    bench.registry.stop()


def held_in_ci(bench: Bench) -> None:
    bench.project.environment["CI"] = "true"


ASKED = {"image:always"}
TABLE = {
    "nothing": Row(lambda bench: None, ASKED),
    "nothing, locked": Row(lambda bench: None, set(), locked),
    "a lock written": Row(lambda bench: bench.lock(), set()),
    "a lock that binds": Row(held_in_ci, set(), locked),
    "tags moved": Row(moved, of("always")),
    "tags moved, locked": Row(moved, set(), locked),
    # Which brings the images in at once.
    "tags moved, lock updated": Row(updated, of("tag", "always") - {"image:tag", "image:always"}, locked),
    "registry gone, locked": Row(gone, set(), locked),
    "top layer of one": Row(lambda bench: bench.layouts(one=b"second\n"), of("one") | {"image:two"}, locked),
    "a layer that two share": Row(lambda bench: bench.layouts(b"other\n"), of("one", "two"), locked),
    "layers packed another way": Row(lambda bench: bench.layouts(kind="zstd"), of("one", "two"), locked),
    "a layout touched": Row(
        lambda bench: os.utime(bench.project.root / "images/one/index.json"), {"image:one"}, locked
    ),
    "the ACI beside": Row(lambda bench: bench.aci(b"second\n"), of("old"), locked),
    "policy Always, locked": Row(lambda bench: bench.app("tag", imagePullPolicy="Always"), set(), locked),
    "an app's words": Row(lambda bench: bench.app("one", command=["/bin/false"]), {"manifest"}, locked),
    "a stored layer lost": Row(lambda bench: bench.lose(b"srv/below"), {"image:one"}, locked),
    "another app's image": Row(
        lambda bench: bench.app("one", image="oci:images/two:x"), {"app:one", "manifest"}, lambda bench: None
    ),
}


def cases() -> Iterator[Any]:
    for name, row in TABLE.items():
        for overlay in (True, False):
            yield pytest.param(overlay, row, id=f"{name}-{'overlay' if overlay else 'copy'}")


@pytest.mark.parametrize(("overlay", "row"), list(cases()))
def test_just_what_depends_on_a_change_is_done_again(tmp_path: Path, overlay: bool, row: Row) -> None:
    bench = Bench(tmp_path, overlay)
    try:
        row.before(bench)
        assert bench.run() >= {"manifest"}
        row.change(bench)
        asked = ASKED if not (bench.project.root / "pods/mixed.lock").exists() else set()
        expected = row.expected(overlay) | asked
        assert bench.run() == expected
        assert bench.run() == asked
    finally:
        bench.registry.stop()


@pytest.mark.parametrize(("overlay", "row"), list(cases()))
def test_podwright_does_what_doit_does(tmp_path: Path, overlay: bool, row: Row) -> None:
    bench = Bench(tmp_path, overlay)
    try:
        row.before(bench)
        assert bench.run() >= {"manifest"}
        row.change(bench)
        asked = ASKED if not (bench.project.root / "pods/mixed.lock").exists() else set()
        assert bench.by_podwright() == row.expected(overlay) | asked
        if overlay:  # else what has run is made again
            assert bench.run() == asked
    finally:
        bench.registry.stop()


@pytest.mark.parametrize("overlay", [True, False], ids=["overlay", "copy"])
def test_other_rules_of_translation_need_no_registry(tmp_path: Path, overlay: bool) -> None:
    bench = Bench(tmp_path, overlay)
    bench.project = Project(
        bench.project.root, bench.project.data, own_code=True, environment=bench.project.environment
    )
    try:
        locked(bench)
        assert bench.run() >= {"manifest"}
        gone(bench)
        rules = bench.project.root / "stages/images/oci_app.py"
        number = f"RULES = {oci_app.RULES}\n"
        assert number in rules.read_text()
        rules.write_text(rules.read_text().replace(number, "RULES = 99\n"))
        names = ("tag", "always", "one", "two")
        assert bench.run() == {f"image:{name}" for name in names} | {f"app:{name}" for name in names} | {"manifest"}
        assert '"value":"99"' in (bench.project.pod(UID) / "appsinfo/tag/manifest").read_text()
        assert bench.run() == set()
    finally:
        bench.registry.stop()


@pytest.mark.parametrize("words", [(), ("-n", "2")], ids=["one process", "two"])
def test_a_pod_with_an_image_that_is_always_asked_for_gets_prepared(tmp_path: Path, words: tuple[str, ...]) -> None:
    bench = Bench(tmp_path, overlay=True)
    try:
        assert bench.project.doit("run", "pod=mixed", *words, "manifest").code == 0
        assert (bench.project.pod(UID) / "phase").read_text() == "prepared\n"
    finally:
        bench.registry.stop()
