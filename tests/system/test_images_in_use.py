"""What becomes of a running pod whose image is removed from the store, and of exported images elsewhere."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path

import pytest

from stages.images import build
from tests.images.oci_maker import Image, layer, write_layout
from tests.system import workbench
from tests.system.workbench import Project

pytestmark = pytest.mark.system

UID = "7f0c0a3e-6a0e-4f5e-9a57-0d5b0d2f7f18"
LARGE = hashlib.sha256(b"x").digest() * 100_000


def test_a_running_pod_keeps_what_it_has_of_a_removed_image(tmp_path: Path) -> None:
    project = Project(tmp_path / "project", tmp_path / "data")
    (tmp_path / "shared").mkdir()
    members = workbench.busybox(build.regular("etc/large", LARGE), build.directory("data"))
    project.image("it.aci", workbench.manifest("example.com/it", app=["/bin/true"]), members)
    script = "touch /data/up; until [ -e /data/go ]; do sleep 0.05; done; cat /etc/large > /data/copy"
    app = {"name": "it", "image": "images/it.aci", "command": ["/bin/sh", "-c", script]}
    app["volumeMounts"] = [{"name": "data", "mountPath": "/data"}]
    spec = workbench.spec("it", UID, [app], stage1="fly", net=["host"])
    spec["spec"]["volumes"] = [{"name": "data", "hostPath": {"path": str(tmp_path / "shared")}}]
    project.write(spec)
    pod = project.started("run", "pod=it")
    while not (tmp_path / "shared/up").exists():
        assert pod.poll() is None, pod.communicate()
    assert project.doit("images", "gc").code == 0
    (image,) = [
        one for one in json.loads(project.doit("images", "--format", "json").out) if one["name"].endswith("/it")
    ]
    assert project.doit("images", "rm", image["id"]).code == 0
    (tmp_path / "shared/go").touch()
    _, err = pod.communicate()
    assert pod.returncode == 0, err
    assert (tmp_path / "shared/copy").read_bytes() == LARGE
    again = project.run("it")
    assert again.code == 0 and "image:it" in again.tasks, again.err


def test_an_exported_oci_image_has_the_same_layers_when_it_comes_in_again(tmp_path: Path) -> None:
    project = Project(tmp_path / "project", tmp_path / "data")
    write_layout(
        project.root / "images/it", {"x": Image([layer(workbench.busybox()), layer([build.regular("it", b"x")])])}
    )
    (image_id,) = project.doit("images", "import", "oci:images/it:x").out.split()
    out = project.root / "out.tar"
    assert project.doit("images", "export", image_id, str(out)).code == 0
    blobs = sorted((project.data / "images/blobs").glob("*/*"))
    assert project.doit("images", "import", f"oci-archive:{out}").code == 0
    assert sorted((project.data / "images/blobs").glob("*/*")) == blobs


def test_of_images_that_are_gone_no_lock_files_stay(tmp_path: Path) -> None:
    project = Project(tmp_path / "project", tmp_path / "data")
    project.image("it.aci", workbench.manifest("example.com/it", app=["/bin/true"]), [])
    write_layout(project.root / "images/oci", {"x": Image([layer([build.regular("it", b"x")])])})
    for reference in ("images/it.aci", "oci:images/oci:x"):
        assert project.doit("images", "import", reference).code == 0
    for words in (["images", "gc"], ["gc"]):
        assert project.doit(*words).code == 0
    assert [path.name for path in (project.data / "locks").glob("*/*")] == ["layers"]
