"""Pods whose manifest is written by hand: rkt's `--pod-manifest`, its rules and its errors, in both overlay modes."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from tests.system import workbench
from tests.system.workbench import Project, Result

pytestmark = pytest.mark.system

UID = "9d3b86f0-0d2b-4a52-8a0e-9bdff6be7a11"
OVERLAY = pytest.mark.parametrize("overlay", [True, False], ids=["overlay", "copy"])


class Bench:
    """A project with an imported image and a spec that names pod.json."""

    def __init__(self, folder: Path, overlay: bool = True, app: list[str] | None = None, **image: Any) -> None:
        self.project = Project(folder / "project", folder / "data")
        section = {"app": app} if app else {}
        document = workbench.manifest("example.com/web", **section, **image)
        file = self.project.image("web.aci", document, workbench.busybox())
        imported = self.project.doit("images", "import", str(file), "--format", "json")
        assert imported.code == 0, imported.err
        listed = json.loads(self.project.doit("images", "--format", "json").out)
        self.image_id = (listed["images"] if isinstance(listed, dict) else listed)[0]["id"]
        spec = workbench.spec("shop", UID, [], overlay=overlay, podManifest="pod.json")
        del spec["spec"]
        self.project.write(spec)

    def app(self, command: str | None, **more: Any) -> dict[str, Any]:
        entry: dict[str, Any] = {"name": "web", "image": {"id": self.image_id[:39]}, **more}
        if command is not None:
            entry["app"] = {"exec": ["/bin/sh", "-c", command], "user": "0", "group": "0"} | entry.get("app", {})
        return entry

    def run(self, *apps: dict[str, Any], **more: Any) -> Result:
        document = {"acKind": "PodManifest", "acVersion": "0.8.11", "apps": list(apps), **more}
        (self.project.root / "pod.json").write_text(json.dumps(document))
        return self.project.doit("run", "pod=shop")

    @property
    def manifest(self) -> Any:
        return json.loads((self.project.pod(UID) / "pod").read_text())


@OVERLAY
@pytest.mark.contract("A.6 validatePodManifest", "L.1 rkt_run_pod_manifest", "L.2 verbatim arguments", "M 6")
def test_a_ready_manifest_is_run_with_its_image_ids_made_whole(tmp_path: Path, overlay: bool) -> None:
    bench = Bench(tmp_path, overlay, app=["/bin/false"])
    words = 'echo "a\'b" \'$HOME\' "line\nend"'
    ran = bench.run(bench.app(words), userLabels={"kept": "yes"})
    assert (ran.code, ran.out) == (0, "a'b $HOME line\nend\n"), ran.err
    assert bench.manifest["apps"][0]["image"]["id"] == bench.image_id
    assert bench.manifest["userLabels"] == {"kept": "yes"}


@OVERLAY
@pytest.mark.contract("A.6 validatePodManifest", "L.2 image's app used")
def test_without_an_app_section_the_image_s_is_used(tmp_path: Path, overlay: bool) -> None:
    bench = Bench(tmp_path, overlay, app=["/bin/sh", "-c", "echo of the image"])
    assert bench.run(bench.app(None)).out == "of the image\n"


@pytest.mark.contract("A.6 validatePodManifest")
def test_without_any_app_section_there_is_nothing_to_run(tmp_path: Path) -> None:
    bench = Bench(tmp_path)
    ran = bench.run(bench.app(None))
    assert ran.code != 0 and "no app section in the pod manifest or the image manifest" in ran.err


@pytest.mark.contract("A.6 validatePodManifest", "L.2 no apps")
def test_a_manifest_without_apps_is_refused_before_anything_is_made(tmp_path: Path) -> None:
    bench = Bench(tmp_path)
    ran = bench.run()
    assert ran.code != 0 and "pod must contain at least one application" in ran.err
    assert not (bench.project.pod(UID) / "pod").exists()


@pytest.mark.contract("A.6 validatePodManifest")
def test_an_image_that_is_not_stored_is_named(tmp_path: Path) -> None:
    bench = Bench(tmp_path)
    ran = bench.run({"name": "web", "image": {"id": "sha512-" + "ab" * 16}})
    assert ran.code != 0 and "abababab" in ran.err and "Traceback" not in ran.err


@pytest.mark.parametrize("content", [None, "", "{", "[]"])
@pytest.mark.contract("A.6 validatePodManifest")
def test_a_manifest_that_cannot_be_read_is_told(tmp_path: Path, content: str | None) -> None:
    bench = Bench(tmp_path)
    if content is not None:
        (bench.project.root / "pod.json").write_text(content)
    ran = bench.project.doit("run", "pod=shop")
    assert ran.code != 0 and "pod.json" in ran.err and "Traceback" not in ran.err


@OVERLAY
@pytest.mark.parametrize("image_flag", [True, False])
@pytest.mark.parametrize("volume_flag", [True, False, None])
@pytest.mark.contract("L.2 read-only precedence", "F.6 mounts")
def test_the_volume_s_flag_beats_the_mount_point_s(
    tmp_path: Path, overlay: bool, image_flag: bool, volume_flag: bool | None
) -> None:
    (tmp_path / "data").mkdir()
    bench = Bench(tmp_path, overlay, app=["/bin/true"])
    volume = {"name": "dir1", "kind": "host", "source": str(tmp_path / "data")}
    if volume_flag is not None:
        volume["readOnly"] = volume_flag  # type: ignore[assignment]
    point = {"name": "dir1", "path": "/dir1", "readOnly": image_flag}
    app = bench.app("echo x >/dir1/file", app={"mountPoints": [point]}, mounts=[{"volume": "dir1", "path": "/dir1"}])
    ran = bench.run(app, volumes=[volume])
    writable = not (image_flag if volume_flag is None else volume_flag)
    assert (ran.code == 0) == writable == (tmp_path / "data/file").exists()
    assert writable or "ead-only file system" in ran.err
