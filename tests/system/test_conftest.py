"""The checks around system tests do fail when they should: skips in CI, and things left behind."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

pytestmark = pytest.mark.system

ROOT = Path(__file__).parent.parent.parent


def outcome(tmp_path: Path, body: str, **environment: str) -> str:
    """Run one system test with our conftest; what pytest printed."""
    (tmp_path / "system").mkdir()
    shutil.copy(ROOT / "tests" / "conftest.py", tmp_path)
    (tmp_path / "pytest.ini").write_text("[pytest]\nmarkers = system\n")
    (tmp_path / "system" / "test_it.py").write_text(
        "import os, pytest, subprocess\nfrom pathlib import Path\n"
        "pytestmark = pytest.mark.system\n"
        f"def test_it(tmp_path):\n    {body}\n"
    )
    own = {"PODWRIGHT_TEST_PATIENCE": "0"}
    pytest_alone = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", "-p", "no:xdist"]
    done = subprocess.run(
        [*pytest_alone, tmp_path],
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
    os.mkfifo(tmp_path / "up")
    orphan = "sh -c 'echo up; sleep 321; :' </dev/null >up 2>/dev/null &"
    # For a moment a process that becomes a program has no command line.
    started = f"subprocess.run(['sh', '-c', {orphan!r}], check=True)"
    printed = outcome(tmp_path, f"os.chdir({str(tmp_path)!r}); {started}; open('up').readline()")
    assert "1 error" in printed
    assert "sleep 321" in printed


def test_a_cgroup_left_behind_fails_and_is_taken_away(tmp_path: Path) -> None:
    top = next(path for path in (Path("/sys/fs/cgroup/pids"), Path("/sys/fs/cgroup")) if path.is_dir())
    left = top / "podwright-conftest-test"
    before = groups(top)
    printed = outcome(tmp_path, f"Path({str(left)!r}).mkdir()")
    assert "1 error" in printed
    assert f"cgroup: {left}" in printed
    assert groups(top) == before


def test_a_loop_device_left_behind_fails_and_is_taken_away(tmp_path: Path) -> None:
    file = "tmp_path.joinpath('disk').write_bytes(bytes(1 << 20))"
    printed = outcome(tmp_path, f"{file}; subprocess.run(['losetup', '-f', tmp_path / 'disk'], check=True)")
    assert "1 error" in printed
    (device,) = {word for word in printed.split() if word.startswith("/dev/loop")}
    assert not Path("/sys/block", Path(device).name, "loop").exists()


def groups(top: Path) -> set[str]:
    return {directory for directory, _, _ in os.walk(top)}


# What another process mounts, and the control groups it makes, come while the test runs and are still there at its end.
MEANWHILE = """
mount -t tmpfs theirs {place}
for top in {tops}; do mkdir $top/podwright-theirs; done
echo there
read over
for top in {tops}; do rmdir $top/podwright-theirs; done
umount {place}
"""


def test_what_others_do_meanwhile_is_not_the_tests_own(tmp_path: Path) -> None:
    (tmp_path / "theirs").mkdir()
    kinds = ("pids", "memory", "unified", ".")
    tops = [top for kind in kinds if (top := Path("/sys/fs/cgroup") / kind).is_dir() and is_hierarchy(top)]
    others = MEANWHILE.format(place=tmp_path / "theirs", tops=" ".join(map(str, tops)))
    for name in ("up", "go"):
        os.mkfifo(tmp_path / name)
    body = f"Path({str(tmp_path / 'up')!r}).write_text('up'); Path({str(tmp_path / 'go')!r}).read_text()"
    with ThreadPoolExecutor() as pool:
        tests = pool.submit(outcome, tmp_path, body)
        (tmp_path / "up").read_text()
        with subprocess.Popen(["sh", "-ec", others], stdin=subprocess.PIPE, stdout=subprocess.PIPE) as process:
            assert process.stdin is not None and process.stdout is not None
            assert process.stdout.readline() == b"there\n"
            (tmp_path / "go").write_text("go")
            printed = tests.result()
            process.stdin.write(b"over\n")
        assert process.returncode == 0
    assert "1 passed" in printed, printed


def is_hierarchy(path: Path) -> bool:
    return (path / "cgroup.procs").exists()


def test_tests_see_as_many_hierarchies_as_the_host_has_and_mounts_as_it_has_them(tmp_path: Path) -> None:
    """Ours is a process that was isolated itself, so the mounts of the two are alike to the last word."""
    seen = tmp_path / "seen"
    body = f"Path({str(seen)!r}).write_text(Path('/proc/self/mountinfo').read_text())"
    assert "1 passed" in outcome(tmp_path, body)
    ours, theirs = (
        sorted(map(mount, text.splitlines())) for text in (Path("/proc/self/mountinfo").read_text(), seen.read_text())
    )
    assert theirs == ours
    assert any(is_hierarchy(Path(line[1])) for line in ours)


def mount(line: str) -> tuple[str, ...]:
    """Root, mount point, options, whether it is shared, type and source; numbers of mounts differ."""
    left, _, right = line.partition(" - ")
    fields = left.split()
    return (*fields[3:6], *(word.split(":")[0] for word in fields[6:]), right)


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
