"""What an app of the fly flavor may do: the isolators that need no runtime, the others reported."""

from __future__ import annotations

import os

from stages.stage1.lib import capabilities, syscalls
from stages.stage1.lib.errors import Stage1Error

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable

    from stages.stage1.lib.manifest import App

_NO_NEW_PRIVILEGES = "os/linux/no-new-privileges"
_OOM = "os/linux/oom-score-adj"


class Rights:
    """`capabilities` is None where no isolator says anything: fly then leaves the host's (contract H.8).

    `dropped` are the numbers of those that go from the bounding set.
    """

    __slots__ = ("capabilities", "dropped", "no_new_privileges", "oom_score_adj")

    def __init__(self) -> None:
        self.capabilities: list[str] | None = None
        self.dropped: list[int] = []
        self.no_new_privileges = False
        self.oom_score_adj: int | None = None


def read(app: App, warn: Callable[[str], None]) -> Rights:
    """Read the isolators of `app`; what cannot be done without a runtime is told to `warn`. Raises Stage1Error."""
    result = Rights()
    for name, value in dict(app.isolators).items():
        if name in (capabilities.RETAIN, capabilities.REMOVE):
            with open("/proc/self/status", encoding="ascii", errors="replace") as file:
                bounding = capabilities.bounding_set(file.read())
            wanted = capabilities.wanted(app.name, app.isolators)
            result.capabilities = capabilities.available(app.name, wanted, bounding, warn)
            result.dropped = [capabilities.NAMES.index(name) for name in bounding.difference(result.capabilities)]
        elif name == _NO_NEW_PRIVILEGES and isinstance(value, bool):
            result.no_new_privileges = value
        elif name == _OOM and isinstance(value, int) and -1000 <= value <= 1000:
            result.oom_score_adj = value
        elif name in (_NO_NEW_PRIVILEGES, _OOM):
            raise Stage1Error(f"app {app.name}: isolator {name} is malformed")
        else:
            warn(f"app {app.name}: the fly flavor does not apply the isolator {name}")
    return result


def set_score(rights: Rights) -> None:
    """How soon this process is killed where memory is short: to be said while /proc is the host's."""
    if rights.oom_score_adj is not None:
        with open("/proc/self/oom_score_adj", "w", encoding="ascii") as file:
            file.write(str(rights.oom_score_adj))


def apply(rights: Rights, uid: int) -> None:
    """Give up, in this process, everything but `rights`, and become `uid`."""
    for number in rights.dropped:
        syscalls.drop_from_bounding_set(number)
    os.setresuid(uid, uid, uid)
    if rights.capabilities is not None and uid == 0:
        syscalls.set_capabilities(sum(1 << capabilities.NAMES.index(name) for name in rights.capabilities))
    if rights.no_new_privileges:
        syscalls.no_new_privileges()
