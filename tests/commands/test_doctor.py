"""`doit doctor`: a line for everything that it looks at, and an exit code for whether pods can run."""

from __future__ import annotations

import json
import os
import subprocess
from pathlib import Path

import pytest

from stages.base.errors import HostError
from stages.commands import doctor, doctor_probes
from tests.system.workbench import Project


def test_every_line_says_what_it_means(tmp_path: Path) -> None:
    project = Project(tmp_path / "project", tmp_path / "data")
    done = project.doit("doctor", "--format", "json")
    found = {one["what"]: one for one in json.loads(done.out)}
    assert {"root", "control groups", "crun", "runc", "python", "network plugins"} <= set(found)
    assert done.code == (1 if any(one["needed"] and not one["ok"] for one in found.values()) else 0)
    assert found["root"]["ok"] == (os.geteuid() == 0) and all(one["text"] for one in found.values())
    assert len(project.doit("doctor").out.splitlines()) == len(found)


def failing(error: Exception) -> doctor.Finding:
    def probe() -> str:
        raise error

    return doctor._asked("overlay", False, probe, "files are copied")


def test_a_refusal_is_told_with_its_meaning() -> None:
    assert failing(HostError("no overlayfs")).text == "no overlayfs: files are copied"
    assert failing(PermissionError(1, "Operation not permitted", "/x")).text == (
        "Operation not permitted (/x): files are copied"
    )
    assert not failing(HostError("no")).ok


def test_the_file_system_of_a_path_is_known() -> None:
    assert doctor_probes._file_system(Path("/proc")) == "proc"


@pytest.mark.system
def test_a_mount_point_of_any_name_is_no_trouble(tmp_path: Path) -> None:
    odd = os.fsencode(tmp_path) + b"/\xff\x0b \xc2\x85- x"
    os.mkdir(odd)
    subprocess.run(["mount", "-t", "tmpfs", "none", odd], check=True)
    try:
        assert doctor_probes._file_system(Path("/proc")) == "proc"
        assert doctor_probes._file_system(Path(os.fsdecode(odd))) == "tmpfs"
    finally:
        subprocess.run(["umount", odd], check=True)


def test_a_child_that_may_not_mount_tells_why() -> None:
    def refused() -> None:
        raise OSError(22, "Invalid argument")

    with pytest.raises(OSError) as error:
        doctor_probes._aside(refused)
    assert error.value.errno in (1, 22)
