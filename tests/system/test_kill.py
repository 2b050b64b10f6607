"""A run that is killed anywhere: nothing half-made is ever taken for whole, and the next run makes a good pod of it."""

from __future__ import annotations

import os
import random
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

import psutil
import pytest

from stages.base.paths import DataDir
from stages.images import build
from stages.images.store import ImageStore
from stages.trees import marker
from stages.trees.store import TreeStore
from tests.system import workbench
from tests.system.workbench import CHECKOUT, Project

pytestmark = pytest.mark.system

UID = "7f0c0a3e-6a0e-4f5e-9a57-0d5b0d2f7f10"
BASE = ("example.com/base",)
# Between two deaths of first runs, in changes of names; 1 tries every one of them.
STRIDE = 2
BOTH_WAYS = pytest.mark.parametrize("overlay", [True, False], ids=["overlay", "copy"])
SCRIPTS = pytest.mark.parametrize("script", ["doit", "podwright"])

# doit, or podwright, dying instead of giving or taking a name for the n-th time; 0: the times are counted. All is
# written under a name that nobody reads, so these are the moments when what others see changes. In the middle of an
# import of the file STOP_IN the process that does it stops, until it is told to go on. What podwright has prepare the
# pod dies with it.
PROGRAM = f"""
import mmap, os, signal, sys
sys.path.insert(0, {str(CHECKOUT)!r})
begun, ours = os.getpid(), [os.getpid()]
if os.environ.get("SCRIPT") == "podwright":
    from stages.commands import apart
    from stages.commands.podwright import main
    prepare = apart._prepare
    apart._prepare = lambda *words, **more: ours.append(os.getpid()) or prepare(*words, **more)
else:
    from doit.__main__ import main
deadly, told, count = int(os.environ["DIE_AT"]), int(os.environ["TELL"]), memoryview(mmap.mmap(-1, 8)).cast("q")
names = {{"os.rename", "os.link", "os.remove"}}
importing = os.environ.get("STOP_IN")
def watch(event, arguments):
    global importing
    if event == "open" and importing:
        if importing == "now":
            importing = ""
            os.kill(os.getpid(), signal.SIGSTOP)
        elif str(arguments[0]).endswith(importing):
            importing = "now"
    if event in names and os.getpid() in ours:
        count[0] += 1
        if count[0] == deadly:
            os.kill(begun, signal.SIGKILL)
            os.kill(os.getpid(), signal.SIGKILL)
        if not deadly and os.path.exists(f"/proc/self/fd/{{told}}"):  # stage1 does not get it
            os.pwrite(told, b"%-8d" % count[0], 0)
sys.addaudithook(watch)
sys.exit(main())
"""


class Shop:
    """A pod of two apps, one with a dependency; it prints what its images hold."""

    def __init__(self, folder: Path, overlay: bool, bulk: int = 0) -> None:
        self.project = Project(folder / "project", folder / "data")
        self.image("base", build.regular("etc/base", b"base\n"), *workbench.busybox(), bulk=bulk)
        self.image("web", build.directory("etc"), build.regular("etc/web", b"web 1\n"), needs=BASE)
        self.image("side", *workbench.busybox())
        containers: list[dict[str, Any]] = [
            {"name": "web", "image": "images/web.aci", "command": ["/bin/cat", "/etc/base", "/etc/web"]},
            {"name": "side", "image": "images/side.aci"},
        ]
        self.project.write(workbench.spec("shop", UID, containers, overlay=overlay, dependencies=["images/base.aci"]))
        self.said = "base\nweb 1\n"

    def image(self, name: str, *members: build.Member, needs: tuple[str, ...] = (), bulk: int = 0) -> None:
        more = [build.regular("bulk", random.Random(bulk).randbytes(bulk))] if bulk else []
        described = workbench.manifest(
            f"example.com/{name}", app=["/bin/true"], dependencies=[{"imageName": one} for one in needs]
        )
        self.project.image(f"{name}.aci", described, [*members, *more])

    def newer(self, version: int) -> None:
        """web's image has new content."""
        content = f"web {version}\n"
        self.image("web", build.directory("etc"), build.regular("etc/web", content.encode()), needs=BASE)
        self.said = f"base\n{content}"

    def check_stores(self) -> None:
        """Whatever the stores call whole is whole."""
        data = DataDir(self.project.data)
        images = ImageStore(data)
        assert [one for one in images.ids() if images.has(one) and not images.rehash(one)] == []
        trees = TreeStore(data, images)
        rendered = [one for one in trees.ids() if marker.is_rendered(data.tree(one))]
        assert [one for one in rendered if not trees.full(one).fresh] == []

    def check_converges(self) -> None:
        """The next run makes a good pod, and the one after it has nothing to prepare."""
        ended = self.project.doit("run", "pod=shop")
        assert (ended.code, ended.out) == (0, self.said), ended.err
        assert self.project.doit("run", "pod=shop", "manifest").code == 0
        assert self.project.run("shop", "manifest").tasks == set()

    def check_collected(self) -> None:
        """After gc the data directory holds no more than what a first run would have made."""
        assert self.project.doit("gc").code == 0
        left = [path for path in self.project.data.rglob("*") if is_left_over(path)]
        assert left == []
        assert self.project.doit("images", "gc").code == 0
        data = DataDir(self.project.data)
        blobs = {path.name for path in data.images.blobs.rglob("*") if path.is_file()}
        assert blobs == {one.partition("-")[2] for one in ImageStore(data).ids()}


def is_left_over(path: Path) -> bool:
    """Whether a name is one that something unfinished has: a temporary file, something on its way out or in."""
    temporary = path.name.startswith(".") and len(path.name.rpartition(".")[2]) == 8
    return temporary or path.parent.name in ("garbage", "incoming")


def dies_at(shop: Shop, point: int, script: str = "doit") -> bool:
    """A run that dies at its n-th change of a name; False when it ended before that."""
    shop.project.program = [sys.executable, "-c", PROGRAM]
    shop.project.environment = {"DIE_AT": str(point), "TELL": "0", "SCRIPT": script}
    ended = shop.project.doit("run", "pod=shop")
    shop.project.program, shop.project.environment = None, {}
    assert ended.code in (0, -signal.SIGKILL), ended.err
    return ended.code != 0


def changes(shop: Shop, script: str) -> int:
    """How many changes of names a run makes."""
    with open(shop.project.root / "count", "w+") as file:
        shop.project.environment = {"DIE_AT": "0", "TELL": str(file.fileno()), "SCRIPT": script}
        shop.project.program = [sys.executable, "-c", PROGRAM]
        process = shop.project.started("run", "pod=shop", pass_fds=(file.fileno(),))
        process.communicate()
        shop.project.program, shop.project.environment = None, {}
        assert process.returncode == 0
        return int(file.read())


@pytest.mark.contract("M 8")
@BOTH_WAYS
@SCRIPTS
def test_a_first_run_that_dies_at_any_change_on_disk(tmp_path: Path, overlay: bool, script: str) -> None:
    total = changes(Shop(tmp_path / "count", overlay), script)
    assert total > 30
    for point in range(1, total + 1, STRIDE):
        shop = Shop(tmp_path / f"at-{point}", overlay)
        assert dies_at(shop, point, script), f"point {point} of {total}"
        shop.check_stores()
        ended = shop.project.doit("run", "pod=shop")
        assert (ended.code, ended.out) == (0, shop.said), (point, ended.err)


@BOTH_WAYS
def test_runs_that_die_while_an_image_changes_again_and_again(tmp_path: Path, overlay: bool) -> None:
    shop = Shop(tmp_path, overlay)
    assert shop.project.doit("run", "pod=shop").code == 0
    for point in range(1, 40, 2):
        shop.newer(point)
        dies_at(shop, point)
        shop.check_stores()
    shop.check_converges()
    shop.check_collected()


@pytest.mark.contract("M 8")
@BOTH_WAYS
def test_runs_that_die_at_any_moment(tmp_path: Path, overlay: bool) -> None:
    """By the clock, with the whole process group, and with images that take their time."""
    shop = Shop(tmp_path, overlay, bulk=24 << 20)
    moments = random.Random(f"podwright {overlay}")
    for version in range(2, 9):
        shop.image("base", build.regular("etc/base", b"base\n"), *workbench.busybox(), bulk=(24 << 20) + version)
        shop.newer(version)
        process = shop.project.started("run", "pod=shop", start_new_session=True)
        try:
            process.wait(timeout=moments.uniform(0.05, 0.8))
        except subprocess.TimeoutExpired:
            os.killpg(process.pid, signal.SIGKILL)
        process.communicate()
        shop.check_stores()
    shop.check_converges()
    shop.check_collected()


def importing(shop: Shop, *words: str, script: str = "doit") -> subprocess.Popen[str]:
    """A run that has stopped in the middle of an import."""
    shop.project.program = [sys.executable, "-c", PROGRAM]
    shop.project.environment = {"DIE_AT": "-1", "TELL": "0", "STOP_IN": "/base.aci", "SCRIPT": script}
    process = shop.project.started("run", *words, "pod=shop")
    shop.project.program, shop.project.environment = None, {}
    whole = psutil.Process(process.pid)
    while not any(map(has_stopped, (whole, *whole.children(recursive=True)))):
        assert process.poll() is None, process.communicate()
    return process


def has_stopped(process: psutil.Process) -> bool:
    try:
        return bool(process.status() == psutil.STATUS_STOPPED)
    except psutil.NoSuchProcess:  # a child that has ended meanwhile
        return False


@SCRIPTS
@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_run_that_is_asked_to_stop(tmp_path: Path, number: signal.Signals, script: str) -> None:
    shop = Shop(tmp_path, overlay=True, bulk=64 << 20)
    process = importing(shop, script=script)
    process.send_signal(number)
    process.send_signal(signal.SIGCONT)
    out, err = process.communicate()
    assert (process.returncode, out) == (128 + number, ""), err
    assert "Traceback" not in err
    shop.check_stores()
    shop.check_converges()
    shop.check_collected()


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_preparation_of_all_pods_that_is_asked_to_stop(tmp_path: Path, number: signal.Signals) -> None:
    shop = Shop(tmp_path, overlay=True, bulk=64 << 20)
    process = shop.project.started("prepare", start_new_session=True)
    while process.poll() is None and not (shop.project.data / "images/incoming").exists():
        pass
    os.killpg(process.pid, number)
    out, err = process.communicate()
    assert (process.returncode, out) == (128 + number, ""), err
    assert "Traceback" not in err
    shop.check_stores()
    shop.check_converges()
    shop.check_collected()


def test_a_killed_preparation_of_all_pods_leaves_nobody_who_goes_on(tmp_path: Path) -> None:
    shop = Shop(tmp_path, overlay=True, bulk=64 << 20)
    process = shop.project.started("prepare")
    while not (children := psutil.Process(process.pid).children()):
        assert process.poll() is None
    process.kill()
    process.communicate()
    psutil.wait_procs(children)
    assert not any(one.is_running() for one in children)
    shop.check_converges()
    shop.check_collected()


def test_a_killed_run_leaves_no_workers_that_hold_the_pod(tmp_path: Path) -> None:
    shop = Shop(tmp_path, overlay=True, bulk=64 << 20)
    process = importing(shop, "-n", "2")
    process.kill()
    process.communicate()
    ran = shop.project.doit("run", "pod=shop")
    assert ran.code == 0, ran.err


@BOTH_WAYS
def test_a_crash_that_loses_the_phase_of_a_run(tmp_path: Path, overlay: bool) -> None:
    """The phase is not synced: after a power failure an older one is there, with the files of the run."""
    shop = Shop(tmp_path, overlay)
    shop.check_converges()
    assert shop.project.doit("run", "pod=shop").code == 0
    pod = shop.project.pod(UID)
    (pod / "phase").write_text("prepared\n")
    (pod / "sharedVolumes").mkdir(exist_ok=True)
    (pod / "sharedVolumes" / "old").write_text("of the run before")
    shop.check_converges()
    assert not (pod / "sharedVolumes" / "old").exists()
