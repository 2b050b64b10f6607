"""rkt's cases of volumes and ready manifests (contract L.2, L.3), single rows of L.1 and M, through the real `doit`."""

from __future__ import annotations

import fcntl
import json
import os
import subprocess
from pathlib import Path
from typing import Any

import pytest

from stages.images import build
from tests.system import workbench
from tests.system.workbench import Project, Result

pytestmark = pytest.mark.system

UID = "77777777-0d2b-4a52-8a0e-9bdff6be7a12"
OVERLAY = pytest.mark.parametrize("overlay", [True, False], ids=["overlay", "copy"])
READ_ONLY = pytest.mark.parametrize("read_only_root", [False, True], ids=["root", "read-only root"])


class Bench:
    """A pod `shop` of apps on one image, whose dir1 and dir2 hold a file each, and a host directory `data`."""

    def __init__(self, folder: Path, overlay: bool = True, **image: Any) -> None:
        self.project = Project(folder / "project", folder / "data")
        self.overlay = overlay
        self.host = folder / "host"
        self.host.mkdir()
        (self.host / "file").write_text("host\n")
        self.image(**image)

    def image(self, **more: Any) -> None:
        files = [build.regular(f"{name}/file", f"{name}\n".encode()) for name in ("dir1", "dir2")]
        members = workbench.busybox(build.directory("dir1"), build.directory("dir2"), *files)
        app = {"exec": ["/bin/true"], "user": "0", "group": "0"} | more.pop("app", {})
        self.project.image("web.aci", workbench.manifest("example.com/web", **more) | {"app": app}, members)

    def write(self, *scripts: str, container: dict[str, Any] | None = None, volume: Any = None, **stage0: Any) -> None:
        containers = [
            {"name": f"app{number}", "image": "images/web.aci", "command": ["/bin/sh", "-c", script]}
            | (container or {})
            for number, script in enumerate(scripts)
        ]
        spec = workbench.spec("shop", UID, containers, **{"overlay": self.overlay, **stage0})
        if volume is not None:
            spec["spec"]["volumes"] = [{"name": "data", **volume}]
        self.project.write(spec)

    def run(self, *scripts: str, **options: Any) -> Result:
        self.write(*scripts, **options)
        return self.project.doit("run", "pod=shop")

    @property
    def host_volume(self) -> dict[str, Any]:
        return {"hostPath": {"path": str(self.host)}}

    @property
    def pod(self) -> Path:
        return self.project.pod(UID)


def at(path: str, read_only: bool = False) -> dict[str, Any]:
    return {"volumeMounts": [{"name": "data", "mountPath": path, "readOnly": read_only}]}


@OVERLAY
@READ_ONLY
@pytest.mark.contract("L.2 image's files", "L.3 no volume", "L.1 rkt_volume")
def test_the_image_s_files_are_read(tmp_path: Path, overlay: bool, read_only_root: bool) -> None:
    security = {"securityContext": {"readOnlyRootFilesystem": read_only_root}}
    assert Bench(tmp_path, overlay).run("cat /dir1/file", container=security).out == "dir1\n"


@OVERLAY
@READ_ONLY
@pytest.mark.contract("L.2 empty volume", "L.1 rkt_run_pod_manifest")
def test_an_empty_volume_is_written_and_read(tmp_path: Path, overlay: bool, read_only_root: bool) -> None:
    container = at("/dir1") | {"securityContext": {"readOnlyRootFilesystem": read_only_root}}
    script = "ls /dir1; echo empty:foo >/dir1/file && cat /dir1/file"
    assert Bench(tmp_path, overlay).run(script, container=container, volume={"emptyDir": {}}).out == "empty:foo\n"


@OVERLAY
@pytest.mark.contract("L.2 empty volume's mode", "F.3 empty volume")
def test_an_empty_volume_has_its_mode_and_owner(tmp_path: Path, overlay: bool) -> None:
    volume = {"emptyDir": {"mode": "0123", "uid": 9991, "gid": 9992}}
    ran = Bench(tmp_path, overlay).run("stat -c '%A %u %g' /dir1", container=at("/dir1"), volume=volume)
    assert ran.out == "d--x-w--wx 9991 9992\n"


@OVERLAY
@pytest.mark.contract("L.2 app section replaces", "A.4 mounts")
def test_the_spec_s_mounts_come_over_the_image_s_mount_points(tmp_path: Path, overlay: bool) -> None:
    points = [{"name": "data", "path": "/dir1", "readOnly": True}]
    bench = Bench(tmp_path, overlay, app={"mountPoints": points})
    ran = bench.run("echo host:bar >/dir2/new; cat /dir2/new", container=at("/dir2"), volume=bench.host_volume)
    assert ran.out == "host:bar\n" and (bench.host / "new").read_text() == "host:bar\n"


@OVERLAY
@pytest.mark.parametrize("target", ["/dir1", "/dir1/dir2/dir3", "/a/b/c"])
@pytest.mark.parametrize("read_only", [False, True])
@pytest.mark.contract("L.3 relative target", "L.3 nested target", "L.3 deep target", "L.1 rkt_volume")
def test_a_host_volume_is_read_where_it_is_mounted(tmp_path: Path, overlay: bool, target: str, read_only: bool) -> None:
    bench = Bench(tmp_path, overlay)
    ran = bench.run(f"cat {target}/file", container=at(target, read_only), volume=bench.host_volume)
    assert ran.out == "host\n", ran.err


@OVERLAY
@pytest.mark.contract("L.3 write without volume")
def test_what_is_written_without_a_volume_ends_with_the_run(tmp_path: Path, overlay: bool) -> None:
    bench = Bench(tmp_path, overlay)
    for _ in range(2):
        assert bench.run("echo 1 >>/dir1/new; cat /dir1/new").out == "1\n"


@OVERLAY
@pytest.mark.contract("L.3 write to a volume", "L.2 host volume")
def test_what_is_written_to_a_volume_is_there_for_the_next_run(tmp_path: Path, overlay: bool) -> None:
    bench = Bench(tmp_path, overlay)
    for expected in ("1\n", "1\n1\n"):
        ran = bench.run("echo 1 >>/dir1/new; cat /dir1/new", container=at("/dir1"), volume=bench.host_volume)
        assert ran.out == expected == (bench.host / "new").read_text()


@OVERLAY
@pytest.mark.contract("L.3 write to a read-only one", "L.3 mount without mount point")
def test_a_read_only_volume_cannot_be_written(tmp_path: Path, overlay: bool) -> None:
    bench = Bench(tmp_path, overlay)
    ran = bench.run("echo 1 >/dir1/file", container=at("/dir1", True), volume=bench.host_volume)
    assert ran.code != 0 and "ead-only file system" in ran.err
    assert (bench.host / "file").read_text() == "host\n"


@OVERLAY
@pytest.mark.contract("L.3 implicit empty volume")
def test_a_mount_point_without_a_volume_can_be_written(tmp_path: Path, overlay: bool) -> None:
    bench = Bench(tmp_path, overlay, app={"mountPoints": [{"name": "data", "path": "/dir1"}]})
    ran = bench.run("ls /dir1; echo 2 >/dir1/file; cat /dir1/file")
    assert ran.out == "2\n", ran.err


@OVERLAY
@pytest.mark.contract("L.3 shared by name", "L.2 shared volume", "M 2")
def test_two_apps_of_one_image_share_a_volume_by_its_name(tmp_path: Path, overlay: bool) -> None:
    bench = Bench(tmp_path, overlay, app={"mountPoints": [{"name": "data", "path": "/dir1"}]})
    read = "until [ -s /dir1/new ]; do sleep 0.05; done; cat /dir1/new"
    ran = bench.run("echo host:foo >/dir1/part; ln /dir1/part /dir1/new", read, volume={"emptyDir": {}})
    assert ran.out == "host:foo\n", ran.err


@pytest.mark.contract("L.3 missing source", "M.5 volume source")
def test_a_source_that_is_not_there_is_named_before_the_pod_starts(tmp_path: Path) -> None:
    bench = Bench(tmp_path)
    ran = bench.run("echo ran", container=at("/dir1"), volume={"hostPath": {"path": str(tmp_path / "missing")}})
    assert ran.code == 1 and ran.out == ""
    assert f"Failed to stat {tmp_path / 'missing'}: No such file or directory" in ran.err


@OVERLAY
@pytest.mark.contract("L.1 rkt_mtab")
def test_mtab_leads_to_the_mounts_of_whoever_reads_it(tmp_path: Path, overlay: bool) -> None:
    assert Bench(tmp_path, overlay).run("readlink /etc/mtab").out == "../proc/self/mounts\n"


@pytest.mark.contract("L.1 rkt_app_isolator_nspawn")
def test_an_app_cannot_write_to_control_groups(tmp_path: Path) -> None:
    script = "grep -c cgroup /proc/mounts; touch /sys/fs/cgroup/x 2>/dev/null || echo refused"
    ran = Bench(tmp_path).run(script)
    assert ran.out.splitlines()[-1] == "refused" and " rw" not in ran.out


@OVERLAY
@pytest.mark.contract("M 13")
def test_both_copies_of_an_app_s_manifest_are_the_image_s_own_bytes(tmp_path: Path, overlay: bool) -> None:
    bench = Bench(tmp_path, overlay)
    assert bench.run("true").code == 0
    stage1 = bench.pod / "stage1/rootfs"
    if overlay:
        stage1 = bench.pod / "overlay" / (bench.pod / "stage1TreeStoreID").read_text() / "upper"
    copy = (bench.pod / "appsinfo/app0/manifest").read_bytes()
    assert (stage1 / "opt/stage2/app0/manifest").read_bytes() == copy
    assert json.loads(copy)["name"] == "example.com/web"


@pytest.mark.contract("M 15", "M.6 options kept")
def test_a_prepared_pod_is_run_with_all_that_its_spec_says(tmp_path: Path) -> None:
    bench = Bench(tmp_path)
    bench.write("true", stage1="stub", debug=True, localConfig="/x", privateUsers="auto")
    assert bench.project.doit("run", "pod=shop", "manifest").code == 0
    argv = json.loads(bench.project.doit("run", "pod=shop").out)["argv"]
    users = (bench.pod / "private-users-prepared").read_text()
    assert argv[1:] == ["--debug", "--net=none", f"--private-users={users}", "--local-config=/x", UID]


@pytest.mark.contract("M.5 pod isolators")
def test_isolators_of_the_whole_pod_are_told_to_have_no_effect(tmp_path: Path) -> None:
    bench = Bench(tmp_path)
    assert bench.run("true").code == 0
    document = json.loads((bench.pod / "pod").read_text())
    document["isolators"] = [{"name": "resource/memory", "value": {"limit": "1G"}}]
    (bench.project.root / "pod.json").write_text(json.dumps(document))
    spec = workbench.spec("shop", UID, [], podManifest="pod.json")
    del spec["spec"]
    bench.project.write(spec)
    ran = bench.project.doit("run", "pod=shop")
    assert ran.code == 0 and "resource/memory" in ran.err


@pytest.mark.contract("M.5 signed limits")
def test_limits_may_be_larger_than_31_bits(tmp_path: Path) -> None:
    limits = {"resources": {"limits": {"memory": "6Gi"}}}
    bench = Bench(tmp_path)
    assert bench.run("true", container=limits).code == 0
    (app,) = json.loads((bench.pod / "pod").read_text())["apps"]
    assert {"name": "resource/memory", "value": {"limit": str(6 << 30)}} in app["app"]["isolators"]


@pytest.mark.parametrize("way", ["by path", "by name", "by name and label", "by id"])
@pytest.mark.contract("L.1 rkt_stage1_loading", "M 45", "M 47")
def test_stage1_is_an_image_reference_like_any_other(tmp_path: Path, way: str) -> None:
    bench = Bench(tmp_path)
    annotations = [{"name": f"coreos.com/rkt/stage1/{name}", "value": f"/{name}"} for name in ("run", "gc")]
    members = [build.regular(name, b"#!/bin/busybox sh\necho $0 was run\n", 0o755) for name in ("run", "gc")]
    members += [build.directory(name) for name in ("opt", "opt/stage2", "rkt", "rkt/status")]
    manifest = workbench.manifest("example.com/stage1", annotations=annotations, labels={"version": "1.2.3"})
    file = bench.project.image("stage1.aci", manifest, members)
    reference = "images/stage1.aci"
    if way != "by path":
        assert bench.project.doit("images", "import", str(file)).code == 0
        listed = json.loads(bench.project.doit("images", "--format", "json").out)
        (image,) = listed["images"] if isinstance(listed, dict) else listed
        named = {"by name": "example.com/stage1", "by name and label": "example.com/stage1:1.2.3"}
        reference = named.get(way, image["id"])
    ran = bench.run("true", stage1=reference)
    assert ran.out == f"{bench.pod}/stage1/rootfs/run was run\n", ran.err


@pytest.mark.contract("M 25", "L.1 rkt_gc")
def test_a_stage1_whose_gc_fails_stops_neither_the_next_run_nor_the_removal(tmp_path: Path) -> None:
    bench = Bench(tmp_path)
    annotations = [{"name": f"coreos.com/rkt/stage1/{name}", "value": f"/{name}"} for name in ("run", "gc")]
    programs = {"run": b"#!/bin/busybox sh\necho ran\n", "gc": b"#!/bin/busybox sh\nexit 3\n"}
    members = [build.regular(name, program, 0o755) for name, program in programs.items()]
    members += [build.directory(name) for name in ("opt", "opt/stage2", "rkt", "rkt/status")]
    bench.project.image("stage1.aci", workbench.manifest("example.com/s", annotations=annotations), members)
    assert bench.run("true", stage1="images/stage1.aci").out == "ran\n"
    again = bench.project.doit("run", "pod=shop")
    assert again.out == "ran\n" and "gc ended with 3" in again.err
    removed = bench.project.doit("rm", "pod=shop")
    assert removed.code == 0 and "gc ended with 3" in removed.err and not bench.pod.exists()


@pytest.mark.parametrize("command", [["rm", "pod=shop"], ["gc", "--expire-prepared", "0s"], ["run", "pod=shop"]])
@pytest.mark.contract("M 18", "M 19", "M 20", "M 40")
def test_a_pod_that_somebody_holds_is_left_alone_and_not_waited_for(tmp_path: Path, command: list[str]) -> None:
    bench = Bench(tmp_path)
    bench.write("true")
    assert bench.project.doit("run", "pod=shop", "manifest").code == 0
    held = os.open(bench.pod, os.O_RDONLY | os.O_DIRECTORY)
    try:
        fcntl.flock(held, fcntl.LOCK_EX)
        done = bench.project.doit(*command)
        assert (done.code != 0) == (command[0] != "gc") and "Traceback" not in done.err
        assert (bench.pod / "pod").exists()
    finally:
        os.close(held)


@pytest.mark.contract("L.1 rkt_pid_file")
def test_enter_waits_for_the_pid_and_fails_when_the_pod_ends_without(tmp_path: Path) -> None:
    """A shell that holds the lock stands for a stage1 that has not written its pid yet."""
    bench = Bench(tmp_path)
    bench.write("true")
    assert bench.project.doit("run", "pod=shop").code == 0
    for name in ("pid", "ppid"):
        (bench.pod / name).unlink(missing_ok=True)
    held = os.open(bench.pod, os.O_RDONLY | os.O_DIRECTORY)
    fcntl.flock(held, fcntl.LOCK_EX)
    waiting = bench.project.started("enter", "pod=shop", "--", "/bin/true")
    with pytest.raises(subprocess.TimeoutExpired):
        waiting.wait(1)
    os.close(held)
    _, told = waiting.communicate()
    assert waiting.returncode != 0 and "isn't currently running" in told


@pytest.mark.contract("M 38")
def test_the_store_is_read_while_somebody_prepares(tmp_path: Path) -> None:
    bench = Bench(tmp_path)
    bench.write("true")
    assert bench.project.doit("run", "pod=shop", "manifest").code == 0
    held = os.open(bench.project.data / "locks/prepare", os.O_RDWR)
    try:
        fcntl.flock(held, fcntl.LOCK_SH)
        for command in (["images", "list"], ["ps"], ["status", "pod=shop"], ["run", "pod=shop"]):
            done = bench.project.doit(*command)
            assert done.code == 0, f"{command}: {done.err}"
    finally:
        os.close(held)
