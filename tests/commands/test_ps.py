"""`doit ps` and `doit status` of pods in any state of repair, made by hand and asked through the real command."""

from __future__ import annotations

import contextlib
import json
import os
from pathlib import Path
from typing import Any

import pytest

from stages.linux import locks
from tests.system.workbench import Project


@pytest.fixture
def project(tmp_path: Path) -> Project:
    made = Project(tmp_path / "project", tmp_path / "data")
    (made.data / "pods").mkdir(parents=True)
    (made.data / "version").write_text("1\n")
    return made


def uid(number: int) -> str:
    return f"{number:08x}-0000-4000-8000-000000000001"


def pod(project: Project, number: int, **texts: str) -> Path:
    """A pod's directory with these files; `__` in a name is a directory's end."""
    root = project.pod(uid(number))
    root.mkdir()
    for name, text in texts.items():
        path = root / name.replace("__", "/")
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    return root


def listed(project: Project) -> dict[str, dict[str, Any]]:
    done = project.doit("ps", "--format", "json")
    assert done.code == 0 and "Traceback" not in done.err, done.err
    return {one["uuid"]: one for one in json.loads(done.out)}


def test_nothing_is_listed_where_nothing_is(tmp_path: Path) -> None:
    project = Project(tmp_path / "project", tmp_path / "data")
    assert project.doit("ps").out == "UUID  NAME  APPS  STATE  PID  SINCE\n"
    assert project.doit("ps", "--no-legend").out == ""
    assert project.doit("ps", "--format", "json").out == "[]\n"
    assert not project.data.exists()


@pytest.mark.contract("L.1 rkt_list")
def test_states_names_apps_and_exit_codes(project: Project) -> None:
    pod(project, 1, name="one", phase="prepared\n", pod='{"apps": [{"name": "web"}, {"name": "db"}]}')
    pod(project, 2, name="two", phase="run\n", pod='{"apps": [{"name": "job"}]}', stage1__rootfs__rkt__status__job="3")
    pod(project, 3)
    pod(project, 4, phase="deleting\n")
    known = listed(project)
    assert [known[uid(number)]["state"] for number in (1, 2, 3, 4)] == [
        "prepared",
        "exited",
        "aborted prepare",
        "deleting",
    ]
    assert [app["name"] for app in known[uid(1)]["apps"]] == ["web", "db"]
    assert known[uid(2)]["apps"] == [{"name": "job", "exit_code": 3}] and known[uid(2)]["finished_at"]
    table = project.doit("ps").out.splitlines()
    assert table[0].split() == ["UUID", "NAME", "APPS", "STATE", "PID", "SINCE"] and len(table) == 5
    assert uid(1) in project.doit("ps", "--full").out
    lines = project.doit("status", "two").out.splitlines()
    assert {"state=exited", "exited=true", "app-job=3", "name=two"} <= set(lines)
    assert any(line.startswith("created=2") for line in lines) and any(line.startswith("started=2") for line in lines)


@pytest.mark.contract("M 22")
def test_no_damage_breaks_a_listing(project: Project) -> None:
    for number, content in enumerate(("", "{", "[]", '{"apps": 7}', "[" * 100_000, '{"apps": [{}]}')):
        pod(project, number, phase="run\n", pod=content, name="x\x1b[31m\n" * 3)
    for number, name in enumerate(("phase", "pod", "name", "pid", "stage1TreeStoreID")):
        os.mkfifo(pod(project, 0x100 + number) / name)
        (pod(project, 0x200 + number) / name).symlink_to("/dev/zero")
        (pod(project, 0x300 + number) / name).mkdir()
    project.pod(uid(0x400)).symlink_to(project.root)
    project.pod(uid(0x401)).write_text("a file")
    project.pod(uid(0x402)).symlink_to("nowhere")
    known = listed(project)
    assert len(known) == 6 + 15 + 3
    assert {known[uid(number)]["state"] for number in (0x400, 0x401, 0x402)} == {"absent"}
    table = project.doit("ps")
    assert table.code == 0 and "\x1b" not in table.out and len(table.out.splitlines()) == 1 + len(known)
    for word in list(known)[::4]:
        assert project.doit("status", word).code == 0, word


def test_what_is_no_pod_is_said_and_left_alone(project: Project) -> None:
    (project.data / "pods" / "lost+found").mkdir()
    pod(project, 1, name="one")
    told = project.doit("ps")
    assert (told.code, len(told.out.splitlines())) == (0, 2) and "lost+found" in told.err
    assert project.doit("gc", "--expire-prepared", "0").code == 0
    assert (project.data / "pods" / "lost+found").is_dir()


def test_a_pod_is_named_by_uuid_prefix_or_name_and_never_by_guess(project: Project) -> None:
    pod(project, 0xABCD1111, name="one", phase="prepared\n")
    pod(project, 0xABCD2222, name="two", phase="prepared\n")
    for word in (uid(0xABCD1111), "abcd1", "ABCD1111", "abcd11110000", "one"):
        assert f"uuid={uid(0xABCD1111)}" in project.doit("status", word).out, word
        assert f"uuid={uid(0xABCD1111)}" in project.doit("status", f"pod={word}").out, word
    for word in ("abcd", "abc", "", "nope"):
        refused = project.doit("status", f"pod={word}")
        assert refused.code in (1, 3) and refused.err.startswith("ERROR: ") and refused.out == "", word
    assert project.doit("status", "one", "two").code == 1


def test_a_data_directory_of_another_format_is_refused(project: Project) -> None:
    (project.data / "version").write_text("99\n")
    refused = project.doit("ps")
    assert refused.code == 1 and "99" in refused.err and "Traceback" not in refused.err


@pytest.mark.contract("L.1 rkt_list", "C.11 status")
def test_a_running_pod_tells_its_networks(project: Project) -> None:
    records = [{"netName": "default", "ifName": "eth0", "ip": "172.16.28.2"}, {"netName": "lo"}]
    root = pod(project, 1, name="one", phase="run\n", **{"net-info.json": json.dumps(records)})
    assert "networks" not in project.doit("status", "one").out
    for number, content in enumerate(("{", "7", "[7]", "[{}]", '{"a": 1}'), 2):
        pod(project, number, phase="run\n", **{"net-info.json": content})
    with contextlib.ExitStack() as stack:
        for folder in root.parent.iterdir():
            descriptor = locks.try_lock(folder)
            assert descriptor is not None
            stack.callback(os.close, descriptor)
        assert "networks=default:ip4=172.16.28.2, lo:ip4=" in project.doit("status", "one").out.splitlines()
        known = listed(project)
        wanted = [{"name": "default", "ip4": "172.16.28.2"}, {"name": "lo", "ip4": ""}]
        assert known[uid(1)]["networks"] == wanted
        assert all(known[uid(number)]["networks"] == [] for number in range(2, 7))
