"""Two commands on one pod at one time: each outcome is defined, and nobody is left with half a pod."""

from __future__ import annotations

import contextlib
import json
import os
import sqlite3
import subprocess
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from stages.base import stamp
from stages.linux import locks
from tests.system import workbench
from tests.system.workbench import DOIT, Project

pytestmark = pytest.mark.system

UID, OTHER = "44444444-0000-4000-8000-000000000004", "55555555-0000-4000-8000-000000000005"
APP = {"name": "app", "image": "images/box.aci"}


@pytest.fixture
def project(tmp_path: Path) -> Iterator[Project]:
    made = made_in(tmp_path)
    yield made
    made.doit("rm", UID, OTHER)


def made_in(folder: Path) -> Project:
    made = Project(folder / "project", folder / "data")
    made.image("box.aci", workbench.manifest("example.com/box", app=["/bin/echo", "ran"]), workbench.busybox())
    made.write(workbench.spec("job", UID, [APP]))
    made.write(workbench.spec("other", OTHER, [APP]))
    return made


def ended(*processes: subprocess.Popen[str]) -> list[tuple[int, str, str]]:
    told = [process.communicate() for process in processes]
    return [(process.returncode, *one) for process, one in zip(processes, told, strict=True)]


def test_of_two_runs_at_least_one_wins_and_the_other_says_why_not(project: Project) -> None:
    for _ in range(3):
        results = ended(*(project.started("run", "pod=job") for _ in range(4)))
        won = [result for result in results if result[0] == 0]
        assert won and all(out == "ran\n" for _, out, _ in won)
        for code, out, err in results:
            if code:
                assert out == "" and ("is running" in err or "is being prepared" in err) and "Traceback" not in err, err
    assert "state=exited" in project.doit("status", "job").out


def test_a_run_beside_removals_and_collections_runs_or_is_refused(project: Project) -> None:
    for _ in range(4):
        runs = [project.started("run", f"pod={name}") for name in ("job", "other")]
        others = [
            project.started("gc", "--grace-period", "0", "--expire-prepared", "0"),
            project.started("rm", "job", "other"),
            project.started("images", "gc"),
            project.started("ps"),
            project.started("status", "--wait", "job"),
            project.started("why", "pod=other"),
        ]
        for code, out, err in ended(*runs):
            assert (code, out) == (0, "ran\n") or (out == "" and "ERROR: pod" in err), (code, out, err)
            assert "Traceback" not in err, err
        for code, _, err in ended(*others):
            assert code in (0, 1) and "Traceback" not in err, err
    assert project.run("job").code == 0 and project.run("other").code == 0
    assert project.doit("verify").code == 0


def test_gc_leaves_alone_what_a_run_is_about_to_use(project: Project) -> None:
    """While a pod is being prepared no directory names its trees yet."""
    assert project.run("job").code == 0
    assert project.doit("rm", "job").code == 0
    trees = sorted(os.listdir(project.data / "trees"))
    for _ in range(5):
        run, gc = project.started("run", "pod=other"), project.started("gc")
        (run_code, out, err), (gc_code, _, gc_err) = ended(run, gc)
        assert (run_code, out) == (0, "ran\n"), err
        assert gc_code == 0 and "Traceback" not in gc_err
    assert sorted(os.listdir(project.data / "trees")) == trees


def test_a_removed_pod_ends_the_wait_for_it(project: Project) -> None:
    assert project.doit("run", "pod=job", "manifest").code == 0
    holder = subprocess.Popen(
        ["flock", "--exclusive", str(project.pod(UID)), "sh", "-c", "echo; read line"],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )
    assert holder.stdout is not None and holder.stdout.readline()
    waiting = project.started("status", "--wait", "job")
    for words in (("rm", "job"), ("run", "pod=job"), ("clean", "pod=job")):
        refused = project.doit(*words)
        assert refused.code != 0 and "being prepared" in refused.err, words
    assert waiting.poll() is None
    holder.communicate("\n")
    assert ended(waiting)[0][0] == 0
    assert project.doit("rm", "job").code == 0


@contextlib.contextmanager
def before_it_is_prepared(project: Project) -> Iterator[None]:
    """While a run of a pod that has run before has its lock, and has not begun with it yet."""
    with open(project.root / "dodo.py", "a") as dodo:
        dodo.write("\nimport os\n\nos.read(0, 9)\n")
    run = project.started("run", "pod=job", stdin=subprocess.PIPE)
    try:
        while not locks.is_locked(project.pod(UID)):
            assert run.poll() is None, run.communicate()
        yield
    finally:
        out, err = run.communicate("\n")
    assert (run.returncode, out) == (0, "ran\n"), err


@pytest.mark.parametrize("flavor", ["crun", "fly"])
def test_what_has_the_number_of_an_old_run_s_process_by_now_is_not_stopped(project: Project, flavor: str) -> None:
    project.write(workbench.spec("job", UID, [APP], stage1=flavor))
    assert project.run("job").code == 0
    with subprocess.Popen(["sleep", "60"]) as another:
        for name in ("pid", "supervisor"):
            (project.pod(UID) / name).write_text(str(another.pid))
        with before_it_is_prepared(project):
            stopped = project.doit("stop", "--force", "--timeout", "1s", "job")
        assert another.poll() is None, stopped
        another.kill()
    assert stopped.code and "Traceback" not in stopped.err


def test_a_pod_that_was_just_started_is_stopped_as_soon_as_it_says_who_it_is(project: Project) -> None:
    assert project.run("job").code == 0
    (project.pod(UID) / "pid").unlink()
    with subprocess.Popen(
        ["flock", "--exclusive", str(project.pod(UID)), "sh", "-c", "echo $$; exec sleep 20"],
        stdout=subprocess.PIPE,
        text=True,
    ) as starting:
        assert starting.stdout is not None
        process = starting.stdout.readline()
        stopping = project.started("stop", "job")
        with pytest.raises(subprocess.TimeoutExpired):
            stopping.wait(1)
        (project.pod(UID) / "pid").write_text(process)
        assert ended(stopping) == [(0, "", "")]


def test_why_has_no_use_for_what_doit_remembers(project: Project) -> None:
    """It may go, with the pod's directory, while doit is about to open it."""
    assert project.run("job").code == 0
    database = project.pod(UID) / "doit.db"
    database.unlink()
    assert project.doit("why", "pod=job").code == 0
    assert not database.exists()


@pytest.mark.parametrize("words", [("list", "-s"), ("list", "--all"), ("info", "manifest")])
def test_a_look_at_a_pod_that_is_removed_meanwhile_is_no_traceback(project: Project, words: tuple[str, ...]) -> None:
    assert project.run("job").code == 0
    with open(project.root / "dodo.py", "a") as dodo:
        dodo.write(f"\nimport shutil\n\nshutil.rmtree({str(project.pod(UID))!r})\n")
    done = project.doit(*words, "pod=job")
    assert done.code in (0, 1) and "manifest" in done.out and "Traceback" not in done.err, done
    assert not project.pod(UID).exists()


def test_a_look_sees_what_doit_remembers_and_changes_nothing_of_it(project: Project) -> None:
    assert project.run("job").code == 0
    assert project.doit("ignore", "pod=job", "manifest").code == 0
    database = project.pod(UID) / "doit.db"
    before = stamp.at(database)
    assert "I manifest " in project.doit("list", "-s", "pod=job").out
    assert "status" in project.doit("info", "pod=job", "manifest").out
    assert stamp.at(database) == before
    database.unlink()
    assert "U manifest " in project.doit("list", "-s", "pod=job").out
    assert not database.exists()


@pytest.mark.parametrize(
    "script",
    [
        *("update doit set task_data = '{'", "update doit set task_data = null", "update doit set task_data = '[]'"),
        *("update doit set task_data = 7", "drop table doit; create table doit (x)", "drop table doit"),
    ],
)
def test_what_doit_cannot_have_remembered_is_forgotten(project: Project, script: str) -> None:
    assert project.run("job").code == 0
    path = project.pod(UID) / "doit.db"
    with sqlite3.connect(path) as opened:
        opened.executescript(script)
    for words in (("list", "-s"), ("info", "manifest")):
        done = project.doit(*words, "pod=job")
        assert done.code in (0, 1) and "Traceback" not in done.err, done
    done = project.run("job")
    assert done.code == 0, done.err
    with sqlite3.connect(path) as opened:
        assert len(opened.execute("select task_id, task_data from doit").fetchall()) > 1


def test_information_about_no_task_is_a_sentence(project: Project) -> None:
    of_no_pod = project.doit("info", "manifest")
    assert (of_no_pod.code, of_no_pod.out) == (3, "")
    assert of_no_pod.err == "ERROR: no task 'manifest'\n  hint: tasks are a pod's: `doit info pod=NAME manifest`\n"
    of_a_pod = project.doit("info", "pod=job", "nosuch")
    assert (of_a_pod.code, of_a_pod.err) == (3, "ERROR: 'nosuch' is not a task.\n")
    assert project.doit("info", "pods").code == 1


def test_looking_at_a_pod_from_elsewhere_changes_nothing(project: Project, tmp_path: Path) -> None:
    assert project.run("job").code == 0
    before = stamp.at(project.pod(UID) / "phase")
    project.away = tmp_path
    dodo = str(project.root / "dodo.py")
    for words in (("list", "--all", "-s"), ("info", "manifest"), ("why",), ("clean", "-n"), ("forget",), ("status",)):
        done = project.doit("-f", dodo, *words, "pod=job")
        assert done.code in (0, 1) and "Traceback" not in done.err, done.err
    assert stamp.at(project.pod(UID) / "phase") == before
    assert project.doit("-f", dodo, "pod=job").out == "ran\n"


def test_prepare_takes_all_pods_whatever_becomes_of_one(project: Project) -> None:
    done = project.doit("prepare")
    assert (done.code, done.out) == (0, "job is prepared\nother is prepared\n"), done.err
    listed = {one["name"]: one["state"] for one in json.loads(project.doit("ps", "--format", "json").out)}
    assert listed == {"job": "prepared", "other": "prepared"}
    assert project.run("job").tasks == {"overlay", "init"}
    project.write(workbench.spec("bad", "66666666-0000-4000-8000-000000000006", [APP | {"image": "images/no.aci"}]))
    (project.root / "pods" / "worse.yaml").write_text("nonsense")
    done = project.doit("prepare")
    assert done.code == 3 and done.out == "job is prepared\nother is prepared\n" and "Traceback" not in done.err
    assert "no.aci" in done.err and "worse" in done.err
    assert project.doit("prepare", "other").out == "other is prepared\n"
    assert project.doit("prepare", "pod=bad").code == 1
    project.doit("rm", "bad")


def test_prepare_tells_a_projects_own_tasks_of_their_variables(project: Project) -> None:
    with open(project.root / "dodo.py", "a") as dodo:
        dodo.write('\nimport sys\n\nprint("the stage is", get_var("stage"), file=sys.stderr)\n')
    done = project.doit("prepare", "job", "stage=test", "other")
    assert (done.code, done.out) == (0, "job is prepared\nother is prepared\n"), done.err
    assert done.err.count("the stage is test\n") == 2, done.err


def test_prepare_leaves_its_input_to_the_caller(project: Project) -> None:
    """`while read pod; do doit prepare $pod; done`: what prepares a pod would take the other lines."""
    with open(project.root / "dodo.py", "a") as dodo:
        dodo.write("\nimport os, sys\n\nprint(os.read(0, 9), file=sys.stderr)\n")
    reader, writer = os.pipe()
    os.write(writer, b"the next\n")
    os.close(writer)
    with open(reader, "rb") as mine:
        ((code, out, err),) = ended(project.started("prepare", "job", stdin=mine))
        assert (code, out) == (0, "job is prepared\n") and "b''" in err, err
        assert mine.read() == b"the next\n"


@pytest.fixture
def open_path() -> Iterator[Path]:
    """A directory that nobody but root may enter too. Those of pytest are closed again by each pytest that begins."""
    with tempfile.TemporaryDirectory(dir="/var/tmp") as name:
        os.chmod(name, 0o755)
        yield Path(name)


def test_nobody_but_root_gets_sentences(open_path: Path) -> None:
    project = made_in(open_path)
    assert project.run("job").code == 0
    (project.root).chmod(0o755)
    project.program = ["setpriv", "--reuid=65534", "--regid=65534", "--clear-groups", str(DOIT)]
    for words in (("ps",), ("why", "pod=job"), ("status", "pod=job"), ("gc",), ("rm", "job"), ("run", "pod=job"), ()):
        told = project.doit(*words)
        assert "Traceback" not in told.err and "Traceback" not in told.out, (words, told)
        assert words == () or (told.code != 0 and "ERROR: " in told.err), (words, told)
    assert project.doit("check").code == 0
    listed = project.doit("images").out
    assert "damaged" not in listed and listed.count("(only root may look)") == 2, listed


def test_where_nobody_but_root_may_look_around_sentences_too(open_path: Path) -> None:
    """Whether a project lies above was asked, and could not be."""
    project = made_in(open_path / "closed")
    (open_path / "closed").chmod(0o700)
    project.program = ["setpriv", "--reuid=65534", "--regid=65534", "--clear-groups", str(DOIT)]
    for words in (("why", "pod=job"), ("run", "pod=job"), ("list",), ("ps",), ()):
        told = project.doit(*words)
        assert told.code != 0 and "ERROR: " in told.err and "Traceback" not in told.err, (words, told)


def test_the_host_is_found_able(project: Project) -> None:
    done = project.doit("doctor")
    assert done.code == 0, done.out
    assert os.listdir(project.data) and not [name for name in os.listdir(project.data) if name.startswith(".")]
