"""Whoever calls with the umask 0 opens nothing of ours to be written by others, and with 077 closes no pod's way."""

from __future__ import annotations

import os
import stat
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from stages.images import build
from tests.images.oci_maker import Image, layer, write_layout
from tests.system import workbench
from tests.system.stage1_pod import HandMadePod, sh
from tests.system.workbench import Project

pytestmark = pytest.mark.system

UID = "66666666-0000-4000-8000-000000000006"


def open_to_others(folder: Path, spared: tuple[str, ...]) -> Iterator[str]:
    """What the group or others may write to, without what images and apps bring."""
    for place, below, names in os.walk(folder):
        below[:] = [name for name in below if not f"{os.path.relpath(place, folder)}/{name}".endswith(spared)]
        for path in (Path(place, name) for name in (*below, *names)):
            mode = path.lstat().st_mode
            if mode & 0o022 and not stat.S_ISLNK(mode):
                yield f"{mode & 0o7777:o} {path.relative_to(folder)}"


@pytest.mark.parametrize("stage1", ["crun", "fly", "stub"])
@pytest.mark.parametrize("overlay", [True, False], ids=["overlay", "copy"])
def test_with_umask_0_nobody_else_may_write_to_what_a_run_leaves(tmp_path: Path, stage1: str, overlay: bool) -> None:
    host = tmp_path / "host"
    project = Project(
        tmp_path / "project",
        tmp_path / "above" / "data",
        environment={"PODWRIGHT_HOST_DIR": str(host)},
        wrapper=["/bin/sh", "-c", 'umask 0; exec "$@"', "-"],
    )
    project.image("box.aci", workbench.manifest("example.com/box", app=["/bin/true"]), workbench.busybox())
    write_layout(project.root / "images/oci", {"x": Image([layer([build.directory("etc")])])})
    app = {
        "name": "web",
        "image": "images/box.aci",
        "command": ["/bin/sh", "-c", "umask"],
        "volumeMounts": [{"name": "scratch", "mountPath": "/scratch"}],
    }
    users = {} if stage1 == "fly" else {"privateUsers": "auto"}
    spec = workbench.spec("job", UID, [app], stage1=stage1, overlay=overlay, net=["host"], **users)
    spec["spec"]["volumes"] = [{"name": "scratch", "emptyDir": {"mode": "0755"}}]
    project.write(spec)
    try:
        assert project.doit("images", "import", "oci:images/oci:x").code == 0
        for _ in range(2):
            done = project.doit("run", "pod=job")
            assert done.code == 0, done.err
        pod = project.pod(UID)
        assert (pod / "phase").read_text() == "run\n" and (pod / "pid").exists()
        found = list(open_to_others(tmp_path / "above", spared=("/rootfs/tmp", "/rootfs", "/upper/web")))
        statuses = [path for path in pod.rglob("rkt/status/web") if stat.S_IMODE(path.stat().st_mode) & 0o022]
        assert found == [] and statuses == []
        assert list(open_to_others(host, ())) == [] or stage1 == "fly"
        assert stat.S_IMODE((tmp_path / "above" / "data").stat().st_mode) == 0o755
    finally:
        assert project.doit("rm", "job").code == 0


@pytest.mark.parametrize("umask", ["0", "077"])
def test_with_any_umask_a_shifted_pod_runs_and_run_is_writable_for_nobody_else(tmp_path: Path, umask: str) -> None:
    pod = HandMadePod(tmp_path)
    root = pod.add("web", sh("umask; cat /dir1/file"), user="1000")
    subprocess.run(["chown", "-Rh", "1000000:1000000", str(root)], check=True)
    script = f'mount -t tmpfs none /run; umask {umask}; "$@" && stat -c %a /run/podwright /run/podwright/staging'
    done = pod.run("--private-users=1000000:65536", prefix=["unshare", "-m", "/bin/sh", "-c", script, "-"])
    assert (done.returncode, done.stdout.split()) == (0, ["0022", "dir1755", "711"]), done.stderr
