"""What tells a process from another, and what it hands on when it becomes a program. Light: on every run's path."""

from __future__ import annotations

import _signal  # type: ignore[import-not-found]
import gc
import os
import sys
import time

from stages.base.errors import StartError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from typing import NoReturn

# Of the number of descriptors that a caller passes: a process cannot have more than some ten million.
_MOST_DIGITS = 8
# When Python looks for garbage: by itself, and where we say so.
_COLLECTING = gc.get_threshold()
_SELDOM = 100_000
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
    only_passing(lock_fd)
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


def collect_seldom() -> None:
    """Have Python look for garbage less often.

    What we make by the ten thousand, modules, entries and nodes of a tree, has no cycles: a tenth of an import, and of
    a start, went into looking.
    """
    gc.set_threshold(_SELDOM)


def go_on(program: str, argv: list[str], added: Mapping[str, str], directory: str, lock_fd: int) -> None:
    """As `become`, for a program in Python, in the Python that runs already: its start takes as long as all of ours.

    The program finds what it would find if it were executed: its name, argv, the environment with what is added, the
    directory and the descriptors; no module of ours, and garbage looked for as Python does. Returns, with nothing done,
    when it cannot be read.
    """
    try:
        with open(program, "rb") as file:
            code = compile(file.read(), program, "exec", dont_inherit=True)
    except (OSError, ValueError, SyntaxError):
        return
    os.chdir(directory)
    _each_other(lock_fd, os.close)
    os.environ.update(added)
    gc.set_threshold(*_COLLECTING)
    for name in [name for name in sys.modules if name.partition(".")[0] == __name__.partition(".")[0]]:
        del sys.modules[name]
    sys.argv[:] = [program, *argv[1:]]
    number = 1
    try:
        number = outcome(lambda: exec(code, {"__name__": "__main__", "__file__": program}))
    finally:
        leave(number)


def outcome(act: Callable[[], int | None]) -> int:
    """The exit code that `act` gives, None being 0, or that Python has for how it ends; what it has to say is told."""
    try:
        return act() or 0
    except SystemExit as end:
        if isinstance(end.code, int | None):
            return end.code or 0
        print(end.code, file=sys.stderr)
    except KeyboardInterrupt:
        return int(128 + _signal.SIGINT)
    except BaseException:
        sys.excepthook(*sys.exc_info())
    return 1


def leave(code: int) -> NoReturn:
    """End as Python does, but for what others had planned for its end: what was printed is written."""
    try:
        for stream in (sys.stdout, sys.stderr):
            stream.flush()
    finally:
        os._exit(code)


def only_passing(lock_fd: int) -> None:
    """Of the open descriptors, the standard ones, the lock and what a socket-activating caller passed go on."""
    _each_other(lock_fd, lambda descriptor: os.set_inheritable(descriptor, False))
    os.set_inheritable(lock_fd, True)


def _each_other(lock_fd: int, act: Callable[[int], None]) -> None:
    """Do it to each open descriptor that is nobody's but ours: neither standard, nor the lock, nor passed by a caller
    that activates by sockets.
    """
    count = os.environ.get("LISTEN_FDS", "")
    is_number = count.isdecimal() and len(count) <= _MOST_DIGITS
    passed = int(count) if is_number and os.environ.get("LISTEN_PID") == str(os.getpid()) else 0
    for descriptor in map(int, os.listdir("/proc/self/fd")):
        if descriptor >= 3 + passed and descriptor != lock_fd:
            try:
                act(descriptor)
            except OSError:
                continue  # the one that listed them


def default_signals() -> None:
    """Python ignores these; an ignored signal would stay ignored in every app of the pod.

    By the module behind `signal`, which makes enumerations of all numbers, at a third of the cost of Python's start.
    """
    for number in (_signal.SIGPIPE, _signal.SIGXFSZ):
        _signal.signal(number, _signal.SIG_DFL)
