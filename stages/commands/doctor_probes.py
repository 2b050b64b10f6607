"""The questions of `doit doctor` to the kernel: each says what is there, or raises why not; nothing stays behind."""

from __future__ import annotations

import os
import shutil
import tempfile
from collections.abc import Callable
from pathlib import Path

from stages.base import data as data_dirs
from stages.base.errors import HostError
from stages.base.paths import DataDir
from stages.commands import common
from stages.linux import idmap, kernel, verity
from stages.linux.overlay import Overlay, supported
from stages.pod.shifts import COUNT

_CONTROLLERS = ("cpu", "memory", "pids")
_PREFIX = ".doctor-"


def storage(data: DataDir) -> str:
    """Where the data directory is, on what, and how much room there is. Raises HostError, OSError."""
    data_dirs.initialise(data)
    # Imports spool into files without a name, which not every file system has.
    os.close(os.open(data.root, os.O_RDWR | os.O_TMPFILE | os.O_CLOEXEC, 0o600))
    return f"{data.root} on {_file_system(data.root)}, {common.size_text(shutil.disk_usage(data.root).free)} free"


def overlay(data: DataDir) -> str:
    """Raises HostError, OSError."""
    if not supported():
        raise HostError("this kernel has no overlayfs", reason="no-overlay")
    with tempfile.TemporaryDirectory(prefix=_PREFIX, dir=data.root) as scratch:
        lower, upper, work, target = (Path(scratch, name) for name in ("lower", "upper", "work", "target"))
        for path in (lower, upper, work, target):
            path.mkdir()
        _aside(Overlay(str(lower), str(upper), str(work), str(target)).mount)
        # What the kernel made in the work directory has no rights for anybody.
        shutil.rmtree(work)
    return "works on the data directory"


def idmapped(data: DataDir) -> str:
    """Raises OSError."""
    with tempfile.TemporaryDirectory(prefix=_PREFIX, dir=data.root) as scratch:
        userns = idmap.user_namespace(COUNT, COUNT)
        try:
            mount = kernel.copy_of_mount(scratch)
            try:
                kernel.mount_setattr_idmap(mount, userns)
            finally:
                os.close(mount)
        finally:
            os.close(userns)
    return "work on the data directory"


def index(data: DataDir) -> str:
    """Raises HostError, OSError."""
    from stages.trees import erofs_probe

    found = erofs_probe.probe(data.root)
    if found.way is None:
        raise HostError("; ".join(f"by {way.value}: {why}" for way, why in found.refusals), reason="no-erofs")
    return f"by {found.way.value}"


def frozen(data: DataDir) -> str:
    """Raises HostError, OSError."""
    with tempfile.TemporaryDirectory(prefix=_PREFIX, dir=data.root) as scratch:
        path = Path(scratch, "file")
        path.write_bytes(b"x" * 5000)
        refused = verity.enable(path)
        if refused:
            raise HostError(f"not here: {refused}", reason="no-verity")
        return f"every read of stored archives and indexes is checked by the kernel ({verity.measure(path)[:6]})"


def cgroups() -> str:
    """Which hierarchies can limit apps. Raises HostError."""
    mounts = [(kind, place[4], options) for place, (kind, _, options) in _mounts() if kind in ("cgroup", "cgroup2")]
    kinds = {kind: point for kind, point, _ in mounts}
    words = {word for kind, _, options in mounts if kind == "cgroup" for word in options.split(",")}
    unified = Path(kinds.get("cgroup2", "/"), "cgroup.controllers")
    second = unified.read_text().split() if unified.is_file() else []
    found = [one for one in _CONTROLLERS if one in words or one in second]
    if not found:
        raise HostError("no hierarchy with a controller is mounted", reason="no-cgroups")
    version = "hybrid" if len(kinds) > 1 else "v2" if "cgroup2" in kinds else "v1"
    return f"{version} with {', '.join(found)}"


def _aside(work: Callable[[], None]) -> None:
    """Do something that mounts, in a child with mounts of its own. Raises OSError where it did."""
    child = os.fork()
    if child == 0:
        code = 255
        try:
            kernel.private_mounts()
            work()
            code = 0
        except OSError as error:
            code = error.errno or 255
        finally:
            os._exit(code)
    _, status = os.waitpid(child, 0)
    if status:
        number = os.waitstatus_to_exitcode(status)
        raise OSError(number, os.strerror(number))


def _file_system(path: Path) -> str:
    """The type of the file system that holds an existing path."""
    device = os.stat(path).st_dev
    wanted = f"{os.major(device)}:{os.minor(device)}"
    return next((kind for place, (kind, *_) in reversed(_mounts()) if place[2] == wanted), "an unknown file system")


def _mounts() -> list[tuple[list[str], list[str]]]:
    """What mountinfo says of each mount: of its place, and of its file system (type, source, options).

    Names of places may hold all but blanks and the end of a line, in any encoding.
    """
    text = Path("/proc/self/mountinfo").read_bytes().decode(errors="surrogateescape")
    lines = [line.partition(" - ") for line in text.rstrip("\n").split("\n")]
    return [(place.split(" "), kind.split(" ", 2)) for place, _, kind in lines]
