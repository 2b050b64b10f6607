"""The OCI runtime configuration of one app, a pure function of what was read and decided before."""

from __future__ import annotations

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from stages.stage1.crun.isolators import Limits
    from stages.stage1.lib.accounts import Account
    from stages.stage1.lib.manifest import App

MASKED = [
    "/proc/acpi",
    "/proc/asound",
    "/proc/interrupts",
    "/proc/kcore",
    "/proc/keys",
    "/proc/latency_stats",
    "/proc/timer_list",
    "/proc/timer_stats",
    "/proc/sched_debug",
    "/proc/scsi",
    "/sys/firmware",
    "/sys/devices/virtual/powercap",
]
READ_ONLY = ["/proc/bus", "/proc/fs", "/proc/irq", "/proc/sys", "/proc/sysrq-trigger"]
_NAMESPACES = ("user", "pid", "network", "ipc", "uts")
_HIDDEN = ["nosuid", "noexec", "nodev"]


class Placement:
    """Where the app runs: its root, the namespaces to join by OCI name, its cgroup ("" for none), its volumes.

    `volumes` are (source, target, options) with targets free of links; `devices` the (type, major, minor) among them.
    """

    __slots__ = ("cgroup", "devices", "join", "mask_paths", "private_users", "root", "volumes")

    def __init__(self, root: str, join: dict[str, str], cgroup: str, private_users: tuple[int, int] | None) -> None:
        self.root = root
        self.join = join
        self.cgroup = cgroup
        self.private_users = private_users
        self.volumes: list[tuple[str, str, list[str]]] = []
        self.devices: list[tuple[str, int, int]] = []
        self.mask_paths = True


class Identity:
    """Who the app is: its account, further groups, variables, capabilities, seccomp filter, and terminal or not.

    `size` is that of the terminal, as OCI has it; empty where nobody knows.
    """

    __slots__ = ("account", "capabilities", "gids", "seccomp", "size", "terminal", "variables")

    def __init__(self, account: Account, gids: list[int], variables: list[tuple[str, str]]) -> None:
        self.account = account
        self.gids = gids
        self.variables = variables
        self.capabilities: list[str] = []
        self.seccomp: dict[str, Any] | None = None
        self.terminal = False
        self.size: dict[str, int] = {}


def build(app: App, identity: Identity, limits: Limits, place: Placement) -> dict[str, Any]:
    """The whole configuration, OCI runtime-spec 1.0.2."""
    linux: dict[str, Any] = {
        "namespaces": [
            {"type": "mount"},
            *({"type": name, "path": place.join[name]} for name in _NAMESPACES if name in place.join),
        ],
        "resources": {**limits.resources, "devices": _device_rules(place)},
        "maskedPaths": [path for path in MASKED if not _covered(place, path)] if place.mask_paths else [],
        "readonlyPaths": [path for path in READ_ONLY if not _covered(place, path)] if place.mask_paths else [],
        "rootfsPropagation": "private",
    }
    if place.cgroup:
        linux["cgroupsPath"] = place.cgroup
    else:
        del linux["resources"]
    if limits.sysctl:
        linux["sysctl"] = limits.sysctl
    if identity.seccomp:
        linux["seccomp"] = identity.seccomp
    if place.private_users:
        shift, count = place.private_users
        mapping = [{"containerID": 0, "hostID": shift, "size": count}]
        linux["uidMappings"] = linux["gidMappings"] = mapping
    return {
        "ociVersion": "1.0.2",
        "process": process(app, identity, limits),
        "root": {"path": place.root, "readonly": app.read_only_root},
        "mounts": _mounts(place),
        "linux": linux,
    }


def process(app: App, identity: Identity, limits: Limits) -> dict[str, Any]:
    """The `process` object: also what `enter` starts further commands with."""
    account = identity.account
    bounding = identity.capabilities
    # Only root has capabilities in effect; everybody else keeps the bounding set, for what is setuid or has file
    # capabilities. Nothing is inheritable.
    effective = bounding if account.uid == 0 else []
    result: dict[str, Any] = {
        "terminal": identity.terminal,
        # The own group is among them, as after a login.
        "user": {"uid": account.uid, "gid": account.gid, "additionalGids": [account.gid, *identity.gids]},
        "args": app.command,
        "env": [f"{name}={value}" for name, value in identity.variables],
        "cwd": app.working_directory,
        "capabilities": {
            "bounding": bounding,
            "effective": effective,
            "permitted": effective,
            "inheritable": [],
            "ambient": [],
        },
        "noNewPrivileges": limits.no_new_privileges,
    }
    if identity.size:
        result["consoleSize"] = identity.size
    if limits.oom_score_adj is not None:
        result["oomScoreAdj"] = limits.oom_score_adj
    if limits.selinux:
        result["selinuxLabel"] = limits.selinux
    if limits.apparmor:
        result["apparmorProfile"] = limits.apparmor
    return result


def for_handler(configuration: dict[str, Any], command: list[str], cgroup: str) -> dict[str, Any]:
    """`configuration` for an event handler of the same app: another command, run as root (L.1, rkt_run), own cgroup."""
    result = dict(configuration)
    names = configuration["process"]["capabilities"]["bounding"]
    root = {"uid": 0, "gid": 0, "additionalGids": []}
    caps = dict(configuration["process"]["capabilities"], effective=names, permitted=names)
    result["process"] = dict(configuration["process"], args=command, user=root, capabilities=caps, terminal=False)
    if cgroup:
        result["linux"] = dict(configuration["linux"], cgroupsPath=cgroup)
    return result


def _covered(place: Placement, path: str) -> bool:
    """Whether a volume is mounted exactly at `path` or above it: the app's owner has asked for what is there."""
    return any(path == target or path.startswith(target.rstrip("/") + "/") for _, target, _ in place.volumes)


def _touched(place: Placement, path: str) -> bool:
    """Whether a volume is mounted at `path` or below it."""
    return any(target == path or target.startswith(path + "/") for _, target, _ in place.volumes)


def _device_rules(place: Placement) -> list[dict[str, Any]]:
    """Deny all but what the runtime itself adds (null, zero, full, random, urandom, tty, ptmx) and device volumes."""
    rules: list[dict[str, Any]] = [{"allow": False, "access": "rwm"}]
    for kind, major, minor in place.devices:
        rules.append({"allow": True, "type": kind, "major": major, "minor": minor, "access": "rw"})
    return rules


def _mounts(place: Placement) -> list[dict[str, Any]]:
    """The standard file systems of contract K.9, then the volumes, parents before children."""
    pts = [*_HIDDEN[:2], "newinstance", "ptmxmode=0666", "mode=0620"]
    if place.private_users is None or place.private_users[1] > 5:
        pts.append("gid=5")
    standard: list[tuple[str, str, str, list[str]]] = [
        ("/proc", "proc", "proc", _HIDDEN),
        ("/dev", "tmpfs", "tmpfs", ["nosuid", "strictatime", "mode=755", "size=65536k"]),
        ("/dev/pts", "devpts", "devpts", pts),
        ("/dev/shm", "tmpfs", "shm", [*_HIDDEN, "mode=1777", "size=65536k"]),
        ("/dev/mqueue", "mqueue", "mqueue", _HIDDEN),
    ]
    if not _touched(place, "/sys"):
        own_network = "network" in place.join or place.private_users is None
        if own_network:
            standard.append(("/sys", "sysfs", "sysfs", [*_HIDDEN, "ro"]))
        else:
            # sysfs belongs to the network namespace: a user namespace may not mount it for the host's, only bind it.
            standard.append(("/sys", "none", "/sys", ["rbind", *_HIDDEN, "ro"]))
    mounts = [
        {"destination": target, "type": kind, "source": source, "options": list(options)}
        for target, kind, source, options in standard
        if not _covered(place, target)
    ]
    for source, target, options in place.volumes:
        mounts.append({"destination": target, "type": "none", "source": source, "options": options})
    return mounts
