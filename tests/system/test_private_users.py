"""Private users through the real `doit` and the crun flavor: inside, ids are what the image says; outside, shifted."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import pytest

from stages.images import build
from tests.system import workbench
from tests.system.workbench import Project

pytestmark = pytest.mark.system

UID = "0d6a3d52-31e0-4c8e-9e6c-6a5cf2f5aa01"
OTHER = "0d6a3d52-31e0-4c8e-9e6c-6a5cf2f5aa02"
OVERLAY = pytest.mark.parametrize("overlay", [True, False], ids=["overlay", "copy"])
RANGE = {"shift": 1310720, "count": 65536}


@pytest.fixture
def project(tmp_path: Path) -> Project:
    made = Project(tmp_path / "project", tmp_path / "data")
    owned = [
        build.directory("home", 0o755),
        build.directory("home/user1", 0o700, uid=1000, gid=100),
        build.regular("home/user1/file", b"mine\n", 0o600, uid=1000, gid=100),
        build.regular("etc/passwd", b"root:x:0:0::/:/bin/sh\nuser1:x:1000:100::/home/user1:/bin/sh\n"),
        build.regular("etc/group", b"root:x:0:\ngroup1:x:100:\n"),
        build.symlink("home/link", "user1", uid=1000, gid=100),
    ]
    made.image("web.aci", workbench.manifest("example.com/web", app=["/bin/true"]), workbench.busybox(*owned))
    return made


def write(
    project: Project, script: str, *, name: str = "shop", uid: str = UID, pod: dict[str, Any] | None = None, **more: Any
) -> None:
    container = {"name": "web", "image": "images/web.aci", "command": ["/bin/sh", "-c", script]}
    container |= more.pop("container", {})
    spec = workbench.spec(name, uid, [container], **{"privateUsers": "auto", **more})
    spec["spec"] |= pod or {}
    project.write(spec)


def run(project: Project, pod: str = "shop") -> list[str]:
    ran = project.doit("run", f"pod={pod}")
    assert ran.code == 0, ran.err
    return ran.out.splitlines()


def app_root(project: Project, uid: str, overlay: bool) -> Path:
    """Where on the host the app's own files lie: the writable layer, or the copied root."""
    pod = project.pod(uid)
    if not overlay:
        return pod / "stage1/rootfs/opt/stage2/web/rootfs"
    return pod / "overlay" / (pod / "appsinfo/web/treeStoreID").read_text() / "upper/web"


def shift(project: Project, uid: str = UID) -> int:
    start, count = (project.pod(uid) / "private-users-prepared").read_text().split(":")
    assert count == "65536"
    return int(start)


@OVERLAY
@pytest.mark.parametrize("chosen", ["auto", RANGE], ids=["auto", "range"])
@pytest.mark.contract("L.1 rkt_userns", "G ranges", "M 9", "A.7 private users")
def test_inside_ids_are_the_image_s_and_outside_they_are_shifted(project: Project, overlay: bool, chosen: Any) -> None:
    script = "stat -c '%u:%g %a %n' / /bin /home/user1 /home/user1/file; touch /new; id -u; cat /proc/self/uid_map"
    write(project, script, privateUsers=chosen, overlay=overlay)
    *listed, own, mapped = run(project)
    assert listed == ["0:0 755 /", "0:0 755 /bin", "1000:100 700 /home/user1", "1000:100 600 /home/user1/file"]
    start = shift(project)
    assert own == "0" and mapped.split() == ["0", str(start), "65536"]
    if chosen != "auto":
        assert start == RANGE["shift"]
    made = (app_root(project, UID, overlay) / "new").stat()
    assert (made.st_uid, made.st_gid) == (start, start)


@OVERLAY
@pytest.mark.contract("L.1 rkt_run_user_group", "L.1 rkt_userns")
def test_an_app_of_another_user_owns_what_the_image_gives_it(project: Project, overlay: bool) -> None:
    script = "id -u; id -g; cat /home/user1/file; echo more >>/home/user1/file; cat /home/link/file | grep -c ."
    write(project, script, overlay=overlay, apps={"web": {"user": "user1", "group": "group1"}})
    assert run(project) == ["1000", "100", "mine", "2"]
    changed = (app_root(project, UID, overlay) / "home/user1/file").stat()
    assert (changed.st_uid, changed.st_gid) == (shift(project) + 1000, shift(project) + 100)


@OVERLAY
@pytest.mark.contract("G ranges", "M.5 ranges collide")
def test_two_pods_have_two_ranges_and_keep_them_until_they_are_removed(project: Project, overlay: bool) -> None:
    write(project, "true", overlay=overlay)
    write(project, "true", overlay=overlay, name="other", uid=OTHER)
    for pod in ("shop", "other", "shop"):
        run(project, pod)
    first, second = shift(project), shift(project, OTHER)
    run(project)
    assert first == shift(project) and abs(first - second) >= 65536
    assert sorted(os.listdir(project.data / "shifts"), key=int) == sorted(
        (str(start // 65536) for start in (first, second)), key=int
    )
    assert project.doit("rm", "pod=shop").code == 0
    assert os.listdir(project.data / "shifts") == [str(second // 65536)]
    assert project.doit("gc", "--grace-period", "0s").code == 0
    assert os.listdir(project.data / "shifts") == []


@OVERLAY
@pytest.mark.contract("F.3 empty volume", "L.1 rkt_userns")
def test_an_empty_volume_belongs_to_the_ids_of_the_pod(project: Project, overlay: bool) -> None:
    volumes = [{"name": "scratch", "emptyDir": {"mode": "0750", "uid": 1000, "gid": 100}}]
    mounts = [{"name": "scratch", "mountPath": "/scratch"}]
    script = "stat -c '%u:%g %a' /scratch; touch /scratch/new"
    write(project, script, pod={"volumes": volumes}, container={"volumeMounts": mounts}, overlay=overlay)
    assert run(project) == ["1000:100 750"]
    shared = project.pod(UID) / "sharedVolumes/scratch"
    assert shared.stat().st_uid == shift(project) + 1000 and (shared / "new").stat().st_uid == shift(project)


@OVERLAY
@pytest.mark.contract("L.1 rkt_userns")
def test_a_host_volume_keeps_the_host_s_owners(project: Project, tmp_path: Path, overlay: bool) -> None:
    """docs/stage1-contract.md: ids outside of the pod's range are nobody's inside, and only others' rights hold."""
    source = tmp_path / "source"
    source.mkdir(0o755)
    (source / "readable").write_text("text\n")
    (source / "secret").write_text("secret\n")
    (source / "secret").chmod(0o600)
    volumes = [{"name": "data", "hostPath": {"path": str(source)}}]
    mounts = [{"name": "data", "mountPath": "/data"}]
    script = "stat -c %u /data; cat /data/readable; cat /data/secret || touch /data/new || echo refused"
    write(project, script, pod={"volumes": volumes}, container={"volumeMounts": mounts}, overlay=overlay)
    assert run(project) == ["65534", "text", "refused"]
    assert source.stat().st_uid == os.getuid() and sorted(os.listdir(source)) == ["readable", "secret"]


@OVERLAY
@pytest.mark.contract("A.8 markers", "G ranges")
def test_without_private_users_no_marker_stays_and_owners_are_the_image_s(project: Project, overlay: bool) -> None:
    write(project, "touch /new", overlay=overlay)
    run(project)
    write(project, "touch /new; stat -c %u /home/user1/file", overlay=overlay, privateUsers=False)
    assert run(project) == ["1000"]
    assert not (project.pod(UID) / "private-users-prepared").exists()
    assert (app_root(project, UID, overlay) / "new").stat().st_uid == 0


def test_an_empty_volume_of_nobody_in_the_pod_is_refused(project: Project) -> None:
    volume = {"name": "data", "emptyDir": {"uid": 70000}}
    mounts = {"volumeMounts": [{"name": "data", "mountPath": "/data"}]}
    write(project, "true", pod={"volumes": [volume]}, container=mounts)
    ran = project.doit("run", "pod=shop")
    assert ran.code == 254 and "volume data belongs to 70000:0, and the pod has the ids 0 to 65535" in ran.err, ran.err
