"""stage1 images that know nothing of podwright: compiled C of two interface versions, and a shell script."""

from __future__ import annotations

import contextlib
import json
import os
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from stages.images import build
from tests.system import workbench
from tests.system.workbench import Project

pytestmark = pytest.mark.system

UID = "3c1f1f8e-7c9f-4f0b-8d5c-2a4b7f1f9d10"
SOURCE = Path(__file__).parents[1] / "data" / "foreign_stage1.c"
PREFIX = "coreos.com/rkt/stage1/"
VERSIONS = range(1, 7)
OVERLAY = pytest.mark.parametrize("overlay", [True, False], ids=["overlay", "copy"])

SCRIPT = b"""#!/bin/busybox sh
# Tells what it was given, runs /app.sh in the app's root, writes pid and the app's status.
name=${0##*/}
{ echo "$name argv0 $0"; for word in "$@"; do echo "$name argv $word"; done; echo "$name cwd $PWD"; } >>"$FOREIGN_LOG"
[ "$name" = run ] || exit 0
echo "run lock $(readlink /proc/self/fd/$RKT_LOCK_FD)" >>"$FOREIGN_LOG"
echo $$ >pid
for app in stage1/rootfs/opt/stage2/*; do
    [ -z "$FOREIGN_BIND" ] || { mkdir "$app/rootfs/mnt" && mount -o bind "$FOREIGN_BIND" "$app/rootfs/mnt"; }
    chroot "$app/rootfs" /bin/sh /app.sh; code=$?
    echo $code >stage1/rootfs/rkt/status/${app##*/}
done
exit $code
"""

SHIFTED = b"""#!/bin/busybox sh
cd stage1/rootfs/opt/stage2/web && stat -c "%a %u:%g" . manifest && cp /bin/busybox ../../../cat && cd - >/dev/null &&
exec /usr/sbin/chroot --userspec=1310720:1310720 --groups= stage1/rootfs /cat /opt/stage2/web/rootfs/app.sh
"""


@pytest.fixture(scope="module")
def programs(tmp_path_factory: pytest.TempPathFactory) -> dict[str, bytes]:
    """The foreign programs: C of every interface version, and the script (which says no version)."""
    folder = tmp_path_factory.mktemp("foreign")
    for version in VERSIONS:
        command = [
            "gcc",
            "-static",
            "-Os",
            "-Wall",
            "-Werror",
            f"-DVERSION={version}",
            "-o",
            str(folder / str(version)),
        ]
        subprocess.run([*command, str(SOURCE)], check=True)
    return {"sh": SCRIPT, **{f"c{version}": (folder / str(version)).read_bytes() for version in VERSIONS}}


class Foreign:
    """A project with a pod `shop` of one app on a foreign stage1."""

    def __init__(self, folder: Path, kind: str, program: bytes, **stage0: Any) -> None:
        self.log = folder / "log"
        self.project = Project(folder / "project", folder / "data", environment={"FOREIGN_LOG": str(self.log)})
        # The first version needs no saying.
        version = [{"name": f"{PREFIX}interface-version", "value": kind[1]}] if kind not in ("c1", "sh") else []
        names = ("run", "enter", "gc", "stop")
        entrypoints = [{"name": f"{PREFIX}{name}", "value": f"/{name}"} for name in names]
        members = [build.regular(name, program, 0o755) for name in names]
        members += [build.directory(name) for name in ("opt", "opt/stage2", "rkt", "rkt/status", "root")]
        members += [build.symlink("flavor", stage0.pop("flavor", "foreign"))]
        manifest = workbench.manifest(f"example.com/stage1-{kind}", annotations=[*entrypoints, *version])
        self.project.image("stage1.aci", manifest, members)
        self.app("exit 0")
        containers = [{"name": "web", "image": "images/web.aci"}]
        self.spec = workbench.spec("shop", UID, containers, stage1="images/stage1.aci", **stage0)
        self.spec["spec"]["hostname"] = "shop-host"
        self.project.write(self.spec)

    def app(self, script: str) -> None:
        """Let the app run this shell script."""
        members = workbench.busybox(build.regular("app.sh", script.encode()))
        self.project.image("web.aci", workbench.manifest("example.com/web", app=["/bin/sh"]), members)

    @property
    def pod(self) -> Path:
        return self.project.pod(UID)

    def status(self, overlay: bool) -> str:
        """The app's exit status, where rkt's `status` reads it."""
        upper = self.pod / "overlay" / (self.pod / "stage1TreeStoreID").read_text() / "upper"
        return ((upper if overlay else self.pod / "stage1/rootfs") / "rkt/status/web").read_text().strip()

    def told(self, entrypoint: str, fact: str) -> list[str]:
        """What the programs were given, since the beginning."""
        start = f"{entrypoint} {fact} "
        return [line.removeprefix(start) for line in self.log.read_text().splitlines() if line.startswith(start)]


@OVERLAY
@pytest.mark.parametrize("kind", [*(f"c{version}" for version in VERSIONS), "sh"])
@pytest.mark.contract("H.1 entrypoints", "H.2 interface versions", "H.3 run", "H.5 gc", "A.9 argv", "A.10 environment")
def test_a_foreign_stage1_runs_and_is_collected(
    tmp_path: Path, programs: dict[str, bytes], kind: str, overlay: bool
) -> None:
    foreign = Foreign(tmp_path, kind, programs[kind], overlay=overlay, debug=True, localConfig="/etc/rkt")
    foreign.project.environment["FOREIGN_MINE"] = "kept as it is"
    foreign.app("echo hello from the app; exit 42")
    ran = foreign.project.doit("run", "pod=shop")
    assert (ran.code, ran.out) == (42, "hello from the app\n"), ran.err
    hostname = ["--hostname=shop-host"] if kind[1] in "23456" else []
    assert foreign.told("run", "argv0") == [str(foreign.pod / "stage1/rootfs/run")]
    assert foreign.told("run", "argv") == ["--debug", "--net=none", "--local-config=/etc/rkt", *hostname, UID]
    assert foreign.told("run", "cwd") == [str(foreign.pod)]
    assert foreign.told("run", "lock") == ([str(foreign.pod)] if kind == "sh" else ["held"])
    if kind != "sh":
        assert foreign.told("run", "selinux") == [""] and foreign.told("run", "mine") == ["kept as it is"]
    assert foreign.status(overlay) == "42"
    assert "app-web=42" in foreign.project.doit("status", "pod=shop").out

    removed = foreign.project.doit("rm", "pod=shop")
    assert removed.code == 0 and not foreign.pod.exists(), removed.err
    config = ["--local-config", "/etc/rkt"] if kind[1] in "56" else []
    assert foreign.told("gc", "argv") == [*config, UID]
    assert foreign.told("gc", "cwd") == [str(foreign.pod)]
    if kind != "sh":
        # stage1's root is there as it was, with overlay too; the apps' are not needed any more.
        assert foreign.told("gc", "flavor") == ["foreign"] and foreign.told("gc", "finds") == ["the status"]
    assert Path(foreign.told("gc", "argv0")[0]).name == "gc"


@OVERLAY
@pytest.mark.contract("H.5 gc", "C.14 gc")
def test_a_second_run_collects_the_first(tmp_path: Path, programs: dict[str, bytes], overlay: bool) -> None:
    foreign = Foreign(tmp_path, "c1", programs["c1"], overlay=overlay)
    foreign.app("test ! -e /left && touch /left")
    assert [foreign.project.doit("run", "pod=shop").code for _ in range(2)] == [0, 0]
    assert foreign.told("gc", "argv") == [UID] and len(foreign.told("run", "cwd")) == 2


@contextlib.contextmanager
def running(foreign: Foreign) -> Iterator[tuple[subprocess.Popen[str], str]]:
    """The pod while its app, which tells its pid first, waits for the end of its input; that ends with the block."""
    foreign.app("echo $$; read line")
    process = foreign.project.started("run", "pod=shop", stdin=subprocess.PIPE)
    assert process.stdout is not None and process.stdin is not None and process.stderr is not None
    try:
        yield process, process.stdout.readline().strip()
    finally:
        process.stdin.close()
        process.wait()
        process.stdout.close()
        process.stderr.close()


@OVERLAY
@pytest.mark.contract("H.4 enter", "C.5 pid")
def test_enter_is_called_as_the_contract_says(tmp_path: Path, programs: dict[str, bytes], overlay: bool) -> None:
    foreign = Foreign(tmp_path, "c5", programs["c5"], overlay=overlay)
    with running(foreign) as (_, app):
        words = ["/bin/sh", "-c", "cat /app.sh; exit $1", "A=1", "7", "--", "x"]
        entered = foreign.project.doit("enter", "pod=shop", "--", *words)
        assert (entered.code, entered.out) == (7, "echo $$; read line"), entered.err
        assert foreign.told("enter", "argv") == [f"--pid={app}", "--appname=web", "--", *words]
        assert foreign.told("enter", "cwd") == [str(foreign.pod)]
        assert foreign.told("enter", "sees") == ["the app"] and foreign.told("enter", "flavor") == ["foreign"]


@pytest.mark.contract("H.4 enter")
def test_an_enter_that_is_not_there_is_named(tmp_path: Path, programs: dict[str, bytes]) -> None:
    foreign = Foreign(tmp_path, "c5", programs["c5"])
    with running(foreign):
        (program,) = foreign.project.data.glob("trees/*/rootfs/enter")
        program.unlink()
        entered = foreign.project.doit("enter", "pod=shop")
        assert entered.code == 1 and f"{program}: No such file" in entered.err


@OVERLAY
@pytest.mark.parametrize("force", [[], ["--force"]], ids=["asked", "forced"])
@pytest.mark.contract("H.6 stop", "L.1 rkt_stop")
def test_stop_is_called_as_the_contract_says(
    tmp_path: Path, programs: dict[str, bytes], overlay: bool, force: list[str]
) -> None:
    foreign = Foreign(tmp_path, "c5", programs["c5"], overlay=overlay)
    with running(foreign) as (process, _):
        stopped = foreign.project.doit("stop", *force, "pod=shop")
        assert stopped.code == 0, stopped.err
        assert foreign.told("stop", "argv") == [*force, UID]
        assert foreign.told("stop", "cwd") == [str(foreign.pod)] and foreign.told("stop", "sees") == ["the app"]
        # The init is a child of ours: TERM reached the app through it, KILL took it away.
        assert process.wait() == (-9 if force else 143)


@OVERLAY
@pytest.mark.contract("H.3 run", "H.4 enter", "H.6 stop")
def test_a_stage1_that_goes_on_in_the_background(tmp_path: Path, programs: dict[str, bytes], overlay: bool) -> None:
    foreign = Foreign(tmp_path, "c6", programs["c6"], overlay=overlay)
    foreign.project.environment["FOREIGN_MODE"] = "background"
    foreign.app("trap 'exit 3' TERM; while :; do sleep 0.02; done")
    ran = foreign.project.started("run", "pod=shop", stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    assert ran.wait() == 0
    try:
        # The lock tells that the pod runs, whatever became of the process that was its first.
        assert "state=running" in foreign.project.doit("status", "pod=shop").out
        assert foreign.project.doit("run", "pod=shop").err.count("is running") == 1
        entered = foreign.project.doit("enter", "pod=shop", "--", "/bin/cat", "/app.sh")
        assert (entered.code, entered.out) == (0, "trap 'exit 3' TERM; while :; do sleep 0.02; done"), entered.err
    finally:
        stopped = foreign.project.doit("stop", "pod=shop")
    assert stopped.code == 0 and foreign.told("stop", "sees") == ["the app"], stopped.err
    assert "app-web=3" in foreign.project.doit("status", "pod=shop").out


@pytest.mark.contract("H.3 run")
def test_a_stage1_that_keeps_the_lock_after_its_end(tmp_path: Path, programs: dict[str, bytes]) -> None:
    foreign = Foreign(tmp_path, "c1", programs["c1"])
    hold = tmp_path / "hold"
    os.mkfifo(hold)
    foreign.project.environment |= {"FOREIGN_MODE": "late", "FOREIGN_HOLD": str(hold)}
    foreign.app("exit 4")
    assert foreign.project.doit("run", "pod=shop").code == 4
    try:
        assert "state=running" in foreign.project.doit("status", "pod=shop").out
        for command in ("run", "rm"):
            refused = foreign.project.doit(command, "pod=shop")
            assert refused.code != 0 and "is running" in refused.err
        waiting = foreign.project.started("status", "--wait", "pod=shop")
    finally:
        os.close(os.open(hold, os.O_WRONLY))
    assert "state=exited" in waiting.communicate()[0]
    assert foreign.project.doit("rm", "pod=shop").code == 0


@OVERLAY
@pytest.mark.parametrize("target", ["/bin/run", "bin/run", "../../../bin/run"])
@pytest.mark.contract("H.1 entrypoints")
def test_an_entrypoint_that_is_a_link_leads_to_a_program_of_the_image(
    tmp_path: Path, programs: dict[str, bytes], overlay: bool, target: str
) -> None:
    foreign = Foreign(tmp_path, "c1", programs["c1"], overlay=overlay)
    members = [build.directory(name) for name in ("bin", "opt", "opt/stage2", "rkt", "rkt/status")]
    members += [build.regular("bin/run", programs["c1"], 0o755), build.symlink("flavor", "linked")]
    members += [build.symlink(name, target) for name in ("run", "enter", "gc", "stop")]
    listed = [{"name": f"{PREFIX}{name}", "value": f"/{name}"} for name in ("run", "enter", "gc", "stop")]
    foreign.project.image("stage1.aci", workbench.manifest("example.com/s", annotations=listed), members)
    with running(foreign):
        assert foreign.project.doit("enter", "pod=shop", "--", "/bin/true").code == 0
        assert foreign.project.doit("stop", "pod=shop").code == 0
    assert foreign.project.doit("rm", "pod=shop").code == 0
    # Each program goes by the name that it is called by.
    assert foreign.told("run", "argv0") == [str(foreign.pod / "stage1/rootfs/run")]
    assert foreign.told("gc", "flavor") == ["linked"]


@OVERLAY
@pytest.mark.contract("M 10")
def test_what_stage1_mounts_is_not_on_the_host_and_is_not_deleted_with_the_pod(
    tmp_path: Path, programs: dict[str, bytes], overlay: bool
) -> None:
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine/file").write_text("precious")
    foreign = Foreign(tmp_path, "sh", programs["sh"], overlay=overlay)
    foreign.project.environment["FOREIGN_BIND"] = str(tmp_path / "mine")
    foreign.app("cat /mnt/file")
    ran = foreign.project.doit("run", "pod=shop")
    assert (ran.code, ran.out) == (0, "precious"), ran.err
    assert str(foreign.project.data) not in Path("/proc/self/mountinfo").read_text()
    again = foreign.project.doit("run", "pod=shop")
    assert (again.code, again.out) == (0, "precious"), again.err
    assert foreign.project.doit("rm", "pod=shop").code == 0
    assert (tmp_path / "mine/file").read_text() == "precious"


def test_a_pod_in_which_somebody_mounted_something_is_not_deleted(tmp_path: Path, programs: dict[str, bytes]) -> None:
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine/file").write_text("precious")
    foreign = Foreign(tmp_path, "c1", programs["c1"], overlay=False)
    assert foreign.project.doit("run", "pod=shop", "manifest").code == 0
    target = foreign.pod / "stage1/rootfs/opt/stage2/web/rootfs/tmp"
    subprocess.run(["mount", "--bind", tmp_path / "mine", target], check=True)
    try:
        for command in (["rm", "pod=shop"], ["gc", "--expire-prepared", "0s"]):
            done = foreign.project.doit(*command)
            assert "is a mount point" in done.err and "Traceback" not in done.err
        assert (tmp_path / "mine/file").read_text() == "precious"
    finally:
        subprocess.run(["umount", *map(str, foreign.project.data.glob("**/web/rootfs/tmp"))], check=True)
    foreign.project.doit("gc", "--expire-prepared", "0s")
    assert not foreign.pod.exists() and not list((foreign.project.data / "garbage").iterdir())


@pytest.mark.contract("H.1 entrypoints", "A.9 run entrypoint")
def test_a_stage1_without_a_run_entrypoint_is_told(tmp_path: Path) -> None:
    project = Project(tmp_path / "project", tmp_path / "data")
    project.image("stage1.aci", workbench.manifest("example.com/stage1"), [])
    project.image("web.aci", workbench.manifest("example.com/web", app=["/x"]), [])
    containers = [{"name": "web", "image": "images/web.aci"}]
    project.write(workbench.spec("shop", UID, containers, stage1="images/stage1.aci"))
    ran = project.doit("run", "pod=shop")
    assert ran.code != 0 and 'entrypoint "run" not found' in ran.err and "Traceback" not in ran.err


@OVERLAY
@pytest.mark.contract("J.2 kvm", "A.9 flavor kvm")
def test_the_kvm_flavor_finds_the_host_s_key_in_its_root(
    tmp_path: Path, programs: dict[str, bytes], overlay: bool
) -> None:
    foreign = Foreign(tmp_path, "c1", programs["c1"], overlay=overlay, flavor="kvm")
    assert foreign.project.doit("run", "pod=shop").code == 0
    upper = foreign.pod / "overlay" / (foreign.pod / "stage1TreeStoreID").read_text() / "upper"
    key = (upper if overlay else foreign.pod / "stage1/rootfs") / "root/.ssh/authorized_keys"
    assert key.read_bytes() == (foreign.project.data / "kvm/ssh_kvm_key.pub").read_bytes()
    # The tree in the store has no key in it.
    tree = foreign.project.data / "trees" / (foreign.pod / "stage1TreeStoreID").read_text()
    assert os.listdir(tree / "rootfs/root") == []


@OVERLAY
@pytest.mark.contract("M 17", "A.9 flavor missing")
def test_a_stage1_that_tells_no_flavor_is_run_with_a_warning(
    tmp_path: Path, programs: dict[str, bytes], overlay: bool
) -> None:
    foreign = Foreign(tmp_path, "c1", programs["c1"], overlay=overlay)
    members = [build.regular("run", programs["c1"], 0o755)]
    members += [build.directory(name) for name in ("opt", "opt/stage2", "rkt", "rkt/status")]
    annotations = [{"name": f"{PREFIX}run", "value": "run"}]
    foreign.project.image("stage1.aci", workbench.manifest("example.com/s", annotations=annotations), members)
    ran = foreign.project.doit("run", "pod=shop")
    assert ran.code == 0 and "flavor" in ran.err


@pytest.mark.parametrize(("flags", "told"), [([True], True), ([False], None), ([True, False], None)])
@pytest.mark.contract("F.6 mounts")
def test_a_volume_that_nobody_may_write_to_says_so_itself(
    tmp_path: Path, programs: dict[str, bytes], flags: list[bool], told: bool | None
) -> None:
    foreign = Foreign(tmp_path, "sh", programs["sh"])
    foreign.spec["spec"]["volumes"] = [{"name": "data", "hostPath": {"path": str(tmp_path)}}]
    mounts = [{"name": "data", "mountPath": f"/at{one}", "readOnly": flag} for one, flag in enumerate(flags)]
    foreign.spec["spec"]["containers"][0]["volumeMounts"] = mounts
    foreign.project.write(foreign.spec)
    foreign.app("exit 0")
    assert foreign.project.doit("run", "pod=shop").code == 0
    # rkt's fly asks the volume, and never the mount points of the pod manifest.
    assert json.loads((foreign.pod / "pod").read_text())["volumes"][0].get("readOnly") is told


@OVERLAY
@pytest.mark.contract("A.11 prepareAppImage", "M 9")
def test_the_pod_s_own_root_gets_to_its_apps(tmp_path: Path, overlay: bool) -> None:
    # As rkt's nspawn does it: the init of a user namespace, with the pod's ids, goes below stage1's root.
    foreign = Foreign(tmp_path, "sh", SHIFTED, overlay=overlay, privateUsers={"shift": 1310720, "count": 65536})
    foreign.app("exit 0")
    ran = foreign.project.doit("run", "pod=shop")
    assert (ran.code, ran.out) == (0, "750 1310720:1310720\n640 1310720:1310720\nexit 0"), ran.err
