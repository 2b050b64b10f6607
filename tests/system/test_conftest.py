"""The checks around system tests do fail when they should: skips in CI, and things left behind."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

pytestmark = pytest.mark.system

ROOT = Path(__file__).parent.parent.parent


def outcome(tmp_path: Path, body: str, **environment: str) -> str:
    """Run one system test with our conftest in a mount namespace of its own; what pytest printed."""
    (tmp_path / "system").mkdir()
    shutil.copy(ROOT / "tests" / "conftest.py", tmp_path)
    (tmp_path / "pytest.ini").write_text("[pytest]\nmarkers = system\n")
    (tmp_path / "system" / "test_it.py").write_text(
        "import os, pytest, subprocess\nfrom pathlib import Path\n"
        "pytestmark = pytest.mark.system\n"
        f"def test_it(tmp_path):\n    {body}\n"
    )
    own = {"PODWRIGHT_TEST_LOCK": str(tmp_path / "lock"), "PODWRIGHT_TEST_PATIENCE": "0"}
    pytest_alone = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", "-p", "no:xdist"]
    done = subprocess.run(
        ["unshare", "--mount", *pytest_alone, tmp_path],
        env={**os.environ, "CI": "", **own, **environment},
        capture_output=True,
        text=True,
        check=False,
    )
    return done.stdout + done.stderr


def test_a_clean_test_passes(tmp_path: Path) -> None:
    assert "1 passed" in outcome(tmp_path, "subprocess.run(['true'], check=True)")


def test_a_mount_left_behind_fails(tmp_path: Path) -> None:
    printed = outcome(tmp_path, "subprocess.run(['mount', '-t', 'tmpfs', 'leak', str(tmp_path)], check=True)")
    assert "1 error" in printed
    assert "(tmpfs from leak" in printed


def test_an_orphan_left_behind_fails_and_is_ended(tmp_path: Path) -> None:
    orphan = "exec sleep 321 </dev/null >/dev/null 2>&1 &"
    printed = outcome(tmp_path, f"subprocess.run(['sh', '-c', {orphan!r}], check=True)")
    assert "1 error" in printed
    assert "sleep 321" in printed


def test_a_cgroup_left_behind_fails(tmp_path: Path) -> None:
    top = next(path for path in (Path("/sys/fs/cgroup/pids"), Path("/sys/fs/cgroup")) if path.is_dir())
    left = top / "podwright-conftest-test"
    try:
        printed = outcome(tmp_path, f"Path({str(left)!r}).mkdir()")
    finally:
        left.rmdir()
    assert "1 error" in printed
    assert f"cgroup: {left}" in printed


def test_a_skip_is_a_failure_in_ci_only(tmp_path: Path) -> None:
    (tmp_path / "home").mkdir()
    (tmp_path / "ci").mkdir()
    assert "1 skipped" in outcome(tmp_path / "home", "pytest.skip('no such device')")
    printed = outcome(tmp_path / "ci", "pytest.skip('no such device')", CI="true")
    assert "1 failed" in printed
    assert "no such device" in printed


def test_a_module_skipped_as_a_whole_is_a_failure_in_ci(tmp_path: Path) -> None:
    printed = outcome(tmp_path, "pass\npytest.importorskip('no_such_module_at_all')", CI="true")
    assert "1 error" in printed
    assert "no_such_module_at_all" in printed


def test_the_machines_own_data_is_out_of_reach(tmp_path: Path) -> None:
    assert "1 passed" in outcome(tmp_path, "assert os.environ['PODWRIGHT_DIR'].startswith('/dev/null/')")
