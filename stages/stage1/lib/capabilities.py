"""The capabilities of an app: appc's default set and isolators, within what this host can give."""

from __future__ import annotations

from stages.stage1.lib.errors import Stage1Error

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

# In the order of their numbers, <linux/capability.h>.
NAMES = tuple(
    "CAP_" + name
    for name in (
        "CHOWN DAC_OVERRIDE DAC_READ_SEARCH FOWNER FSETID KILL SETGID SETUID SETPCAP LINUX_IMMUTABLE NET_BIND_SERVICE"
        " NET_BROADCAST NET_ADMIN NET_RAW IPC_LOCK IPC_OWNER SYS_MODULE SYS_RAWIO SYS_CHROOT SYS_PTRACE SYS_PACCT"
        " SYS_ADMIN SYS_BOOT SYS_NICE SYS_RESOURCE SYS_TIME SYS_TTY_CONFIG MKNOD LEASE AUDIT_WRITE AUDIT_CONTROL"
        " SETFCAP MAC_OVERRIDE MAC_ADMIN SYSLOG WAKE_ALARM BLOCK_SUSPEND AUDIT_READ PERFMON BPF CHECKPOINT_RESTORE"
    ).split()
)
# rkt's default set, contract K.5.
DEFAULT = frozenset(
    "CAP_" + name
    for name in (
        "AUDIT_WRITE CHOWN DAC_OVERRIDE FSETID FOWNER KILL MKNOD NET_RAW NET_BIND_SERVICE SETUID SETGID SETPCAP SETFCAP"
        " SYS_CHROOT"
    ).split()
)
RETAIN = "os/linux/capabilities-retain-set"
REMOVE = "os/linux/capabilities-remove-set"


def wanted(app: str, isolators: Iterable[tuple[str, object]], restricted: bool = True) -> frozenset[str]:
    """What the isolators ask for: exactly the retain set, else the defaults without the remove set (contract K.5).

    `restricted` False starts from every capability instead of the defaults. Raises Stage1Error for an unknown
    capability and for an app with both kinds.
    """
    retain: frozenset[str] | None = None
    remove: frozenset[str] | None = None
    for name, value in isolators:
        if name == RETAIN:
            retain = _set(app, value)
        elif name == REMOVE:
            remove = _set(app, value)
    if retain is not None and remove is not None:
        raise Stage1Error(f"app {app} has both {RETAIN} and {REMOVE}")
    if not restricted:
        return frozenset(NAMES)
    return retain if retain is not None else DEFAULT - (remove or frozenset())


def available(app: str, names: frozenset[str], bounding: frozenset[str], warn: Callable[[str], None]) -> list[str]:
    """`names` that the host's bounding set has, in numeric order; the others are reported by `warn`."""
    for name in sorted(names - bounding, key=NAMES.index):
        warn(f"app {app}: this host cannot give {name}, left out")
    return [name for name in NAMES if name in names and name in bounding]


def bounding_set(status: str) -> frozenset[str]:
    """The names in the CapBnd line of a /proc/<pid>/status."""
    for line in status.splitlines():
        if line.startswith("CapBnd:"):
            mask = int(line.split()[1], 16)
            return frozenset(name for number, name in enumerate(NAMES) if mask >> number & 1)
    return frozenset()


def _set(app: str, value: object) -> frozenset[str]:
    names = value.get("set") if isinstance(value, dict) else None
    if not isinstance(names, list):
        raise Stage1Error(f"app {app}: a capability isolator needs an object with a set")
    result = frozenset(str(name).upper() for name in names)
    for name in sorted(result - frozenset(NAMES)):
        raise Stage1Error(f"app {app}: unknown capability {name}")
    return result
