"""What `doit gc` takes away and what it keeps, on pods, trees and garbage made by hand."""

from __future__ import annotations

import os
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from stages.base.paths import DataDir
from stages.linux import locks
from tests.system.workbench import Project

TREES = [f"deps-sha256-{digit * 64}" for digit in "abc"]


@pytest.fixture
def project(tmp_path: Path) -> Project:
    made = Project(tmp_path / "project", tmp_path / "data")
    (made.data / "pods").mkdir(parents=True)
    (made.data / "version").write_text("1\n")
    return made


@pytest.fixture
def data(project: Project) -> DataDir:
    return DataDir(project.data)


def uid(number: int) -> str:
    return f"{number:08x}-0000-4000-8000-000000000001"


def pod(data: DataDir, number: int, phase: str, age: float = 0, tree: str = "") -> str:
    paths = data.pod(uid(number))
    paths.root.mkdir()
    paths.phase.write_text(phase)
    if tree:
        paths.stage1_tree_id.write_text(tree)
    then = time.time() - age
    os.utime(paths.phase, (then, then))
    return uid(number)


def tree(data: DataDir, tree_id: str) -> None:
    data.tree(tree_id).rootfs.mkdir(parents=True)
    (data.tree(tree_id).rootfs / "file").write_bytes(b"x" * 10_000)
    data.tree_locks.mkdir(parents=True, exist_ok=True)
    (data.tree_locks / tree_id).touch()


@pytest.fixture
def held(data: DataDir) -> Iterator[subprocess.Popen[bytes]]:
    """A program that keeps the lock of pod 9, as a running stage1 does."""
    name = pod(data, 9, "run", tree=TREES[0])
    holder = subprocess.Popen(
        ["flock", "--exclusive", str(data.pods / name), "sh", "-c", "echo; read line"],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
    )
    assert holder.stdout is not None and holder.stdout.readline()
    yield holder
    if holder.poll() is None:
        holder.communicate(b"\n")


def test_nothing_is_made_where_nothing_is(tmp_path: Path) -> None:
    project = Project(tmp_path / "project", tmp_path / "data")
    for words in (("gc",), ("images", "gc")):
        done = project.doit(*words)
        assert (done.code, done.out, done.err) == (0, "", "")
    assert not project.data.exists()


def test_pods_go_by_their_state_and_age(project: Project, data: DataDir) -> None:
    hour = 3600.0
    gone = {pod(data, 1, "preparing"), pod(data, 2, "nonsense"), pod(data, 3, "deleting"), pod(data, 4, "run", hour)}
    gone |= {pod(data, 5, "prepared", 25 * hour)}
    kept = {pod(data, 6, "run", hour / 4), pod(data, 7, "prepared", 23 * hour)}
    done = project.doit("gc")
    assert done.code == 0 and set(os.listdir(data.pods)) == kept
    assert {line.split()[1] for line in done.out.splitlines() if line.startswith("pod ")} == gone
    assert done.out.splitlines()[-1].startswith("freed ")
    assert project.doit("gc", "--grace-period", "10m", "--expire-prepared", "2h").code == 0
    assert os.listdir(data.pods) == []


def test_a_dry_run_says_the_same_and_changes_nothing(project: Project, data: DataDir) -> None:
    pod(data, 1, "preparing")
    tree(data, TREES[0])
    data.garbage.mkdir()
    (data.garbage / "x.1234").touch()
    before = sorted(str(path) for path in project.data.rglob("*"))
    dry = project.doit("gc", "--dry-run").out.splitlines()
    after = sorted(str(path) for path in project.data.rglob("*") if path not in (data.prepare_lock,))
    assert [path for path in after if path in before] == before
    wet = project.doit("gc").out.splitlines()
    assert dry[:-1] == wet[:-1] and dry[-1].startswith("would free ")


def test_a_held_pod_and_all_it_uses_stay(project: Project, data: DataDir, held: subprocess.Popen[bytes]) -> None:
    for tree_id in TREES:
        tree(data, tree_id)
    pod(data, 1, "prepared", tree=TREES[1])
    data.garbage.mkdir()
    for name in (f"{TREES[0]}.aaaa", f"{TREES[1]}.bbbb", "rootfs.cccc"):
        (data.garbage / name / "below").mkdir(parents=True)
    assert project.doit("gc", "--grace-period", "0").code == 0
    assert sorted(os.listdir(data.trees)) == TREES[:2]
    assert os.listdir(data.garbage) == [f"{TREES[0]}.aaaa"]
    assert sorted(os.listdir(data.tree_locks)) == TREES[:2]
    assert uid(9) in os.listdir(data.pods)
    held.communicate(b"\n")
    assert project.doit("gc", "--grace-period", "0", "--expire-prepared", "0").code == 0
    assert os.listdir(data.pods) == os.listdir(data.trees) == os.listdir(data.garbage) == []


def test_while_a_pod_is_prepared_trees_are_left_and_nobody_waits(project: Project, data: DataDir) -> None:
    tree(data, TREES[0])
    preparing = locks.shared(data.prepare_lock)
    done = project.doit("gc")
    assert done.code == 0 and "being prepared" in done.err and os.listdir(data.trees) == TREES[:1]
    assert "being prepared" in project.doit("images", "gc").err
    os.close(preparing)
    assert project.doit("gc").code == 0 and os.listdir(data.trees) == []


def test_a_tree_that_somebody_is_about_to_make_is_left_and_nobody_waits(project: Project, data: DataDir) -> None:
    """An import makes an index under the lock of the tree that it is of, and prepares no pod."""
    tree(data, TREES[-1])
    with locks.held(data.tree_locks / TREES[-1]):
        project.wrapper = ["timeout", "20"]
        done = project.doit("gc")
    assert done.code == 0 and TREES[-1] not in done.out, done
    assert TREES[-1] in os.listdir(data.trees) and TREES[-1] in os.listdir(data.tree_locks)
    assert TREES[-1] in project.doit("gc").out
    assert TREES[-1] not in os.listdir(data.trees)


def test_what_is_no_tree_is_left_alone(project: Project, data: DataDir) -> None:
    (data.trees / "lost+found").mkdir(parents=True)
    assert project.doit("gc").code == 0 and os.listdir(data.trees) == ["lost+found"]


def test_ranges_of_user_ids_are_freed_with_their_pod(project: Project, data: DataDir) -> None:
    pod(data, 1, "prepared")
    data.shifts.mkdir()
    (data.shifts / "1").symlink_to(uid(1))
    (data.shifts / "2").symlink_to(uid(2))
    (data.shifts / "file").touch()
    assert project.doit("gc").code == 0
    assert sorted(os.listdir(data.shifts)) == ["1", "file"]


@pytest.mark.parametrize("words", [("--grace-period", "soon"), ("--expire-prepared=-1",), ("--nope",)], ids=" ".join)
def test_a_bad_option_is_told_before_anything_is_taken(project: Project, data: DataDir, words: tuple[str, ...]) -> None:
    pod(data, 1, "preparing")
    refused = project.doit("gc", *words)
    assert refused.code != 0 and refused.err.startswith("ERROR: ") and os.listdir(data.pods) == [uid(1)]


def names_of_a_pod() -> list[str]:
    """Every name that a pod's directory can have something of ours, of stage1's or of a stranger's under."""
    paths = DataDir(Path("/")).pod("x")
    found = [value.fget(paths) for value in vars(type(paths)).values() if isinstance(value, property)]
    return sorted({str(path.relative_to(paths.root)) for path in found if path != paths.root})


@pytest.mark.contract("M 22", "M 24")
@pytest.mark.parametrize("kind", ["fifo", "link", "endless", "directory", "bytes"])
def test_whatever_lies_in_a_pod_it_is_listed_and_taken_away(
    project: Project, data: DataDir, tmp_path: Path, kind: str
) -> None:
    precious = tmp_path / "precious"
    precious.write_text("1")
    make = {
        "fifo": os.mkfifo,
        "link": lambda path: os.symlink(precious, path),
        "endless": lambda path: os.symlink("/dev/zero", path),
        "directory": os.mkdir,
        "bytes": lambda path: path.write_bytes(b"\xff\0{" * 100),
    }[kind]
    assert len(names_of_a_pod()) > 15
    for number, phase in enumerate(("preparing\n", "prepared\n", "run\n", "deleting\n", None)):
        folder = data.pod(uid(number)).root
        folder.mkdir()
        for name in sorted(names_of_a_pod(), key=lambda name: name.count("/")):
            path = folder / name
            if not path.parent.is_dir():
                path.parent.unlink(missing_ok=True)
                path.parent.mkdir(parents=True)
            if not os.path.lexists(path):
                make(path)
        if phase is not None:
            subprocess.run(["rm", "-rf", str(folder / "phase")], check=True)
            (folder / "phase").write_text(phase)
    for command in (["ps"], ["ps", "--format", "json"], ["status", uid(2)], ["gc", "--dry-run"]):
        done = project.doit(*command)
        assert done.code == 0 and "Traceback" not in done.err, done.err
    assert project.doit("rm", uid(0)).code == 0
    done = project.doit("gc", "--expire-prepared", "0", "--grace-period", "0")
    assert done.code == 0 and "Traceback" not in done.err, done.err
    assert os.listdir(data.pods) == [] and precious.read_text() == "1"
