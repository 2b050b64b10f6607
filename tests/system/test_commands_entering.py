"""`doit enter`, `stop` and `status` of running pods: words as they are, apps by name, foreign stage1s."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from stages.images import build
from tests.system import workbench
from tests.system.workbench import Project

pytestmark = pytest.mark.system

UID = "33333333-0000-4000-8000-000000000003"
PODWRIGHT = [str(Path(sys.executable).parent / "podwright")]
PATIENT = ["/bin/sh", "-c", "trap 'exit 0' TERM; echo up; sleep 1000 & wait"]
STUBBORN = ["/bin/sh", "-c", "trap '' TERM; echo up; while :; do sleep 1000; done"]


@pytest.fixture
def project(tmp_path: Path) -> Project:
    made = Project(tmp_path / "project", tmp_path / "data")
    made.image("box.aci", workbench.manifest("example.com/box", app=["/bin/true"]), workbench.busybox())
    return made


@pytest.fixture
def started(project: Project) -> Iterator[list[subprocess.Popen[str]]]:
    """Whatever is in the list is ended after the test."""
    processes: list[subprocess.Popen[str]] = []
    yield processes
    for process in processes:
        if process.poll() is None:
            project.doit("stop", "--force", UID)
        process.communicate()
    project.doit("rm", UID)


def app(name: str, command: list[str]) -> dict[str, Any]:
    return {"name": name, "image": "images/box.aci", "command": command}


def up(project: Project, started: list[subprocess.Popen[str]], *apps: dict[str, Any], **stage0: Any) -> None:
    """The pod `web`, running, every app ready."""
    project.write(workbench.spec("web", UID, list(apps), **stage0))
    process = project.started("run", "pod=web")
    started.append(process)
    assert process.stdout is not None
    for _ in apps:
        assert process.stdout.readline() == "up\n"


def test_words_arrive_as_they_are(project: Project, started: list[subprocess.Popen[str]]) -> None:
    up(project, started, app("one", PATIENT))
    shown = ["sh", "-c", 'for word; do echo "<$word>"; done', "sh"]
    words = ["A=1", "pod=other", "--", "-x", "a b", "$HOME", "--app", "*"]
    entered = project.doit("enter", "pod=web", "--", *shown, *words)
    assert (entered.code, entered.out.splitlines()) == (0, [f"<{word}>" for word in words]), entered.err
    assert project.doit("enter", "web", "--app", "one", "--", "sh", "-c", "exit 9").code == 9
    project.program = PODWRIGHT
    entered = project.doit("enter", "pod=web", "--", *shown, "", *words, "")
    assert entered.out.splitlines() == [f"<{word}>" for word in ["", *words, ""]], entered.err


def test_an_app_is_named_when_there_are_several(project: Project, started: list[subprocess.Popen[str]]) -> None:
    up(project, started, app("one", PATIENT), app("two", PATIENT))
    which = project.doit("enter", "pod=web", "--", "true")
    assert which.code == 1 and "one, two" in which.err
    assert project.doit("enter", "pod=web", "--app", "three", "--", "true").code == 1
    assert project.doit("enter", "pod=web", "-a", "two", "--", "true").code == 0
    for words in (("ls", "-l"), ("ls",)):
        refused = project.doit("enter", "pod=web", *words)
        assert refused.code != 0 and "`--`" in refused.err and refused.out == ""


def test_stopping_takes_no_longer_than_it_may(project: Project, started: list[subprocess.Popen[str]]) -> None:
    up(project, started, app("one", STUBBORN))
    limited = project.doit("stop", "pod=web", "--timeout", "0s")
    assert limited.code == 1 and "still runs" in limited.err
    told = json.loads(project.doit("status", "web", "--format", "json").out)
    assert told["state"] == "running" and told["memory_bytes"] > 0
    assert project.doit("stop", "--force", "web").code == 0
    assert started[0].wait() != 0
    assert "state=exited" in project.doit("status", "web").out
    again = project.doit("stop", "web")
    assert again.code == 0 and "already stopped" in again.out
    assert project.doit("stop", "web", "nope").code == 3


def foreign_stage1(project: Project, **annotations: str) -> None:
    """A stage1 of shell scripts in images/foreign.aci: `run` holds the lock until it is told to end."""
    run = "#!/bin/sh\necho $$ > pid; echo up; read line < end\nmkdir -p stage1/rootfs/rkt/status\n"
    members = [
        *workbench.busybox(),
        build.directory("opt"),
        build.directory("opt/stage2"),
        build.directory("rkt"),
        build.directory("rkt/status"),
        build.regular("run", run.encode(), 0o755),
        build.regular("gc", b"#!/bin/sh\nexit 3\n", 0o755),
    ]
    listed = [{"name": f"coreos.com/rkt/stage1/{name}", "value": value} for name, value in annotations.items()]
    project.image("foreign.aci", workbench.manifest("example.com/foreign", annotations=listed), members)


def test_a_stage1_without_a_way_to_stop_it(project: Project, started: list[subprocess.Popen[str]]) -> None:
    foreign_stage1(project, run="/run", gc="/gc")
    project.write(workbench.spec("web", UID, [app("one", PATIENT)], stage1="images/foreign.aci"))
    assert project.doit("run", "pod=web", "manifest").code == 0
    os.mkfifo(project.pod(UID) / "end")
    process = project.started("run", "pod=web")
    assert process.stdout is not None and process.stdout.readline() == "up\n"
    for words in (("stop", "web"), ("enter", "web", "--", "true")):
        refused = project.doit(*words)
        assert refused.code == 1 and "Traceback" not in refused.err, words
    assert "stop" in project.doit("stop", "web").err
    (project.pod(UID) / "end").write_text("\n")
    assert process.wait() == 0
    process.communicate()
    # Its gc fails, which keeps nobody from removing the pod.
    removed = project.doit("rm", "web")
    assert removed.code == 0 and "gc ended with 3" in removed.err and not project.pod(UID).exists()
