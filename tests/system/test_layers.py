"""The writable layers of a run with overlay: modes, owners, SELinux labels, and no set-group-ID bit handed down."""

from __future__ import annotations

import os
import stat
from pathlib import Path

import pytest

from stages.base.paths import PodPaths
from stages.pod import mounts
from stages.pod.mounts import Layer
from stages.trees.forms import Lower
from tests.system import workbench
from tests.system.workbench import Project

pytestmark = pytest.mark.system

UID = "4e8d8f7a-0a55-4f27-b8a1-6f1a8f3a2c01"


@pytest.fixture
def pod(tmp_path: Path) -> PodPaths:
    made = PodPaths(tmp_path / "pod")
    made.app_info("web").mkdir(parents=True)
    made.app_manifest("web").write_text("{}")
    made.stage1.mkdir()
    return made


def layers(tmp_path: Path) -> tuple[Layer, Layer]:
    for name in ("s1/rkt/status", "s1/opt/stage2", "app"):
        (tmp_path / name).mkdir(parents=True)
    return (
        Layer("", "tree-of-stage1", Lower(str(tmp_path / "s1")), (0, 0, 0o755)),
        Layer("web", "tree-of-web", Lower(str(tmp_path / "app")), (7, 8, 0o1750)),
    )


def mode(path: Path) -> int:
    return stat.S_IMODE(path.stat().st_mode)


@pytest.mark.parametrize(
    "text", ["", "{", "[" * 100_000, "{}", "[1]", "7", '[{"lower": {}}]', '[{"lower": {"x": 1}, "overlay": {}}]']
)
def test_a_damaged_plan_mounts_nothing_for_gc(pod: PodPaths, text: str) -> None:
    pod.overlay.mkdir()
    pod.mount_plan.write_text(text)
    assert mounts.of_stage1(pod) == ([], None)


@pytest.mark.contract("A.16 overlayRender", "M 12")
def test_an_upper_has_owner_and_mode_of_the_image_s_root_whatever_the_umask(tmp_path: Path, pod: PodPaths) -> None:
    before = os.umask(0o077)
    try:
        mounts.fresh_layers(pod, layers(tmp_path), None, "")
    finally:
        os.umask(before)
    upper = pod.upper("tree-of-web", "web")
    assert (upper.stat().st_uid, upper.stat().st_gid, mode(upper)) == (7, 8, 0o1750)
    assert mode(pod.overlay) == mode(pod.work("tree-of-web", "web")) == 0o750
    assert mode(pod.upper("tree-of-stage1")) == 0o755


@pytest.mark.contract("A.16 overlayRender")
def test_a_set_group_id_bit_of_the_pod_directory_is_not_handed_down(tmp_path: Path, pod: PodPaths) -> None:
    pod.root.chmod(0o2750)
    mounts.fresh_layers(pod, layers(tmp_path), None, "")
    made = [path for path in pod.overlay.rglob("*") if path.is_dir()]
    assert made and not [path for path in (pod.overlay, *made) if mode(path) & stat.S_ISGID]


@pytest.mark.contract("A.14 setupStage1Image", "A.12 setupAppImage", "M 28")
def test_what_stage1_finds_in_its_root_lies_in_its_upper(tmp_path: Path, pod: PodPaths) -> None:
    mounts.fresh_layers(pod, layers(tmp_path), None, "")
    upper = pod.upper("tree-of-stage1")
    assert (upper / "rkt/status").is_dir()
    assert (upper / "opt/stage2/web/manifest").read_text() == "{}"
    assert mode(upper / "opt/stage2/web/rootfs") == 0o1750


@pytest.mark.contract("J.1 labels", "A.16 overlayRender")
def test_both_layers_and_the_mount_have_the_pod_s_label(tmp_path: Path, pod: PodPaths) -> None:
    label = "system_u:object_r:container_file_t:s0:c3,c9"
    mounts.fresh_layers(pod, layers(tmp_path), None, label)
    for tree, app in (("tree-of-stage1", ""), ("tree-of-web", "web")):
        for path in (pod.upper(tree, app), pod.work(tree, app)):
            assert os.getxattr(path, "security.selinux") == label.encode()
    assert [entry["overlay"]["label"] for entry in mounts.read_plan(pod)] == [label, label]


@pytest.mark.contract("J.1 labels")
def test_without_a_label_nothing_is_labelled(tmp_path: Path, pod: PodPaths) -> None:
    mounts.fresh_layers(pod, layers(tmp_path), None, "")
    assert "security.selinux" not in os.listxattr(pod.upper("tree-of-web", "web"))


@pytest.mark.contract("M 12", "A.16 overlayRender")
def test_an_app_of_stage1_s_own_image_has_its_own_layer(tmp_path: Path) -> None:
    project = Project(tmp_path / "project", tmp_path / "data")
    names = ("run", "gc")
    annotations = [{"name": f"coreos.com/rkt/stage1/{name}", "value": f"/bin/{name}"} for name in names]
    members = workbench.busybox(
        *(workbench.build.symlink(f"bin/{name}", "true") for name in names),
        *(workbench.build.directory(name) for name in ("opt", "opt/stage2", "rkt", "rkt/status")),
    )
    manifest = workbench.manifest("example.com/both", app=["/bin/true"], annotations=annotations)
    project.image("both.aci", manifest, members)
    containers = [{"name": "web", "image": "images/both.aci"}]
    project.write(workbench.spec("shop", UID, containers, stage1="images/both.aci", overlay=True))
    assert project.doit("run", "pod=shop").code in (0, 126, 127)
    assert project.doit("run", "pod=shop", "overlay").code == 0
    pod = PodPaths(project.pod(UID))
    uppers = [entry["overlay"]["upper"] for entry in mounts.read_plan(pod)]
    assert len(set(uppers)) == 2 and not uppers[1].startswith(uppers[0] + "/")


@pytest.mark.contract("A.9 mounts fail", "M 10")
def test_a_mount_that_fails_is_told_with_the_way_around(tmp_path: Path) -> None:
    project = Project(tmp_path / "project", tmp_path / "data")
    project.image("web.aci", workbench.manifest("example.com/web", app=["/bin/true"]), workbench.busybox())
    containers = [{"name": "web", "image": "images/web.aci"}]
    project.write(workbench.spec("shop", UID, containers, stage1="stub", overlay=True))
    assert project.doit("run", "pod=shop").code == 0
    # In a user namespace the kernel mounts no index, and the pod was prepared with one.
    project.wrapper = ["unshare", "--user", "--map-root-user"]
    ran = project.doit("run", "pod=shop")
    assert ran.code == 1 and "overlay: false" in ran.err and "Traceback" not in ran.err, ran.err
    project.wrapper = []
    assert project.doit("run", "pod=shop").code == 0


def test_no_namespace_for_mounts_is_told(tmp_path: Path) -> None:
    project = Project(tmp_path / "project", tmp_path / "data")
    project.image("web.aci", workbench.manifest("example.com/web", app=["/bin/true"]), workbench.busybox())
    project.write(workbench.spec("shop", UID, [{"name": "web", "image": "images/web.aci"}], stage1="stub"))
    limited = 'echo 0 >/proc/sys/user/max_mnt_namespaces; exec "$0" "$@"'
    project.wrapper = ["unshare", "-Ur", "--mount", "--propagation", "slave", "sh", "-c", limited]
    ran = project.doit("run", "pod=shop")
    assert ran.code == 1 and "mounts of its own" in ran.err and "Traceback" not in ran.err, ran.err


def test_a_data_directory_on_an_overlay_has_copies(tmp_path: Path) -> None:
    """As in most containers: the kernel takes no upper directory there, so `auto` does without."""
    project = Project(tmp_path / "project", tmp_path / "top" / "data")
    project.image("web.aci", workbench.manifest("example.com/web"), workbench.busybox())
    containers = [{"name": "web", "image": "images/web.aci", "command": ["/bin/echo", "ran"]}]
    project.write(workbench.spec("shop", UID, containers))
    for name in ("lower", "upper", "work", "top"):
        (tmp_path / name).mkdir()
    options = f"lowerdir={tmp_path}/lower,upperdir={tmp_path}/upper,workdir={tmp_path}/work"
    script = f'mount -t overlay overlay -o {options} {tmp_path}/top && exec "$0" "$@"'
    project.wrapper = ["unshare", "--mount", "sh", "-c", script]
    ran = project.doit("run", "pod=shop")
    assert (ran.code, ran.out) == (0, "ran\n"), ran.err
    assert "app:web          copy of" in ran.err
    project.write(workbench.spec("shop", UID, containers, overlay=True))
    assert "takes no overlays" in project.doit("run", "pod=shop").err
