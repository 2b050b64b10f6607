"""`run --replace`: a running pod makes way for what its spec says now, when all of that is there."""

from __future__ import annotations

import os
import signal
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from stages.commands import common, stop
from stages.pod import find
from tests.system import workbench
from tests.system.workbench import DOIT, Project

pytestmark = pytest.mark.system

UID = "33333333-0000-4000-8000-000000000003"


@pytest.fixture(params=["podwright", "doit"])
def project(request: pytest.FixtureRequest, tmp_path: Path) -> Project:
    made = Project(tmp_path / "project", tmp_path / "data", program=[str(DOIT.with_name(request.param))])
    made.image("web.aci", workbench.manifest("example.com/web", app=["/bin/true"]), workbench.busybox())
    write(made, "old")
    return made


def write(project: Project, word: str, image: str = "images/web.aci") -> None:
    """A pod that says a word, and ends with 7 when asked to."""
    command = ["/bin/sh", "-c", f"trap 'exit 7' TERM; echo {word}; sleep 1000 & wait"]
    spec = workbench.spec("web", UID, [{"name": "app", "image": image, "command": command}])
    spec["spec"]["terminationGracePeriodSeconds"] = 90
    project.write(spec)


def started(project: Project, *words: str, **options: Any) -> subprocess.Popen[str]:
    return project.started("run", *words, "pod=web", **options)


def first_word(process: subprocess.Popen[str]) -> str:
    assert process.stdout is not None
    return process.stdout.readline().strip() or str(process.communicate())


@pytest.fixture
def old(project: Project) -> Iterator[subprocess.Popen[str]]:
    """The pod, running as its spec was at first."""
    process = started(project)
    assert first_word(process) == "old"
    yield process
    project.doit("stop", "--force", "pod=web")
    process.communicate()
    project.doit("rm", "pod=web")


def test_a_running_pod_makes_way(project: Project, old: subprocess.Popen[str]) -> None:
    write(project, "new")
    new = started(project, "--replace")
    assert first_word(new) == "new" and old.wait() == 7
    again = started(project, "--replace")
    assert first_word(again) == "new" and new.wait() == 7
    assert project.doit("stop", "pod=web").code == 0
    assert again.communicate() == ("", "") and again.returncode == 7


def test_the_end_is_waited_for_as_long_as_the_apps_may_take(
    project: Project, old: subprocess.Popen[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """A minute was all: then the pod ended later, and nothing was run in its place."""
    waited: list[float] = []
    monkeypatch.setenv("PODWRIGHT_DIR", str(project.data))
    monkeypatch.setattr(stop.locks, "wait", lambda _, seconds: waited.append(seconds) or True)
    pod = find.one(common.data(), project.root, "web")
    assert stop.end(pod) and waited == [60 + 90]


def test_without_a_running_pod_it_is_a_run(project: Project) -> None:
    new = started(project, "--replace")
    assert first_word(new) == "old"
    assert project.doit("stop", "pod=web").code == 0 and new.wait() == 7
    new.communicate()


@pytest.mark.parametrize(
    ("image", "said"),
    [("images/none.aci", "none.aci"), ("images/bad.aci", "bad.aci"), ("", "spec.containers[0].image")],
)
def test_what_cannot_be_brought_ends_nothing(
    project: Project, old: subprocess.Popen[str], image: str, said: str
) -> None:
    (project.root / "images/bad.aci").write_bytes(b"no archive\n")
    write(project, "new", image)
    refused = project.doit("run", "--replace", "pod=web")
    assert refused.code != 0 and said in refused.err and "Traceback" not in refused.err
    assert old.poll() is None and "running" in project.doit("status", "pod=web").out


def test_a_manifest_that_cannot_be_written_ends_nothing(project: Project, old: subprocess.Popen[str]) -> None:
    project.image("empty.aci", workbench.manifest("example.com/empty"), workbench.busybox())
    project.write(workbench.spec("web", UID, [{"name": "app", "image": "images/empty.aci"}]))
    refused = project.doit("run", "--replace", "pod=web")
    assert refused.code != 0 and "app" in refused.err and "Traceback" not in refused.err, refused
    assert old.poll() is None


def test_a_new_image_is_there_before_the_pod_ends(project: Project, old: subprocess.Popen[str]) -> None:
    project.image("big.aci", workbench.manifest("example.com/big", app=["/bin/true"]), workbench.busybox())
    write(project, "new", "images/big.aci")
    new = started(project, "--replace")
    assert first_word(new) == "new" and old.wait() == 7
    assert project.doit("stop", "pod=web").code == 0
    _, err = new.communicate()
    assert "image:app" in workbench.told(err) and "tree:app" in workbench.told(err)


def test_tasks_of_a_projects_own_come_after_the_end(project: Project, old: subprocess.Popen[str]) -> None:
    with open(project.root / "dodo.py", "a") as dodo:
        dodo.write('\n\ndef task_more():\n    return {"actions": ["true"]}\n')
    write(project, "new")
    new = started(project, "--replace")
    assert first_word(new) == "new" and old.wait() == 7
    project.doit("stop", "pod=web")
    new.communicate()


def test_with_tasks_of_its_own_a_spec_that_is_wrong_ends_nothing(project: Project, old: subprocess.Popen[str]) -> None:
    with open(project.root / "dodo.py", "a") as dodo:
        dodo.write("# changed\n")
    write(project, "new", "")
    refused = project.doit("run", "--replace", "pod=web")
    assert refused.code == 3 and "spec.containers[0].image" in refused.err and "Traceback" not in refused.err
    assert old.poll() is None and "running" in project.doit("status", "pod=web").out


@pytest.mark.parametrize("own", [False, True])
@pytest.mark.parametrize("words", ["pod=web manifets", "pod=web pods=web", "pod=other pod=web", "pod=web app:nobody"])
def test_a_mistake_on_the_command_line_ends_nothing(
    project: Project, old: subprocess.Popen[str], words: str, own: bool
) -> None:
    """The pod ended, and then doit told what was wrong."""
    if own:
        with open(project.root / "dodo.py", "a") as dodo:
            dodo.write("# changed\n")
    refused = project.doit("run", "--replace", *words.split())
    assert refused.code == 3 and "Traceback" not in refused.err, refused
    assert old.poll() is None and "running" in project.doit("status", "pod=web").out


def test_in_a_folder_below_that_doit_does_not_look_above_ends_nothing(
    project: Project, old: subprocess.Popen[str]
) -> None:
    project.away = project.root / "images"
    refused = project.doit("run", "--replace", "pod=web")
    project.away = None
    assert refused.code == 3 and "there is one above" in refused.err, refused
    assert old.poll() is None


def test_a_dodo_py_that_cannot_be_loaded_ends_nothing(project: Project, old: subprocess.Popen[str]) -> None:
    with open(project.root / "dodo.py", "a") as dodo:
        dodo.write("import nothing_of_that_name\n")
    refused = project.doit("run", "--replace", "pod=web")
    assert refused.code != 0 and "nothing_of_that_name" in refused.err
    assert old.poll() is None


def test_interrupted_while_the_pod_does_not_end(project: Project, old: subprocess.Popen[str]) -> None:
    """Its process is stopped, so it cannot end; the command can."""
    os.kill(old.pid, signal.SIGSTOP)
    try:
        new = started(project, "--replace", process_group=0)
        with pytest.raises(subprocess.TimeoutExpired):
            new.wait(1)
        os.killpg(new.pid, signal.SIGINT)
        out, err = new.communicate()
        assert (new.returncode, out) == (130, "") and "Traceback" not in err, err
        assert old.poll() is None
    finally:
        os.kill(old.pid, signal.SIGCONT)
