"""What tells a process from another, and what it hands on when it becomes a program. Light: on every run's path."""

from __future__ import annotations

import _signal  # type: ignore[import-not-found]
import os
import time

from stages.base.errors import StartError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping
    from typing import NoReturn

_NOT_EXECUTABLE, _NOT_FOUND = 126, 127  # as in a shell


def started(pid: int) -> str:
    """When a process was started, in ticks since the boot; "" when there is none."""
    try:
        with open(f"/proc/{pid}/stat", encoding="utf-8", errors="replace") as file:
            # The name of the program is in parentheses and may hold anything, parentheses too.
            return file.read().rpartition(")")[2].split()[19]
    except (OSError, IndexError):
        return ""


def age_ns(pid: int) -> int:
    """How long ago a process was started, rounded up, in nanoseconds; to be asked of living ones."""
    ticks = int(started(pid)) * (1_000_000_000 // os.sysconf("SC_CLK_TCK"))
    return time.clock_gettime_ns(time.CLOCK_BOOTTIME) - ticks


def become(program: str, argv: list[str], environment: Mapping[str, str], directory: str, lock_fd: int) -> NoReturn:
    """Be stage1's init from here on, in `directory`, with the lock and nothing else of ours.

    program: what is executed; argv has the name of it that people know. Raises StartError, OSError.
    """
    default_signals()
    os.chdir(directory)
    only_passing(lock_fd, os.environ)
    try:
        os.execve(program, argv, environment)
    except OSError as error:
        failure = StartError(
            f"cannot start stage1's init {argv[0]}: {error.strerror}",
            hint="the file, or the interpreter its first line names, is missing or not executable",
            reason="exec",
        )
        failure.exit_code = _NOT_FOUND if isinstance(error, FileNotFoundError) else _NOT_EXECUTABLE
        raise failure from error


def only_passing(lock_fd: int, environment: Mapping[str, str]) -> None:
    """Of the open descriptors, the standard ones, the lock and what a socket-activating caller passed go on."""
    passed = int(environment.get("LISTEN_FDS", "0")) if environment.get("LISTEN_PID") == str(os.getpid()) else 0
    for name in os.listdir("/proc/self/fd"):
        descriptor = int(name)
        if descriptor >= 3 + passed and descriptor != lock_fd:
            try:
                os.set_inheritable(descriptor, False)
            except OSError:
                continue  # the one that listed them
    os.set_inheritable(lock_fd, True)


def default_signals() -> None:
    """Python ignores these; an ignored signal would stay ignored in every app of the pod.

    By the module behind `signal`, which makes enumerations of all numbers, at a third of the cost of Python's start.
    """
    for number in (_signal.SIGPIPE, _signal.SIGXFSZ):
        _signal.signal(number, _signal.SIG_DFL)
