"""Pods of a unit of systemd: where it leaves its control group to them, their groups lie in it."""

from __future__ import annotations

import os
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from stages.stage1.crun import cgroups
from tests.system.stage1_pod import HandMadePod, sh

pytestmark = pytest.mark.system

MARK = "trusted.delegate"
# Goes before the program: it is then in the group, as systemd has it with a unit's.
INTO = 'echo $$ > "$0/cgroup.procs"; exec "$@"'


@pytest.fixture
def unit() -> Iterator[Path]:
    """A control group, as systemd makes one for a unit, in the hierarchy where it keeps them."""
    top, group = cgroups.look("crun").tracked
    if not top:
        pytest.skip("no hierarchy of control groups as systemd has one")
    path = Path(f"{top}{group}/shop.service")
    path.mkdir()
    yield path
    while (path / "cgroup.procs").read_text():  # runtimes of a pod that was killed are on their way out
        time.sleep(0.01)
    path.rmdir()


def groups(unit: Path) -> list[Path]:
    """What is there of the unit, in whatever hierarchy."""
    return [path for path in Path("/sys/fs/cgroup").rglob(unit.name) if path != unit]


@pytest.mark.parametrize("delegated", [True, False])
def test_an_apps_group_is_in_that_of_the_unit_if_that_is_delegated(tmp_path: Path, unit: Path, delegated: bool) -> None:
    if delegated:
        os.setxattr(unit, MARK, b"1")
    pod = HandMadePod(tmp_path, "crun")
    pod.add("web", sh("cat /proc/self/cgroup"))
    ended = pod.run(prefix=("sh", "-c", INTO, str(unit)))
    lines = [line for line in ended.stdout.splitlines() if line.partition(":")[2].startswith(("name=systemd:", ":"))]
    inside = [line for line in lines if f"/{unit.name}/podwright-{pod.uuid}" in line and line.endswith("/web")]
    assert bool(inside) is delegated and ended.returncode == 0, ended
    assert groups(unit) == [] and list(unit.glob("*/")) == []


def test_an_init_in_a_group_of_its_own_leaves_the_apps_to_the_unit(tmp_path: Path, unit: Path) -> None:
    """As with `DelegateSubgroup=`."""
    os.setxattr(unit, MARK, b"1")
    (unit / "main").mkdir()
    pod = HandMadePod(tmp_path, "crun")
    pod.add("web", sh("cat /proc/self/cgroup"))
    ended = pod.run(prefix=("sh", "-c", INTO, str(unit / "main")))
    assert f"/{unit.name}/podwright-{pod.uuid}" in ended.stdout and ended.returncode == 0, ended
    (unit / "main").rmdir()
    assert groups(unit) == [] and list(unit.glob("*/")) == []


def test_gc_finds_what_a_killed_pod_of_a_unit_has_left(tmp_path: Path, unit: Path) -> None:
    os.setxattr(unit, MARK, b"1")
    pod = HandMadePod(tmp_path, "crun")
    pod.add("web", sh("echo up; exec sleep 1000"))
    process = pod.start(prefix=("sh", "-c", INTO, str(unit)))
    assert process.stdout is not None and process.stdout.readline() == "up\n"
    process.kill()
    process.communicate()
    subprocess.run([pod.entrypoint("gc"), pod.uuid], cwd=pod.path, check=True)
    assert groups(unit) == [] and list(unit.glob("*/")) == []


def test_what_the_journal_will_not_show_is_told(tmp_path: Path, unit: Path) -> None:
    pod = HandMadePod(tmp_path, "crun")
    pod.add("web", sh("true"))
    journal = "export JOURNAL_STREAM=$(stat -Lc %d:%i /dev/stderr); " + INTO
    assert "Delegate=yes" in pod.run(prefix=("sh", "-c", journal, str(unit))).stderr
    os.setxattr(unit, MARK, b"1")
    assert pod.run(prefix=("sh", "-c", journal, str(unit))).stderr == ""
