"""What a power failure may leave of all that was not synced takes nothing but time: whatever it is, it is seen."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import pytest

from stages.base.digest import canonical
from stages.base.paths import DataDir
from stages.images import build
from stages.trees import ability
from tests.system import workbench
from tests.system.workbench import Project

pytestmark = pytest.mark.system

UID = "0d6a3d52-31e0-4c8e-9e6c-6a5cf2f5ac01"
OVERLAY = pytest.mark.parametrize("overlay", [True, False], ids=["overlay", "copy"])


def lost(data: Path, left: Callable[[bytes], bytes]) -> None:
    """What a power failure may do to all that was not synced."""
    pods, images = data / "pods", data / "images"
    unsynced = [one for name in ("sources", "inventories", "indexes") for one in (images / name).rglob("*")]
    for path in [*pods.rglob("*"), *unsynced]:
        if path.is_file() and not path.is_symlink() and not _holds(path):
            path.write_bytes(left(path.read_bytes()))
    for path in (data / "cache").rglob("*"):
        if path.is_file() and not path.is_symlink():
            path.write_bytes(left(path.read_bytes()))


def _holds(path: Path) -> bool:
    """Whether a file of a pod is synced: the range of ids it has, and what was rendered into it."""
    return path.name == "shift" or "rootfs" in path.parts


LEFT = pytest.mark.parametrize(
    "left",
    [lambda _: b"", lambda data: data[: len(data) // 2], lambda data: bytes(len(data))],
    ids=["empty", "torn", "zeros"],
)


@OVERLAY
@LEFT
@pytest.mark.parametrize("ran", [True, False], ids=["run", "prepared"])
def test_a_power_failure_takes_nothing_but_time(
    tmp_path: Path, overlay: bool, left: Callable[[bytes], bytes], ran: bool
) -> None:
    project = Project(tmp_path / "project", tmp_path / "data")
    project.image("web.aci", workbench.manifest("example.com/web", app=["/bin/true"]), workbench.busybox())
    container = {"name": "web", "image": "images/web.aci", "command": ["/bin/echo", "it runs"]}
    project.write(workbench.spec("shop", UID, [container], overlay=overlay, privateUsers="auto", stage1="crun"))
    for _ in range(3 if ran else 0):
        assert project.doit("run", "pod=shop").out == "it runs\n"
    assert project.doit("prepare", "shop").code == 0 or ran
    lost(project.data, left)
    looks = ("ps", "status pod=shop", "why pod=shop", "list --all pod=shop", "images", "images df", "images verify")
    for words in (*looks, "images gc --dry-run", "gc --dry-run", "verify", "check"):
        done = project.doit(*words.split())
        assert done.code in (0, 1) and "Traceback" not in done.err, (words, done)
    for _ in range(2):
        done = project.doit("run", "pod=shop")
        assert done.out == "it runs\n" and done.code == 0, done.err
        lost(project.data, left)
    assert project.doit("gc", "--grace-period", "0s").code == 0
    assert project.doit("verify").code == 0
    done = project.doit("run", "pod=shop")
    assert done.out == "it runs\n" and done.code == 0, done.err
    lost(project.data, left)
    assert project.doit("rm", "pod=shop").code == 0 and not project.pod(UID).exists()


class Boots:
    """A project on a host that starts anew, as far as a process can tell by its boot id."""

    def __init__(self, folder: Path) -> None:
        self.project, self._id, self._number = Project(folder / "project", folder / "data"), folder / "boot", 0
        show = 'mount --bind "$0" /proc/sys/kernel/random/boot_id && exec "$@"'
        self.project.wrapper = ["unshare", "--mount", "sh", "-c", show, str(self._id)]
        self.next()

    def next(self) -> None:
        self._number += 1
        self._id.write_text(f"{self._number:08}-0000-4000-8000-000000000000\n")

    def without_indexes(self) -> None:
        """As if the kernel had been asked in this boot, and mounts none."""
        data = DataDir(self.project.data)
        causes = [self._id.read_text().strip(), *ability._causes()[1:]]
        data.cache.mkdir(parents=True, mode=0o700, exist_ok=True)
        answer = {"circumstances": ability._circumstances(data), "way": "", "refused with": causes}
        (data.cache / ability._REMEMBERED).write_bytes(canonical(answer))


@pytest.fixture
def boots(tmp_path: Path) -> Boots:
    """With a pod that has run in the first boot; one of its images was imported before."""
    made = Boots(tmp_path)
    containers = []
    for name in ("web", "side"):
        members = workbench.busybox(build.regular(f"etc/{name}", name.encode()))
        made.project.image(f"{name}.aci", workbench.manifest(f"example.com/{name}", app=["/bin/true"]), members)
        containers.append({"name": name, "image": f"images/{name}.aci", "command": ["/bin/cat", f"/etc/{name}"]})
    made.project.write(workbench.spec("shop", UID, containers))
    assert made.project.doit("images", "import", "images/web.aci").code == 0
    assert ran(made.project) >= {"tree:web", "tree:side", "tree:stage1"}
    assert ran(made.project) == set()
    return made


def ran(project: Project) -> set[str]:
    """The tasks up to the manifest that a run did; the pod is as it should be."""
    done = project.run("shop")
    assert (done.code, sorted(done.out)) == (0, sorted("webside")), done.err
    assert "bad state" not in done.err
    return set(done.tasks) - {"overlay", "init"}


def inodes(data: Path) -> dict[str, int]:
    return {str(path): path.stat().st_ino for path in (data / "trees").rglob("*") if path.name in ("record", "rootfs")}


def test_a_tree_of_another_boot_is_read_once(boots: Boots) -> None:
    before = inodes(boots.project.data)
    boots.next()
    why = boots.project.doit("why", "pod=shop")
    assert why.code == 0 and why.out.count("was made before this host's last start, and is read once") == 3
    told = boots.project.doit("verify")
    assert told.code == 0 and told.out.count("not read since this host's last start: the next run") == 3
    assert ran(boots.project) >= {"tree:web", "tree:side", "tree:stage1"}
    assert inodes(boots.project.data) == before
    boots.next()
    assert ran(boots.project) == set()
    assert boots.project.doit("verify").code == 0


@LEFT
@pytest.mark.parametrize("name", ["index.erofs", "record", "listing", "contents", "main.py", "rendered.*", "*"])
def test_a_power_failure_after_a_first_run(boots: Boots, left: Callable[[bytes], bytes], name: str) -> None:
    data = boots.project.data
    found = [path for path in (data / "trees").rglob(name) if path.is_file() and not path.is_symlink()]
    assert found
    for path in found:
        path.chmod(0o644)
        path.write_bytes(left(path.read_bytes()))
    lost(data, left)
    boots.next()
    assert boots.project.doit("verify").code == 0
    assert boots.project.doit("gc", "--grace-period", "0s").code == 0
    ran(boots.project)
    assert ran(boots.project) == set()
    assert boots.project.doit("verify").code == 0


def test_bytes_that_never_reached_the_disk_are_seen_though_no_inode_moved(boots: Boots) -> None:
    """The records are changed here and not the bytes, whose time of change would tell."""
    data, lost_trees = boots.project.data, 0
    for path in (data / "trees").glob("*/record"):
        record = json.loads(path.read_bytes())
        other = {"full": "0" * 64} if "full" in record else {"digests": {**record["digests"], "index.erofs": "0" * 64}}
        path.write_bytes(canonical(record | other))
        lost_trees += 1
    before = inodes(data)
    boots.next()
    assert ran(boots.project) >= {"tree:web", "tree:side", "tree:stage1"}
    after = inodes(data)
    assert lost_trees == 3 and not set(before.items()) & set(after.items())


def test_a_tree_of_files_is_synced_and_stays(boots: Boots) -> None:
    """There may be much in it, which nobody reads once more for nothing."""
    boots.without_indexes()
    assert boots.project.doit("rm", "shop").code == 0 and boots.project.doit("gc").code == 0
    assert ran(boots.project) >= {"tree:web", "tree:side"}
    boots.next()
    boots.without_indexes()
    assert ran(boots.project) == {"tree:stage1"}


@pytest.mark.parametrize("hidden", ["mount -t tmpfs none /proc/sys/kernel/random", "mount --bind /dev/null {}"])
def test_where_nobody_tells_one_boot_from_another_all_is_synced_and_asked(boots: Boots, hidden: str) -> None:
    """As in a container that has no such file, or an empty one in its place."""
    hide = hidden.format("/proc/sys/kernel/random/boot_id")
    boots.project.wrapper = ["unshare", "--mount", "sh", "-c", f'{hide} && exec "$@"', "-"]
    before = inodes(boots.project.data)
    assert ran(boots.project) >= {"tree:web", "tree:side", "tree:stage1"}
    assert inodes(boots.project.data) == before
    assert boots.project.doit("rm", "shop").code == 0 and boots.project.doit("gc").code == 0
    assert ran(boots.project) >= {"tree:web", "tree:side", "tree:stage1"}
    for _ in range(3):
        assert ran(boots.project) == set()
    assert {path.name for path in (boots.project.data / "trees").glob("*/rendered*")} == {"rendered"}
    assert list(boots.project.pod(UID).rglob("start.json")) == []
    assert boots.project.doit("verify").code == 0
