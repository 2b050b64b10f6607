"""`doit why` before anything was prepared: it answers, needs no root, and changes nothing."""

from __future__ import annotations

import json
import os
import re
from pathlib import Path

import pytest

from tests.system import workbench
from tests.system.workbench import Project

UID = "7f0c0a3e-6a0e-4f5e-9a57-0d5b0d2f7f10"
APP = {"name": "web", "image": "images/web.aci"}


@pytest.fixture
def project(tmp_path: Path) -> Project:
    made = Project(tmp_path / "project", tmp_path / "data")
    made.image("web.aci", workbench.manifest("example.com/web", app=["/bin/true"]), [])
    made.write(workbench.spec("web", UID, [APP], privateUsers="auto"))
    return made


def test_every_task_of_a_new_pod_waits_for_those_before_it(project: Project) -> None:
    done = project.doit("why", "pod=web", "--format", "json")
    assert done.code == 0, done.err
    told = {one["task"]: one for one in json.loads(done.out)}
    assert list(told)[-3:] == ["manifest", "overlay", "init"]
    assert told["image:web"]["reasons"][0]["what"] == "web.aci was not imported yet"
    assert told["manifest"]["after"] and not told["manifest"]["fresh"]
    lines = project.doit("why", f"pod={UID[:8]}").out.splitlines()
    assert [line.split()[0] for line in lines] == list(told)


def test_asking_changes_nothing(project: Project) -> None:
    assert project.doit("images", "import", "images/web.aci").code == 0
    project.doit("why", "pod=web")
    before = {path for path in project.data.rglob("*") if path.relative_to(project.data).parts[0] != "cache"}
    for words in (("why",), ("list", "--all", "-s"), ("info", "manifest"), ("clean", "-n"), ("list",)):
        assert project.doit(*words, "pod=web").code in (0, 1)
    after = {path for path in project.data.rglob("*") if path.relative_to(project.data).parts[0] != "cache"}
    assert after == before


def test_times_are_told_as_people_write_them(project: Project) -> None:
    assert project.doit("images", "import", "images/web.aci").code == 0
    os.utime(project.root / "images" / "web.aci", ns=(0, 1_700_000_000_123_456_789))
    (line,) = [line for line in project.doit("why", "pod=web").out.splitlines() if "web.aci.mtime" in line]
    assert re.search(r"mtime: \d{4}-\d\d-\d\d \d\d:\d\d:\d\d\.\d{3} -> 2023-11-1\d \d\d:\d\d:20\.123$", line), line
    told = json.loads(project.doit("why", "pod=web", "--format", "json").out)
    (image,) = [one for one in told if one["task"] == "image:web"]
    assert {one["what"]: one["new"] for one in image["reasons"]}["web.aci.mtime"] == "1700000000123456789"


def test_a_missing_file_is_a_reason(project: Project) -> None:
    (project.root / "images" / "web.aci").unlink()
    done = project.doit("why", "pod=web")
    assert done.code == 0 and "web.aci" in done.out and "Traceback" not in done.err


@pytest.mark.parametrize("words", [(), ("pod=",), ("pod=nope",), ("web",)], ids=str)
def test_a_pod_must_be_named(project: Project, words: tuple[str, ...]) -> None:
    refused = project.doit("why", *words)
    assert refused.code in (1, 3) and refused.err.startswith("ERROR: ") and refused.out == ""
