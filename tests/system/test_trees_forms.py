"""Whole pods on each form of a tree: files on a tmpfs, an index by loop devices; and a tree rebuilt below a pod."""

from __future__ import annotations

import contextlib
import json
import os
import subprocess
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from stages.base import stamp
from stages.base.digest import canonical
from stages.base.paths import DataDir
from stages.images import build
from stages.images.entry import Entry, Extent, Kind
from stages.linux.erofs import Way
from stages.trees import ability
from stages.trees.erofs_probe import probe
from tests.system import workbench
from tests.system.workbench import Project

pytestmark = pytest.mark.system

UID, OTHER = "71000000-0000-4000-8000-000000000001", "71000000-0000-4000-8000-000000000002"
MOTD = workbench.build.regular("etc/motd", b"as it was rendered\n", 0o644)
WAITS = "echo up; read word </v/go; cat /etc/motd; echo $word >/tmp/mine; cat /tmp/mine"


@pytest.fixture
def memory() -> Iterator[Path]:
    with tempfile.TemporaryDirectory(dir="/dev/shm") as place:
        yield Path(place)


def project(folder: Path, data: Path, **stage0: object) -> Project:
    """Two pods of one image; the app of each waits for a word in a FIFO, between two lines."""
    made = Project(folder / "project", data)
    made.image("box.aci", workbench.manifest("example.com/box", app=["/bin/true"]), workbench.busybox(MOTD))
    for name, uid in (("job", UID), ("other", OTHER)):
        (folder / name).mkdir()
        os.mkfifo(folder / name / "go", 0o666)
        container = {"name": "app", "image": "images/box.aci", "command": ["/bin/sh", "-c", WAITS]}
        container["volumeMounts"] = [{"name": "v", "mountPath": "/v"}]
        document = workbench.spec(name, uid, [container], overlay=True, **stage0)
        document["spec"]["volumes"] = [{"name": "v", "hostPath": {"path": str(folder / name)}}]
        made.write(document)
    return made


@contextlib.contextmanager
def started(made: Project, pod: str) -> Iterator[subprocess.Popen[str]]:
    """The pod, whose app is up; it is ended if the test does not do it."""
    process = made.started("run", f"pod={pod}")
    try:
        assert process.stdout is not None
        told = process.stdout.readline()
        assert told == "up\n", process.communicate()
        yield process
    finally:
        if process.poll() is None:
            made.doit("stop", "--force", pod)
            process.communicate()


def finished(process: subprocess.Popen[str], folder: Path) -> str:
    """What the app says when it was given its word."""
    (folder / "go").write_text("go on\n")
    out, err = process.communicate()
    assert process.returncode == 0, err
    return out


def remembered(data: DataDir, way: Way | None) -> None:
    """As if the kernel had been asked, and had this way only."""
    data.cache.mkdir(parents=True, mode=0o700)
    answer = {"way": way.value} if way else {"way": "", "refused with": ability._causes()}
    truth = {"circumstances": ability._circumstances(data), **answer}
    (data.cache / ability._REMEMBERED).write_bytes(canonical(truth))


def form_of_app(data: Path) -> str:
    """The form of the tree that is not stage1's, which is always files."""
    (form,) = {json.loads((data / "trees" / one / "record").read_bytes())["form"] for one in app_trees(data)}
    return str(form)


def app_trees(data: Path) -> list[str]:
    return [(one.parent / "treeStoreID").read_text().strip() for one in data.glob("pods/*/appsinfo/app/treeStoreID")]


def tree_mounts(process: subprocess.Popen[str]) -> list[str]:
    """What the pod's indexes are mounted from."""
    lines = Path(f"/proc/{process.pid}/mountinfo").read_text().splitlines()
    return [rest.split()[1] for _, _, rest in (line.partition(" - ") for line in lines) if rest.startswith("erofs ")]


@pytest.mark.parametrize("users", [{}, {"privateUsers": "auto"}], ids=["plain", "private users"])
@pytest.mark.parametrize("loops", [False, True], ids=["without loop devices", "as the kernel says"])
def test_a_pod_whose_data_directory_is_a_tmpfs(
    tmp_path: Path, memory: Path, users: dict[str, str], loops: bool
) -> None:
    made = project(tmp_path, memory / "data", **users)
    if not loops:
        remembered(DataDir(made.data), None)
    indexed = loops and probe(memory).way is not None
    with started(made, "job") as process:
        assert bool(tree_mounts(process)) is indexed
        assert form_of_app(made.data) == ("index" if indexed else "directory")
        assert finished(process, tmp_path / "job") == "as it was rendered\ngo on\n"
    assert made.doit("verify").code == 0
    again = made.run("job", "manifest")
    assert (again.code, again.tasks) == (0, frozenset())
    assert made.doit("rm", "job").code == 0 and made.doit("gc").code == 0
    assert os.listdir(made.data / "trees") == []


@pytest.mark.parametrize("users", [{}, {"privateUsers": "auto"}], ids=["plain", "private users"])
def test_a_pod_whose_index_is_mounted_by_loop_devices(tmp_path: Path, users: dict[str, str]) -> None:
    made = project(tmp_path, tmp_path / "data", **users)
    remembered(DataDir(made.data), Way.LOOP)
    with started(made, "job") as process:
        mounts = tree_mounts(process)
        assert mounts and all(one.startswith("/dev/loop") for one in mounts)
        assert backed(made.data)
        assert finished(process, tmp_path / "job") == "as it was rendered\ngo on\n"
    assert form_of_app(made.data) == "index"
    # The last process of a pod takes its mounts along, and they the devices; the kernel does that when it gets to it.
    while backed(made.data):
        time.sleep(0.02)


def backed(data: Path) -> list[str]:
    """The files of a data directory that are behind loop devices."""
    found = []
    for device in Path("/sys/block").glob("loop*/loop/backing_file"):
        try:
            found.append(device.read_text().strip())
        except OSError:  # it has just become free
            continue
    return [one for one in found if one.startswith(f"{data}/")]


@pytest.mark.parametrize("name", ["index.erofs", "side"])
def test_verify_finds_a_byte_of_an_index_that_changed_under_its_stamp(tmp_path: Path, name: str) -> None:
    made = Project(tmp_path / "project", tmp_path / "data")
    # The last part of it lies at no block of the archive, so that it is copied beside the index.
    sparse = Entry(b"sparse", Kind.FILE, 0o644, size=2000, extents=(Extent(0, 0, 512), Extent(700, 512, 1300)))
    app = workbench.manifest("example.com/box", app=["/bin/true"])
    made.image("box.aci", app, [*workbench.busybox(), build.Member(sparse, b"s" * 1812)])
    made.write(workbench.spec("job", UID, [{"name": "app", "image": "images/box.aci"}], overlay=True, stage1="stub"))
    assert made.run("job").code == 0 and made.doit("verify").code == 0
    (tree,) = app_trees(made.data)
    if form_of_app(made.data) != "index":
        pytest.skip("this kernel mounts no index")
    change_a_byte(made.data / "trees" / tree, name)
    assert made.run("job", "manifest").tasks == frozenset()  # no stamp tells
    found = made.doit("verify")
    (told,) = [line for line in found.out.splitlines() if not line.endswith("  ok")]
    assert found.code == 1 and tree[:19] in told and f"the bytes of its {name} are others" in told
    assert made.run("job", "manifest").tasks == {"tree:app"}
    assert made.doit("verify").code == 0


def change_a_byte(tree: Path, name: str) -> None:
    """As a disk would that forgets: the record is told that nothing moved."""
    (tree / name).chmod(0o644)
    with open(tree / name, "r+b") as file:
        file.seek(-300, os.SEEK_END)
        byte = file.read(1)
        file.seek(-300, os.SEEK_END)
        file.write(bytes([byte[0] ^ 0x10]))
    record = json.loads((tree / "record").read_bytes())
    record["side" if name == "side" else "index"] = stamp.at(tree / name)
    (tree / "record").write_bytes(canonical(record))


def test_a_bad_tree_is_rebuilt_and_left_to_the_pod_that_runs_on_it(tmp_path: Path) -> None:
    made = project(tmp_path, tmp_path / "data")
    data = DataDir(made.data)
    remembered(data, None)
    with started(made, "job") as first:
        (tree,) = app_trees(made.data)
        assert form_of_app(made.data) == "directory"
        data.tree(tree).rendered.unlink()
        with started(made, "other") as second:
            (aside,) = [path for path in data.garbage.iterdir() if path.name.startswith(tree)]
            assert made.doit("gc").code == 0 and aside.is_dir()
            # Neither /bin/cat nor /etc/motd was looked at by this app before.
            assert finished(first, tmp_path / "job") == "as it was rendered\ngo on\n"
            # What was put aside has the name of a tree that a pod runs on, this one or the new one.
            assert made.doit("gc").code == 0 and aside.is_dir()
            assert finished(second, tmp_path / "other") == "as it was rendered\ngo on\n"
    assert made.doit("gc").code == 0
    assert list(data.garbage.iterdir()) == [] and data.tree(tree).rendered.exists()
