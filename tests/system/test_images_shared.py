"""Two projects with one data directory: what a collection in one of them leaves of the other's images."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from stages.images import build
from tests.images.oci_maker import Image, layer, write_layout
from tests.system import workbench
from tests.system.workbench import Project

pytestmark = pytest.mark.system

UID = "7f0c0a3e-6a0e-4f5e-9a57-0d5b0d2f7f1a"


@pytest.fixture
def theirs(tmp_path: Path) -> Project:
    """A project whose pod has an image with a dependency, an OCI image, and a built-in stage1."""
    made = Project(tmp_path / "theirs", tmp_path / "data")
    made.image("base.aci", workbench.manifest("example.com/base"), workbench.busybox())
    needs = {"dependencies": [{"imageName": "example.com/base"}]}
    made.image("web.aci", workbench.manifest("example.com/web", app=["/bin/true"], **needs), [])
    write_layout(made.root / "images/it", {"x": Image([layer(workbench.busybox())], process={"Cmd": ["/bin/true"]})})
    return made


def prepared(project: Project, overlay: bool) -> set[str]:
    """The images of its pod, which is ready to start then."""
    apps = [{"name": "web", "image": "images/web.aci"}, {"name": "it", "image": "oci:images/it:x"}]
    project.write(workbench.spec("web", UID, apps, overlay=overlay))
    done = project.doit("images", "import", "images/base.aci")
    assert done.code == 0, done.err
    done = project.doit("prepare", "pod=web")
    assert done.code == 0, done.err
    return stored(project)


def stored(project: Project) -> set[str]:
    return {one["id"] for one in json.loads(project.doit("images", "--format", "json").out)}


@pytest.mark.parametrize("overlay", [True, False])
def test_a_pod_keeps_its_images_whosever_it_is(theirs: Project, tmp_path: Path, overlay: bool) -> None:
    known = prepared(theirs, overlay)
    assert len(known) == 4
    ours = Project(tmp_path / "ours", theirs.data)
    idle = ours.image("idle.aci", workbench.manifest("example.com/idle"), [build.regular("x", b"")])
    assert ours.doit("images", "import", str(idle)).code == 0
    for image_id in known:
        assert image_id[:19] not in ours.doit("images", "gc", "--dry-run").out
    assert ours.doit("images", "gc").code == 0 and stored(theirs) == known
    assert not theirs.run("web", "manifest").tasks


def test_what_no_pod_has_yet_goes_and_comes_back(theirs: Project, tmp_path: Path) -> None:
    known = prepared(theirs, True)
    assert theirs.doit("rm", "pod=web").code == 0 and theirs.doit("gc").code == 0
    assert theirs.doit("images", "gc").code == 0 and stored(theirs) == known, "its own project's specs name them"
    ours = Project(tmp_path / "ours", theirs.data)
    assert ours.doit("images", "gc").code == 0 and stored(theirs) == set()
    refused = theirs.doit("prepare", "pod=web")
    assert refused.code != 0 and "example.com/base" in refused.err and refused.err.count("ERROR") == 1
    assert prepared(theirs, True) == known
