"""How a sample is taken: a command with all its processes, or a function, timed; and things run in turn, A B A B."""

from __future__ import annotations

import os
import resource
import select
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from benchmarks.findings import Sample, Series
from stages.stage1.lib import syscalls

# How long what a command left behind may take to end before it is left out of the command's CPU time.
SETTLE = 15.0
# How long to wait for the processors to be idle before a sample: on a busy machine they never are.
PATIENCE = 2.0
_WINDOW, _CALM = 0.1, 0.9

_LAUNCHER = Path(__file__).with_name("launch.py")


class BenchmarkError(Exception):
    """A command that was to be measured failed; its last words are in the message."""


class NotHere(Exception):
    """A measure cannot be taken on this machine; the message says what is missing."""


class Signal:
    """A directory with a fifo, mounted into apps: the first thing an app does is to write a byte into it."""

    def __init__(self, folder: Path) -> None:
        folder.mkdir(parents=True)
        self.folder = folder
        os.mkfifo(folder / "started")
        # Also for an app whose root is an unprivileged user of the host.
        (folder / "started").chmod(0o666)
        self._descriptor = os.open(folder / "started", os.O_RDWR | os.O_NONBLOCK | os.O_CLOEXEC)

    def wait(self, apps: int, process: int) -> float:
        """The time (perf_counter) when the last of the `apps` began. Raises BenchmarkError when one does not."""
        ended = os.pidfd_open(process)
        watched, patience, seen = [self._descriptor, ended], 120.0, 0
        try:
            while seen < apps:
                ready, _, _ = select.select(watched, [], [], patience)
                if self._descriptor in ready:
                    seen += len(os.read(self._descriptor, 64))
                elif ended in ready:
                    # A command that only starts apps may be back before their first word is.
                    watched, patience = [self._descriptor], 10.0
                else:
                    raise BenchmarkError(f"of {apps} apps {seen} began")
            return time.perf_counter()
        finally:
            os.close(ended)


# What an app runs to say that it began; sh is in every image that is measured.
FIRST_INSTRUCTION = ("/bin/sh", "-c", "printf x >/signal/started")
# The same, and then it stays until it is asked to end. Process 1 of a namespace heeds only what it handles.
STAYING = ("/bin/sh", "-c", "trap 'exit 0' TERM; printf x >/signal/started; sleep 1000 & wait")


@dataclass(frozen=True)
class Bench:
    """Where and as what commands are run. log: takes what they print."""

    cwd: Path
    log: Path
    environment: Mapping[str, str]

    def run(
        self,
        command: Sequence[str],
        signal_: Signal | None = None,
        apps: int = 1,
        stop: bool = False,
        leaves_running: bool = False,
    ) -> Sample:
        """Run to the end; stop: to the apps' beginning, then SIGTERM. Samples wall, cpu, peak, and first with a signal.

        cpu is of the whole tree of processes: those waited for, and those that were left to us, once they ended.
        leaves_running: do not wait for those. Raises BenchmarkError when the command fails.
        """
        syscalls.become_subreaper()
        before = children()
        ours, theirs = socket.socketpair()
        with open(self.log, "ab") as log, ours, theirs:
            mark = log.tell()
            launcher = subprocess.Popen(
                [sys.executable, "-IS", _LAUNCHER, str(theirs.fileno()), *command],
                cwd=self.cwd,
                env=self.environment,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                pass_fds=[theirs.fileno()],
            )
            theirs.close()
            answers = ours.makefile(encoding="ascii")
            told = answers.readline().split()
            if not told:
                launcher.wait()
                raise BenchmarkError(f"cannot be started: {' '.join(command)}\n{self._said(mark)}")
            process, start = int(told[0]), float(told[1])
            try:
                first = signal_.wait(apps, process) - start if signal_ else None
            except BenchmarkError as error:
                os.kill(process, signal.SIGKILL)
                raise BenchmarkError(f"{error}: {' '.join(command)}\n{self._said(mark)}") from error
            if stop:
                os.kill(process, signal.SIGTERM)
            wall = float(answers.readline()) - start
            ours.send(b"x")
            status, user, system, peak = answers.readline().split()
            launcher.wait()
        code = os.waitstatus_to_exitcode(int(status))
        if code != 0 and not stop:
            raise BenchmarkError(f"exit code {code}: {' '.join(command)}\n{self._said(mark)}")
        cpu = float(user) + float(system) + (0.0 if leaves_running else settle(before))
        sample = {"wall": wall, "cpu": cpu, "peak": int(peak) * 1024.0}
        return sample | ({"first": first} if first is not None else {})

    def begin(self, command: Sequence[str], signal_: Signal, apps: int) -> None:
        """Start a command that stays, unmeasured, and wait for its apps; `settle` reaps what somebody ended."""
        with open(self.log, "ab") as log:
            process = subprocess.Popen(
                command, cwd=self.cwd, env=self.environment, stdin=subprocess.DEVNULL, stdout=log, stderr=log
            )
        signal_.wait(apps, process.pid)
        process.returncode = 0  # not ours to wait for

    def said(self, command: Sequence[str]) -> str:
        """The standard output of a command that is not measured. Raises BenchmarkError when it fails."""
        done = subprocess.run(
            command,
            cwd=self.cwd,
            env=self.environment,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            check=False,
        )
        if done.returncode:
            raise BenchmarkError(f"exit code {done.returncode}: {' '.join(command)}\n{done.stderr[-2000:]}")
        return done.stdout.strip()

    def _said(self, since: int) -> str:
        with open(self.log, "rb") as log:
            log.seek(since)
            return log.read().decode(errors="replace")[-2000:]


def settle(but: frozenset[int] = frozenset()) -> float:
    """Wait for the processes that were left to us; the CPU time they took. Those that go on, and `but`, are let be."""
    cpu, deadline = 0.0, time.monotonic() + SETTLE
    while (left := children() - but) and time.monotonic() < deadline:
        for child in left:
            process, _, usage = os.wait4(child, os.WNOHANG)
            cpu += usage.ru_utime + usage.ru_stime if process else 0.0
        time.sleep(0.002)
    return cpu


def calm() -> None:
    """Wait until the processors have next to nothing to do, or `PATIENCE` is over."""
    deadline = time.monotonic() + PATIENCE
    idle, total = _ticks()
    while time.monotonic() < deadline:
        time.sleep(_WINDOW)
        before = idle, total
        idle, total = _ticks()
        if total - before[1] and (idle - before[0]) / (total - before[1]) > _CALM:
            return


def _ticks() -> tuple[int, int]:
    """Of all processors since the boot, in ticks: those without work, and all. The kernel's docs, filesystems/proc."""
    user, nice, system, idle, waiting, interrupts, soft, stolen, *_ = map(
        int, Path("/proc/stat").read_text().split("\n", 1)[0].split()[1:]
    )
    return idle + waiting, user + nice + system + idle + waiting + interrupts + soft + stolen


def children() -> frozenset[int]:
    """The processes that are ours to wait for."""
    listed = Path(f"/proc/self/task/{os.getpid()}/children").read_text()
    return frozenset(map(int, listed.split()))


def timed(function: Callable[[], object]) -> Sample:
    """Wall and CPU time of a function, with the processes that it started and waited for."""
    before, start = _used(), time.perf_counter()
    function()
    return {"wall": time.perf_counter() - start, "cpu": _used() - before}


def _used() -> float:
    usages = [resource.getrusage(who) for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)]
    return sum(usage.ru_utime + usage.ru_stime for usage in usages)


def in_turn(rounds: int, arms: Mapping[str, Callable[[], Sample]], warm: bool = False) -> dict[str, Series]:
    """Take `rounds` samples of each arm, A B C A B C, so that a slow minute of the machine meets all of them.

    warm: each arm runs once before, uncounted. Before every sample what was written so far is brought to the disk, and
    what the sample before left running comes to its end.
    """
    series: dict[str, Series] = {name: [] for name in arms}
    for number in range(-1 if warm else 0, rounds):
        for name, arm in arms.items():
            os.sync()
            calm()
            sample = arm()
            if number >= 0:
                series[name].append(sample)
    return series
