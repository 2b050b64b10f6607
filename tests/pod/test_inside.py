"""Which process is stage1's init, and that its id is not believed when it is somebody else's by now."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path

import pytest

from stages.base.paths import PodPaths
from stages.linux import process as process_ids
from stages.pod import inside


@pytest.fixture
def pod(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> PodPaths:
    monkeypatch.chdir("/")
    return PodPaths(tmp_path)


def test_in_the_same_namespace_only_the_directory_changes(pod: PodPaths) -> None:
    inside.note(pod)
    before = os.readlink("/proc/self/ns/mnt")
    inside.join(pod)
    assert os.getcwd() == str(pod.root) and os.readlink("/proc/self/ns/mnt") == before


def test_the_noted_process_is_this_one(pod: PodPaths) -> None:
    inside.note(pod)
    assert inside._init(pod) == os.getpid()


@pytest.mark.parametrize("text", [None, "", "x", "1", pytest.param(f"{os.getpid()} 1", id="ours"), "99999999 5"])
def test_an_id_that_was_used_again_is_nobody_s(pod: PodPaths, text: str | None) -> None:
    if text is not None:
        pod.init.write_text(text)
    assert inside._init(pod) is None
    inside.join(pod)
    assert os.getcwd() == str(pod.root)


def test_a_process_that_ends_while_it_is_looked_at_is_passed_over(
    pod: PodPaths, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(inside, "_candidates", lambda _: [99999999])
    inside.join(pod)
    assert os.getcwd() == str(pod.root)


@pytest.mark.contract("M 23")
def test_a_program_s_name_may_hold_parentheses_and_blanks(pod: PodPaths, tmp_path: Path) -> None:
    program = tmp_path / "a) S (b"
    program.symlink_to("/bin/sleep")
    with subprocess.Popen([program, "1000"]) as process:
        try:
            assert process_ids.started(process.pid).isdecimal()
        finally:
            process.kill()
