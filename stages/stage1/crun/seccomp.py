"""Seccomp isolators as the filter of an OCI configuration."""

from __future__ import annotations

from stages.stage1.crun import default_filter
from stages.stage1.lib.errors import Stage1Error

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Iterable
    from typing import Any

RETAIN = "os/linux/seccomp-retain-set"
REMOVE = "os/linux/seccomp-remove-set"
# What crun 1.8 and runc 1.1 themselves still call between loading the filter and the app's first instruction, when the
# app may gain privileges and the filter therefore has to be loaded before its capabilities are dropped.
_NEEDED_TO_START = (
    "brk capget capset chdir close close_range epoll_ctl epoll_pwait execve exit exit_group faccessat faccessat2"
    " fcntl fstat fstatfs futex getcwd getdents64 getpid getppid gettid lseek madvise mmap mprotect munmap"
    " nanosleep newfstatat openat prctl read rt_sigaction rt_sigprocmask rt_sigreturn sched_yield setgid setgroups"
    " setresgid setresuid setuid sigaltstack tgkill write"
).split()


def profile(
    app: str, isolators: Iterable[tuple[str, object]], capabilities: Collection[str], warn: Callable[[str], None]
) -> dict[str, Any] | None:
    """The `linux.seccomp` object for the last retain or remove set, or None for no filter (contract K.5).

    Without a set, and for one that removes `@appc.io/empty`, as rkt has it, the default filter for the capabilities of
    the app's bounding set. A blocked call fails with the isolator's errno, or kills with SIGSYS when it names none.
    `@appc.io/all`, rkt's, docker's and systemd's groups are known; any other is reported by `warn` and stands for
    nothing. Raises Stage1Error for a malformed isolator and for an app with both kinds.
    """
    found = {name: value for name, value in isolators if name in (RETAIN, REMOVE)}
    if len(found) == 2:
        raise Stage1Error(f"app {app} has both {RETAIN} and {REMOVE}")
    if not found:
        return default_filter.profile(capabilities)
    kind, value = found.popitem()
    if not isinstance(value, dict) or not isinstance(value.get("set"), list) or not value["set"]:
        raise Stage1Error(f"app {app}: {kind} needs an object with a set")
    calls, everything = _calls(app, value["set"], warn)
    action = _blocked(app, str(value.get("errno") or ""))
    if kind == RETAIN:
        if everything:
            return None
        added = [call for call in _NEEDED_TO_START if call not in calls]
        calls += added
        if added:
            warn(f"app {app}: allowed beyond its seccomp retain set, for its runtime: {' '.join(added)}")
        allow = {"names": calls, "action": "SCMP_ACT_ALLOW"}
        default = {f"default{key[0].upper()}{key[1:]}": number for key, number in action.items()}
        return {**default, "syscalls": [allow]}
    if everything:
        raise Stage1Error(f"app {app}: removing every system call leaves nothing to run with")
    if not calls:
        return default_filter.profile(capabilities)
    return {"defaultAction": "SCMP_ACT_ALLOW", "syscalls": [{"names": calls, **action}]}


def _calls(app: str, names: list[object], warn: Callable[[str], None]) -> tuple[list[str], bool]:
    calls: dict[str, None] = {}
    everything = False
    for name in map(str, names):
        if name == "@appc.io/all":
            everything = True
        elif not name.startswith("@"):
            calls[name] = None
        elif name != "@appc.io/empty":
            calls.update(dict.fromkeys(_group(app, name, warn)))
    return list(calls), everything


def _group(app: str, name: str, warn: Callable[[str], None]) -> list[str]:
    from stages.stage1.crun import syscall_groups

    found = syscall_groups.calls(name)
    if found is None:
        warn(f"app {app}: the system call group {name} is not known here and is not applied")
    return found or []


def _blocked(app: str, name: str) -> dict[str, Any]:
    if not name:
        return {"action": "SCMP_ACT_KILL_PROCESS"}
    import errno

    number = getattr(errno, name, None)
    if not isinstance(number, int):
        raise Stage1Error(f"app {app}: unknown errno {name!r} in a seccomp isolator")
    return {"action": "SCMP_ACT_ERRNO", "errnoRet": number}
