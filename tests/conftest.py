"""What holds for every test: what this machine allows, and that system tests run for real and leave nothing behind."""

from __future__ import annotations

import contextlib
import ctypes
import os
import shutil
import signal
import subprocess
import tempfile
import time
from collections.abc import Generator, Iterator
from pathlib import Path
from typing import Any

import psutil
import pytest
from hypothesis import HealthCheck, settings

from tests import isolation
from tests.isolation import Isolation

SYSTEM_TESTS = Path(__file__).parent / "system"
MACHINE_DATA = Path("/var/lib/podwright")
CGROUPS = Path("/sys/fs/cgroup")
PR_SET_CHILD_SUBREAPER = 36
HOST_DIRECTORY = pytest.StashKey[str]()
ISOLATION = pytest.StashKey[Isolation | None]()
# Seconds in which what a test leaves behind may end by itself; more than a busy machine needs.
PATIENCE = float(os.environ.get("PODWRIGHT_TEST_PATIENCE", "60"))

IN_CI = os.environ.get("CI", "").lower() not in ("", "0", "false")
IS_ROOT = os.geteuid() == 0

# Examples are the same in every run, so that none fails by chance; `--hypothesis-profile=explore` looks for others.
GENERATED = settings(deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.register_profile("explore", GENERATED)
settings.register_profile("same", GENERATED, derandomize=True)
settings.load_profile("same")


# ---- the session


def pytest_configure(config: pytest.Config) -> None:
    # A test that forgets to name its own data directory fails, instead of using the machine's.
    os.environ["PODWRIGHT_DIR"] = "/dev/null/tests-name-their-own-data-directory"
    # Nor do the data directories of tests become known to those of the machine. It has nothing in it for long.
    os.environ["PODWRIGHT_HOST_DIR"] = config.stash[HOST_DIRECTORY] = tempfile.mkdtemp(prefix="podwright-tests-host-")
    # A shell has its background jobs ignore Ctrl-C, nohup that the terminal goes, and so would every program of a test.
    for number in (signal.SIGINT, signal.SIGQUIT, signal.SIGHUP):
        if signal.getsignal(number) is signal.SIG_IGN:
            signal.signal(number, signal.default_int_handler if number == signal.SIGINT else signal.SIG_DFL)
    # Orphans of a test come to us, where they are seen, and not to a PID 1 that may take seconds to reap them.
    if ctypes.CDLL(None, use_errno=True).prctl(PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0) != 0:
        raise OSError(ctypes.get_errno(), "cannot become the reaper of what tests leave behind")
    # What others do on this machine meanwhile, in this run or in that of another checkout, is not seen by our tests.
    config.stash[ISOLATION] = isolation.enter(f"podwright-tests-{os.getpid()}") if IS_ROOT else None


def pytest_unconfigure(config: pytest.Config) -> None:
    if isolated := config.stash[ISOLATION]:
        isolated.leave()
    shutil.rmtree(config.stash[HOST_DIRECTORY])


def pytest_report_header() -> str:
    facts = {
        "root": IS_ROOT,
        "overlay": "\toverlay\n" in Path("/proc/filesystems").read_text(),
        "userns": _runs("unshare", "--user", "--map-root-user", "true"),
        "crun": _version("crun"),
        "runc": _version("runc"),
        "cgroup": _cgroup_version(),
        "kernel": os.uname().release,
        "ci": IN_CI,
    }
    return "this machine: " + ", ".join(f"{name} {_word(fact)}" for name, fact in facts.items())


def _word(fact: str | bool) -> str:
    if isinstance(fact, str):
        return fact
    return "yes" if fact else "no"


def _runs(*command: str) -> bool:
    if shutil.which(command[0]) is None:
        return False
    return subprocess.run(command, capture_output=True, check=False).returncode == 0


def _version(program: str) -> str | bool:
    if shutil.which(program) is None:
        return False
    told = subprocess.run([program, "--version"], capture_output=True, text=True, check=False).stdout.split()
    return told[2] if len(told) > 2 else True


def _cgroup_version() -> str:
    if (CGROUPS / "cgroup.controllers").exists():
        return "v2"
    if (CGROUPS / "unified" / "cgroup.controllers").exists():
        return "hybrid"
    return "v1" if CGROUPS.is_dir() else "none"


# ---- system tests run, or say how to run them; in CI there is no excuse


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    for item in items:
        if item.get_closest_marker("system") is not None and not IS_ROOT:
            command = f"sudo .venv/bin/python -m pytest {item.nodeid}"
            item.add_marker(pytest.mark.skip(reason=f"needs root: {command}"))


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_make_scheduler(config: pytest.Config, log: Any) -> Any:
    """The system tests of a module go to one worker, which makes what they share once; others go where there is room.

    xdist's own way, groups by a mark, writes into pytest's nodes what pytest 9 does not read any more.
    """
    from xdist.scheduler import LoadScopeScheduling

    class Scheduling(LoadScopeScheduling):  # type: ignore[misc]
        def _split_scope(self, nodeid: str) -> str:
            return nodeid.partition("::")[0] if nodeid.startswith("tests/system/") else nodeid

    return Scheduling(config, log)


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(item: pytest.Item) -> Generator[None, pytest.TestReport, pytest.TestReport]:
    report = yield
    if IN_CI and report.skipped and not hasattr(report, "wasxfail") and item.get_closest_marker("system"):
        report.outcome = "failed"
        report.longrepr = f"a system test may not be skipped in CI: {_skip_reason(report)}"
    return report


@pytest.hookimpl(wrapper=True)
def pytest_make_collect_report(
    collector: pytest.Collector,
) -> Generator[None, pytest.CollectReport, pytest.CollectReport]:
    report = yield
    if IN_CI and report.skipped and collector.path.is_relative_to(SYSTEM_TESTS):
        report.outcome = "failed"
        report.longrepr = f"{collector.nodeid} may not be skipped in CI: {_skip_reason(report)}"
    return report


def _skip_reason(report: pytest.TestReport | pytest.CollectReport) -> str:
    return report.longrepr[2] if isinstance(report.longrepr, tuple) else str(report.longrepr)


# ---- system tests leave nothing behind


@pytest.fixture(autouse=True)
def _leaves_nothing_behind(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """After a system test the machine has what it had before: mounts, processes, namespaces, cgroups, devices, data."""
    if request.node.get_closest_marker("system") is None:
        yield
        return
    processes = _children()
    before, loops = _traces(), _loops(tmp_path_factory.getbasetemp())
    yield
    left = _stop(processes)
    left += [f"{kind}: {difference}" for kind, now in _traces().items() for difference in sorted(now ^ before[kind])]
    left += _detached(tmp_path_factory.getbasetemp(), loops)
    if left:
        pytest.fail("this test changed the machine:\n  " + "\n  ".join(left), pytrace=False)


def _traces() -> dict[str, set[str]]:
    return {
        "mount": _mounts(),
        "network namespace": _names(Path("/run/netns")),
        "cgroup": _cgroups(),
        "the machine's own data": _machine_data(),
    }


def _mounts() -> set[str]:
    """Mount id, mount point, file system type and source of every mount in this mount namespace."""
    found = set()
    for line in Path("/proc/self/mountinfo").read_text(errors="surrogateescape").splitlines():
        fields, _, rest = line.partition(" - ")
        mount_id, _, _, _, point, *_ = fields.split()
        kind, source, *_ = rest.split()
        found.add(f"{point} ({kind} from {source}, mount id {mount_id})")
    return found


def _names(directory: Path) -> set[str]:
    return {entry.name for entry in directory.iterdir()} if directory.is_dir() else set()


def _cgroups() -> set[str]:
    """Our cgroups in every hierarchy; the empty parent of them all may stay."""
    found = {path for path, _, _ in os.walk(CGROUPS) if "podwright" in path}
    return {path for path in found if os.path.basename(path) != "podwright"}


def _machine_data() -> set[str]:
    """The first levels of /var/lib/podwright, with their times of change."""
    if not MACHINE_DATA.exists():
        return set()
    paths = [MACHINE_DATA, *MACHINE_DATA.glob("*"), *MACHINE_DATA.glob("*/*")]
    return {f"{path} (changed at {path.lstat().st_mtime_ns})" for path in paths}


def _loops(folder: Path) -> set[tuple[str, str]]:
    """Loop devices over files in our folder, with the files; those of others come and go."""
    found = set()
    for path in Path("/sys/block").glob("loop*/loop/backing_file"):
        with contextlib.suppress(OSError):  # it has just become free
            file = path.read_text(errors="surrogateescape").strip()
            if file.startswith(f"{folder}/"):
                found.add((f"/dev/{path.parts[3]}", file))
    return found


def _detached(folder: Path, before: set[tuple[str, str]]) -> list[str]:
    """Take away the loop devices that a test left (one may be about to go with its mount); they are returned."""
    end = time.monotonic() + PATIENCE
    while (left := _loops(folder) - before) and time.monotonic() < end:
        time.sleep(0.01)
    for device, _ in left:
        subprocess.run(["losetup", "--detach", device], check=False)
    return [f"loop device: {device} over {file}" for device, file in sorted(left)]


def _children() -> set[psutil.Process]:
    return set(psutil.Process().children(recursive=True))


def _stop(before: set[psutil.Process]) -> list[str]:
    """End what a test left running (it may be about to end by itself); what had to be killed is returned."""
    told: list[str] = []
    # Again, for what they had forked between the look and the kill.
    while left := _children() - before:
        _, alive = psutil.wait_procs(left, timeout=PATIENCE)
        for process in alive:
            with contextlib.suppress(psutil.NoSuchProcess):
                told.append(f"process {process.pid}: {' '.join(process.cmdline())}")
                process.kill()
        # What was killed goes, but not at once; until it is reaped its control group cannot be taken away.
        if psutil.wait_procs(alive, timeout=isolation.PATIENCE)[1]:
            break
    return told
