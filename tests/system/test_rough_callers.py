"""Callers that are rough: streams closed, readers gone, files that are none, directories that are read-only."""

from __future__ import annotations

import os
import signal
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.system import workbench
from tests.system.workbench import DOIT, Project, Result

pytestmark = pytest.mark.system

UID = "77777777-0000-4000-8000-000000000007"
PROGRAMS = pytest.mark.parametrize("program", [str(DOIT), str(DOIT.with_name("podwright"))], ids=["doit", "podwright"])


@pytest.fixture
def project(tmp_path: Path) -> Iterator[Project]:
    made = Project(tmp_path / "project", tmp_path / "data")
    made.image("box.aci", workbench.manifest("example.com/box", app=["/bin/sh", "-c", SAY]), workbench.busybox())
    made.write(workbench.spec("job", UID, [{"name": "app", "image": "images/box.aci"}]))
    yield made
    made.doit("rm", UID)


SAY = "echo ran; echo told >&2; exit 3"


def shell(project: Project, program: str, line: str) -> Result:
    """A line of shell, in which $P is the program."""
    environment = {**os.environ, **project.environment, "PODWRIGHT_DIR": str(project.data), "P": program}
    done = subprocess.run(["bash", "-c", line], cwd=project.root, env=environment, capture_output=True, text=True)
    return Result(done.returncode, done.stdout, done.stderr)


@PROGRAMS
@pytest.mark.parametrize("closed", ["<&-", ">&-", "2>&-", "<&- >&-", "<&- >&- 2>&-"])
def test_closed_streams_keep_no_pod_from_running(project: Project, program: str, closed: str) -> None:
    for _ in range(3):
        done = shell(project, program, f"$P run pod=job {closed}")
        assert done.code == 3, done
        assert done.out == ("" if ">&-" in closed.replace("2>&-", "") else "ran\n")
        assert "2>&-" in closed or done.err.endswith("told\n"), done
    assert (project.data / "pods" / UID / "phase").read_text() == "run\n"


@PROGRAMS
@pytest.mark.parametrize(("stream", "code"), [("2>/dev/full", 3), ("2> >(exit)", 128 + signal.SIGPIPE)])
def test_a_pod_runs_whether_or_not_anybody_can_be_told(project: Project, program: str, stream: str, code: int) -> None:
    """What the app says there is its own affair."""
    for _ in range(5):
        done = shell(project, program, f"$P run pod=job {stream}")
        assert (done.code, done.out) == (code, "ran\n"), done


@PROGRAMS
def test_a_reader_that_is_gone_gets_no_traceback(project: Project, program: str) -> None:
    project.environment["PYTHONUNBUFFERED"] = "1"
    stock = ("help", "-h", "help run", "gc --help", "list pod=job", "info pod=job init", "tabcompletion", "--version")
    changing = ("dumpdb", "clean pod=job", "forget -a pod=job", "reset-dep pod=job")
    for words in ("", "ps", "why pod=job", "check", "status pod=job", "images", *stock, *changing):
        done = shell(project, program, f"$P {words} | true; exit ${{PIPESTATUS[0]}}")
        assert "Traceback" not in done.err and "BrokenPipe" not in done.err, (words, done.err)


@PROGRAMS
def test_what_the_list_of_pods_meets_is_a_sentence(project: Project, program: str) -> None:
    done = shell(project, program, "$P > /dev/full")
    assert done.code == 1 and "No space left" in done.err and "Traceback" not in done.err, done
    project.data.mkdir(exist_ok=True)
    (project.data / "version").write_text("9\n")
    done = shell(project, program, "$P")
    assert done.code == 1 and "has format '9'" in done.err and "Traceback" not in done.err, done
    (project.data / "version").unlink()


@PROGRAMS
@pytest.mark.parametrize("words", ["list", "forget -a", "reset-dep", "dumpdb"])
def test_a_pod_that_is_removed_beside_a_command_of_doits_is_no_traceback(
    project: Project, program: str, words: str
) -> None:
    assert project.doit("prepare", "job").code == 0
    with open(project.root / "dodo.py", "a") as dodo:
        dodo.write("if POD:\n    __import__('shutil').rmtree(POD.pod.root)\n")
    done = shell(project, program, f"$P {words} pod=job")
    assert "Traceback" not in done.err and (done.code == 0 or "\n  hint: " in done.err), done


@PROGRAMS
@pytest.mark.parametrize("words", ["", "run pod=job", "ps", "list"])
def test_in_a_directory_that_was_removed_that_is_said(project: Project, program: str, words: str) -> None:
    done = shell(project, program, f"mkdir gone && cd gone && rmdir ../gone && $P {words}")
    said = "ERROR: the working directory is not there any more\n  hint: cd to one that is\n"
    assert (done.code, done.out, done.err) == (1, "", said)


def test_programs_without_docstrings_run_as_well(project: Project) -> None:
    project.environment["PYTHONOPTIMIZE"] = "2"
    assert project.run("job").code == 3
    assert project.run("job").tasks == {"overlay", "init"}


def test_cleaning_a_read_only_data_directory_is_refused_in_a_sentence(project: Project) -> None:
    assert project.run("job").code == 3
    bound = "mount --bind $D $D && mount -o remount,bind,ro $D && exec $P clean pod=job"
    done = shell(project, str(DOIT), f"D=$PODWRIGHT_DIR exec unshare -m sh -c '{bound}'")
    assert "Read-only file system" in done.err and "Traceback" not in done.err, done.err
    assert project.run("job").code == 3


def test_an_image_that_became_a_fifo_holds_nobody_up(project: Project) -> None:
    assert project.run("job").code == 3
    image = project.root / "images" / "box.aci"
    image.rename(image.with_name("kept"))
    os.mkfifo(image)
    done = project.doit("run", "pod=job")
    assert done.code == 1 and "not a regular file" in done.err, done
    image.with_name("kept").replace(image)
    assert project.run("job").code == 3
