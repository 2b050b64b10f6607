"""An app's isolators as limits of an OCI configuration; whatever this host or program cannot do is reported."""

from __future__ import annotations

from stages.stage1.crun import seccomp
from stages.stage1.lib import capabilities, quantity
from stages.stage1.lib.errors import Stage1Error

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any

    from stages.stage1.lib.manifest import App

_PERIOD = 100_000  # microseconds, the kernel's default CPU period
_SHARES = (2, 262144)
_ELSEWHERE = (capabilities.RETAIN, capabilities.REMOVE, seccomp.RETAIN, seccomp.REMOVE)


class Host:
    """What this host can give: its capability bounding set, usable controllers, and this process's oom_score_adj."""

    __slots__ = ("bounding", "controllers", "oom_score_adj")

    def __init__(self, bounding: frozenset[str], controllers: frozenset[str], oom_score_adj: int) -> None:
        self.bounding = bounding
        self.controllers = controllers
        self.oom_score_adj = oom_score_adj


def look(controllers: frozenset[str]) -> Host:
    """The host as this process finds it."""
    with open("/proc/self/status", encoding="ascii", errors="replace") as file:
        bounding = capabilities.bounding_set(file.read())
    with open("/proc/self/oom_score_adj", encoding="ascii") as file:
        return Host(bounding, controllers, int(file.read()))


class Limits:
    """The isolators of one app, read. `resources` is OCI's linux.resources, `sysctl` its linux.sysctl."""

    __slots__ = ("apparmor", "no_new_privileges", "oom_score_adj", "resources", "selinux", "sysctl")

    def __init__(self) -> None:
        self.resources: dict[str, dict[str, Any]] = {}
        self.sysctl: dict[str, str] = {}
        self.no_new_privileges = False
        self.oom_score_adj: int | None = None
        self.selinux = ""
        self.apparmor = ""


def read(app: App, host: Host, warn: Callable[[str], None]) -> Limits:
    """Read every isolator of `app`; of several with one name the last counts (contract K.5).

    Limits whose controller the host lacks, and isolators unknown here, are told to `warn` by name. Raises Stage1Error
    for a malformed value.
    """
    limits = Limits()
    for name, value in dict(app.isolators).items():
        try:
            if name in _READERS:
                _READERS[name](limits, value)
            elif name not in _ELSEWHERE:
                warn(f"app {app.name}: isolator {name} is not known here and is not applied")
        except (TypeError, ValueError, AttributeError, Stage1Error) as error:
            raise Stage1Error(f"app {app.name}: isolator {name} is malformed: {error}") from error
    _keep_what_the_host_can(app.name, limits, host, warn)
    return limits


def _resource(value: Any) -> tuple[int | None, int | None]:
    """(request, limit) in thousandths."""
    parts = [
        quantity.thousandths(value[key]) if value.get(key) not in (None, "") else None for key in ("request", "limit")
    ]
    if any(part is not None and part < 0 for part in parts):
        raise Stage1Error("a quantity must not be negative")
    return parts[0], parts[1]


def _memory(limits: Limits, value: Any) -> None:
    request, limit = _resource(value)
    memory = limits.resources.setdefault("memory", {})
    if limit is not None:
        memory["limit"] = -(-limit // 1000)
    if request is not None and request != limit:
        memory["reservation"] = -(-request // 1000)


def _cpu(limits: Limits, value: Any) -> None:
    request, limit = _resource(value)
    cpu = limits.resources.setdefault("cpu", {})
    if limit is not None:
        cpu.update(quota=max(1000, limit * _PERIOD // 1000), period=_PERIOD)
    if request is not None:
        cpu.setdefault("shares", min(_SHARES[1], max(_SHARES[0], request * 1024 // 1000)))


def _cpu_shares(limits: Limits, value: Any) -> None:
    limits.resources.setdefault("cpu", {})["shares"] = _within(value, *_SHARES)


def _pids(limits: Limits, value: Any) -> None:
    number = quantity.integer(value["limit"] if isinstance(value, dict) else value)
    limits.resources["pids"] = {"limit": _within(number, 1, 2**31)}


def _oom_score_adj(limits: Limits, value: Any) -> None:
    limits.oom_score_adj = _within(value, -1000, 1000)


def _no_new_privileges(limits: Limits, value: Any) -> None:
    if not isinstance(value, bool):
        raise Stage1Error(f"{value!r} is neither true nor false")
    limits.no_new_privileges = value


def _sysctl(limits: Limits, value: Any) -> None:
    limits.sysctl = {str(name): str(setting) for name, setting in value.items()}


def _selinux(limits: Limits, value: Any) -> None:
    limits.selinux = ":".join(str(value[key]) for key in ("user", "role", "type", "level"))


def _apparmor(limits: Limits, value: Any) -> None:
    limits.apparmor = str(value["profile"])


_READERS: dict[str, Callable[[Limits, Any], None]] = {
    "resource/memory": _memory,
    "resource/cpu": _cpu,
    "resource/pids": _pids,
    "os/linux/pids-limit": _pids,
    "os/linux/cpu-shares": _cpu_shares,
    "os/linux/oom-score-adj": _oom_score_adj,
    "os/linux/no-new-privileges": _no_new_privileges,
    "os/linux/selinux-context": _selinux,
    "os/linux/apparmor-profile": _apparmor,
    "os/unix/sysctl": _sysctl,
}


def _within(value: Any, low: int, high: int) -> int:
    number = int(value)
    if isinstance(value, bool) or not low <= number <= high:
        raise Stage1Error(f"{value!r} is not between {low} and {high}")
    return number


def _keep_what_the_host_can(app: str, limits: Limits, host: Host, warn: Callable[[str], None]) -> None:
    for controller in [name for name in limits.resources if name not in host.controllers]:
        warn(f"app {app}: this host has no {controller} controller, its limit is not applied")
        del limits.resources[controller]
    wish = limits.oom_score_adj
    # Going below the current value takes CAP_SYS_RESOURCE, proc(5).
    if wish is not None and wish < host.oom_score_adj and "CAP_SYS_RESOURCE" not in host.bounding:
        warn(f"app {app}: oom-score-adj {wish} cannot be set on this host, using {host.oom_score_adj}")
        limits.oom_score_adj = host.oom_score_adj
