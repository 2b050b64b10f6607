"""Our commands on real pods: running, exited, damaged, foreign, gone."""

from __future__ import annotations

import json
import os
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.system import workbench
from tests.system.workbench import Project

pytestmark = pytest.mark.system

WEB, JOB = "11111111-0000-4000-8000-000000000001", "22222222-0000-4000-8000-000000000002"
# Ends with 7 when asked to.
PATIENT = ["/bin/sh", "-c", "trap 'exit 7' TERM; echo up; sleep 1000 & wait"]


@pytest.fixture
def project(tmp_path: Path) -> Project:
    made = Project(tmp_path / "project", tmp_path / "data")
    made.image("web.aci", workbench.manifest("example.com/web", app=["/bin/true"]), workbench.busybox())
    app = {"name": "app", "image": "images/web.aci"}
    made.write(workbench.spec("web", WEB, [app | {"command": PATIENT}]))
    made.write(workbench.spec("job", JOB, [app]))
    return made


@pytest.fixture
def running(project: Project) -> Iterator[subprocess.Popen[str]]:
    """The pod web, up."""
    process = project.started("run", "pod=web")
    assert process.stdout is not None and process.stdout.readline() == "up\n"
    yield process
    if process.poll() is None:
        project.doit("stop", "--force", "pod=web")
    process.communicate()
    # What a killed stage1 could not clear away, its gc does.
    project.doit("rm", "pod=web")


def state(project: Project, pod: str) -> str:
    return str(json.loads(project.doit("status", "--format", "json", f"pod={pod}").out)["state"])


@pytest.mark.contract("L.1 rkt_list", "L.1 rkt_rm", "L.1 rkt_status")
def test_a_pod_is_absent_prepared_exited_and_absent_again(project: Project) -> None:
    assert state(project, "job") == "absent"
    assert project.run("job", "manifest").code == 0
    assert state(project, "job") == "prepared"
    assert project.run("job").code == 0
    assert state(project, "job") == "exited"
    told = json.loads(project.doit("status", "--format", "json", f"pod={JOB[:8]}").out)
    assert (told["uuid"], told["apps"]) == (JOB, [{"name": "app", "exit_code": 0}])
    removed = project.doit("rm", "job")
    assert (removed.code, removed.out) == (0, f"{JOB}\n")
    assert state(project, "job") == "absent"
    assert project.doit("rm", "job").code == 1


@pytest.mark.contract("L.1 rkt_stop")
def test_a_running_pod_is_seen_entered_kept_and_stopped(project: Project, running: subprocess.Popen[str]) -> None:
    (told,) = json.loads(project.doit("ps", "--format", "json").out)
    assert (told["name"], told["state"], told["apps"]) == ("web", "running", [{"name": "app", "exit_code": None}])
    assert told["memory_bytes"] > 0 and os.path.exists(f"/proc/{told['pid']}")
    entered = project.doit("enter", "pod=web", "--", "env", "A=1", "sh", "-c", 'echo "$A $*"', "x", "--", "B=2")
    assert (entered.code, entered.out) == (0, "1 -- B=2\n")
    assert project.doit("enter", "pod=web", "--", "sh", "-c", "exit 9").code == 9
    for words in (("rm", "web"), ("run", "pod=web"), ("run", "pod=web", "manifest"), ("clean", "pod=web")):
        # As a user types it: the command first.
        refused = project.doit(*words)
        assert refused.code != 0 and "running" in refused.err and "Traceback" not in refused.err, words
    assert project.doit("gc", "--grace-period", "0s", "--expire-prepared", "0s").code == 0
    assert state(project, "web") == "running"
    stopped = project.doit("stop", "pod=web")
    assert stopped.code == 0, stopped.err
    assert running.wait() == 7
    assert "app-app=7" in project.doit("status", "pod=web").out
    assert "already stopped" in project.doit("stop", "pod=web").out
    assert project.doit("enter", "pod=web", "--", "true").code == 1


def test_waiting_for_a_pod_ends_with_it(project: Project, running: subprocess.Popen[str]) -> None:
    waiting = project.started("status", "--wait", "pod=web")
    with pytest.raises(subprocess.TimeoutExpired):
        waiting.wait(timeout=0.5)
    assert project.doit("stop", "--force", "pod=web").code == 0
    out, _ = waiting.communicate()
    assert waiting.returncode == 0 and "state=exited" in out


def test_why_names_what_changed_and_changes_nothing(project: Project) -> None:
    before = project.doit("why", "--format", "json", "pod=job")
    assert before.code == 0 and not project.pod(JOB).exists()
    assert project.run("job").code == 0
    told = {one["task"]: one for one in json.loads(project.doit("why", "--format", "json", "pod=job").out)}
    assert {task for task, one in told.items() if not one["fresh"]} == {"overlay", "init"}
    path = project.write(
        workbench.spec("job", JOB, [{"name": "app", "image": "images/web.aci", "env": [{"name": "A", "value": "b"}]}])
    )
    assert path.exists()
    text = project.doit("why", "pod=job").out
    assert "manifest      pod manifest.apps[0].app.environment: [] -> " in text
    assert state(project, "job") == "exited"


def test_check_tells_all_problems_with_their_places(project: Project) -> None:
    assert project.doit("check").out == "2 of 2 specs are right\n"
    bad = project.root / "pods" / "bad.yaml"
    bad.write_text("apiVersion: v1\nkind: Pod\nmetadata: {name: bad, uid: x}\nspec:\n  containrs: []\n")
    checked = project.doit("check")
    assert checked.code == 1 and "Traceback" not in checked.err
    assert "bad.yaml:3:" in checked.err and "bad.yaml:5:" in checked.err and "containers" in checked.err
    assert project.run("job").code == 0


@pytest.mark.contract("M 22")
def test_damaged_and_foreign_pods_break_no_listing(project: Project) -> None:
    assert project.run("job").code == 0
    pods = project.data / "pods"
    for number, content in enumerate((b"", b"{", b"[]", b'{"apps": 7}', b"\xff")):
        odd = pods / f"{number}0000000-0000-4000-8000-00000000000f"
        (odd / "appsinfo").mkdir(parents=True)
        (odd / "pod").write_bytes(content)
        (odd / "phase").write_bytes(content)
        (odd / "pid").symlink_to("/dev/zero")
    (pods / "no-uuid").mkdir()
    (pods / "file").write_text("x")
    listed = project.doit("ps", "--format", "json")
    assert listed.code == 0 and len(json.loads(listed.out)) == 6, listed.err
    assert project.doit("ps").code == 0
    assert project.doit("gc", "--dry-run").code == 0
    assert project.doit("rm", *(f"{number}0000000" for number in range(5))).code == 0


@pytest.mark.contract("L.1 rkt_gc", "L.1 rkt_image_gc")
def test_gc_takes_what_is_over_and_keeps_the_rest(project: Project) -> None:
    assert project.run("job").code == 0
    trees = sorted(os.listdir(project.data / "trees"))
    kept = project.doit("gc")
    assert (kept.code, kept.out) == (0, "") and sorted(os.listdir(project.data / "trees")) == trees
    dry = project.doit("gc", "--grace-period", "0s", "--dry-run")
    assert JOB in dry.out and project.pod(JOB).exists()
    assert project.doit("gc", "--grace-period", "0s").code == 0
    assert not project.pod(JOB).exists() and os.listdir(project.data / "trees") == []
    assert os.listdir(project.data / "garbage") == []
    assert project.run("job").code == 0


def test_garbage_that_cannot_be_deleted_keeps_nothing_else(project: Project) -> None:
    garbage = project.data / "garbage"
    for name in ("a.1/point", "b.2"):
        (garbage / name).mkdir(parents=True)
    (project.data / "shifts").mkdir()
    (project.data / "shifts/1").symlink_to(JOB)
    (project.data / "version").write_text("1\n")
    subprocess.run(["mount", "-t", "tmpfs", "none", str(garbage / "a.1/point")], check=True)
    try:
        done = project.doit("gc")
    finally:
        subprocess.run(["umount", str(garbage / "a.1/point")], check=True)
    assert done.code == 1 and "is a mount point" in done.err, done.err
    assert os.listdir(garbage) == ["a.1"] and os.listdir(project.data / "shifts") == []
    assert project.doit("gc").code == 0 and os.listdir(garbage) == []


@pytest.mark.contract("L.1 rkt_gc", "M 24")
def test_a_broken_off_preparation_is_collected_and_a_prepared_pod_expires(project: Project) -> None:
    assert project.run("job", "image:app").code == 0
    assert state(project, "job") == "aborted prepare"
    assert project.run("web", "manifest").code == 0
    assert project.doit("gc").code == 0
    assert state(project, "job") == "absent" and state(project, "web") == "prepared"
    assert project.doit("gc", "--expire-prepared", "0s").code == 0
    assert state(project, "web") == "absent"


@pytest.mark.contract("L.1 rkt_image_cat_manifest", "L.1 rkt_image_export", "L.1 rkt_image_list", "L.1 rkt_image_rm")
def test_images_come_in_are_told_go_out_and_go(project: Project, tmp_path: Path) -> None:
    imported = project.doit("images", "import", "images/web.aci")
    image_id = imported.out.strip()
    (told,) = json.loads(project.doit("images", "--format", "json").out)
    assert (told["id"], told["name"], told["whole"]) == (image_id, "example.com/web", True)
    assert json.loads(project.doit("images", "cat-manifest", "example.com/web").out)["name"] == "example.com/web"
    out = tmp_path / "out.aci"
    assert project.doit("images", "export", image_id[:20], str(out)).code == 0
    assert out.read_bytes() == (project.root / "images/web.aci").read_bytes()
    assert project.doit("images", "export", image_id, str(out)).code == 1
    assert project.doit("images", "verify").code == 0
    assert project.doit("images", "rm", image_id[:20]).code == 0
    assert json.loads(project.doit("images", "--format", "json").out) == []
    for words in (("nonsense",), ("rm", "sha512-0000"), ("import", "missing.aci"), ("cat-manifest", "example.com/x")):
        refused = project.doit("images", *words)
        assert refused.code == 1 and refused.err.startswith("ERROR: ") and "Traceback" not in refused.err, words


@pytest.mark.contract("L.1 rkt_image_verify")
def test_verify_finds_a_changed_byte_that_no_stamp_tells(project: Project) -> None:
    assert project.run("job").code == 0
    assert project.doit("verify").code == 0
    (blob,) = [path for path in (project.data / "images/blobs/sha512").iterdir() if path.stat().st_size > 1 << 20]
    blob.chmod(0o644)
    with open(blob, "r+b") as file:
        file.seek(-4096, os.SEEK_END)
        file.write(b"!")
    found = project.doit("verify")
    assert found.code == 1 and "its bytes are others" in found.out
    again = project.run("job")
    assert again.code == 0 and "image:app" in again.tasks
    assert project.doit("verify").code == 0


@pytest.mark.contract("L.1 rkt_rm", "M 26")
def test_words_that_name_no_pod_get_a_sentence(project: Project) -> None:
    for words in (("status",), ("status", "pod=wbe"), ("stop", "pod="), ("why",), ("enter", "pod=nope"), ("rm",)):
        refused = project.doit(*words)
        assert refused.code in (1, 3) and "ERROR: " in refused.err and "Traceback" not in refused.err, words


def test_an_exited_pod_tells_since_when(project: Project) -> None:
    before = time.time() - 1
    assert project.run("job").code == 0
    (told,) = json.loads(project.doit("ps", "--format", "json").out)
    assert before < told["started_at"] <= told["finished_at"] + 1 and told["finished_at"] < time.time() + 1
