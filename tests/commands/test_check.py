"""`doit check`: every problem of every spec, with its place; no root, no data directory."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.system import workbench
from tests.system.workbench import Project

UIDS = [f"{number:08x}-0000-4000-8000-000000000001" for number in range(1, 4)]


@pytest.fixture
def project(tmp_path: Path) -> Project:
    made = Project(tmp_path / "project", tmp_path / "data")
    for name, uid in zip(("one", "two"), UIDS, strict=False):
        made.write(workbench.spec(name, uid, [{"name": "app", "image": "x.aci"}]))
    return made


def spoil(project: Project, name: str) -> None:
    path = project.root / "pods" / f"{name}.yaml"
    path.write_text(path.read_text().replace("containers:", "containrs:") + "more: 1\n")


def test_right_specs_are_counted(project: Project) -> None:
    done = project.doit("check")
    assert (done.code, done.out, done.err) == (0, "2 of 2 specs are right\n", "")
    assert project.doit("check", "pod=one").out == "1 of 1 specs are right\n"
    assert project.doit("check", f"pod={UIDS[1][:8]}").out == "1 of 1 specs are right\n"


def test_all_problems_of_all_files_have_their_places(project: Project) -> None:
    spoil(project, "one")
    spoil(project, "two")
    done = project.doit("check")
    assert done.code == 1 and done.out == "0 of 2 specs are right\n" and "Traceback" not in done.err
    for name in ("one", "two"):
        assert done.err.count(f"pods/{name}.yaml:") >= 2
    assert "did you mean" in done.err
    only = project.doit("check", "pod=two")
    assert only.code == 1 and "one.yaml" not in only.err


def test_no_terminal_obeys_what_a_file_is_called(project: Project) -> None:
    (project.root / "pods" / "a\x1b[2J\nb.yaml").write_text("x: [")
    for words in ((), ("check",)):
        done = project.doit(*words)
        assert "\x1b" not in done.out + done.err and "a\\x1b[2J\\nb.yaml" in done.out + done.err, done


def test_two_pods_of_one_name_or_uuid_are_told_with_both_files(project: Project) -> None:
    for name, uid in (("one", UIDS[2]), ("three", UIDS[1])):
        path = project.write(workbench.spec(name, uid, [{"name": "app", "image": "x.aci"}]))
        path.rename(path.with_name(f"twin-{name}.yaml"))
    project.write(workbench.spec("one", UIDS[0], [{"name": "app", "image": "x.aci"}]))
    done = project.doit("check")
    assert done.code == 1
    for name in ("one.yaml", "twin-one.yaml", "two.yaml", "twin-three.yaml"):
        assert name in done.err, name


def test_what_is_no_spec_and_no_pod(project: Project, tmp_path: Path) -> None:
    (project.root / "pods" / "bytes.yaml").write_bytes(b"\xff\x00")
    (project.root / "pods" / "link.yaml").symlink_to("nowhere")
    done = project.doit("check")
    assert done.code == 1 and "bytes.yaml" in done.err and "Traceback" not in done.err
    assert project.doit("check", "pod=nope").code == 3
    project.away = tmp_path
    assert project.doit("check").code == 3
    assert project.doit("check", "-f", str(project.root / "dodo.py"), "pod=one").code == 0
