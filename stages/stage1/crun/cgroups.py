"""What the host's control groups allow a runtime to do, decided once; and taking away what a pod leaves in them."""

from __future__ import annotations

import errno
import os
import time

from stages.stage1.lib.signals import signal

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator

CONTROLLERS = frozenset(("cpu", "memory", "pids", "devices", "freezer"))


class Layout:
    """The decision: `controllers` that can limit apps, mounts to `hide` from the runtime, the `roots` of hierarchies.

    `usable` is False where the runtime must do without control groups. `tracked` is the hierarchy in which systemd
    keeps its units' processes, its directory, and this process's group there: "" at the top, and where there is none.
    `parent` is the group that the pod's lies in, "" for the top.
    """

    __slots__ = ("controllers", "hide", "parent", "roots", "tracked", "usable", "version")

    def __init__(
        self, version: int, controllers: frozenset[str], hide: tuple[str, ...], roots: tuple[str, ...]
    ) -> None:
        self.version = version
        self.controllers = controllers
        self.hide = hide
        self.roots = roots
        self.usable = bool(roots)
        self.parent = ""
        self.tracked = ("", "")


def decide(mountinfo: str, v2_controllers: str, runtime: str) -> Layout:
    """Judge from /proc/self/mountinfo and the text of the v2 hierarchy's cgroup.controllers.

    crun refuses hybrid hosts whose v2 hierarchy still holds a controller; hiding that hierarchy from it in this mount
    namespace makes them v1 hosts in its eyes, limits included. Read-only hierarchies cannot be used.
    """
    v1: dict[str, frozenset[str]] = {}
    v2 = ""
    for point, _, kind, options, writable in _mounts(mountinfo):
        if not writable:
            continue
        if kind == "cgroup":
            v1[point] = frozenset(options) & CONTROLLERS
        elif kind == "cgroup2" and point in ("/sys/fs/cgroup", "/sys/fs/cgroup/unified"):
            v2 = point
    held = frozenset(v2_controllers.split())
    if v2 == "/sys/fs/cgroup":
        return Layout(2, (held & CONTROLLERS) | {"devices", "freezer"}, (), (v2,))
    controllers: frozenset[str] = frozenset().union(*v1.values())
    if not controllers:
        return Layout(0, frozenset(), (), ())
    hide = (v2,) if v2 and held and runtime == "crun" else ()
    roots = tuple(sorted(v1)) + ((v2,) if v2 and not hide else ())
    return Layout(1, controllers, hide, roots)


def _mounts(mountinfo: str) -> Iterator[tuple[str, str, str, list[str], bool]]:
    """(mount point, group there, type, super options, writable) of each line of mountinfo about control groups."""
    for line in mountinfo.splitlines():
        before, _, after = line.partition(" - ")
        left, right = before.split(), after.split()
        if len(left) >= 6 and len(right) >= 3 and right[0] in ("cgroup", "cgroup2"):
            options = right[2].split(",")
            yield left[4], left[3].rstrip("/"), right[0], options, "rw" in left[5].split(",") and "rw" in options


def look(runtime: str) -> Layout:
    """`decide` for this host."""
    held = ""
    for root in ("/sys/fs/cgroup", "/sys/fs/cgroup/unified"):
        try:
            with open(f"{root}/cgroup.controllers", encoding="ascii") as file:
                held = file.read()
            break
        except OSError:
            continue
    mountinfo = _own_file("mountinfo")
    layout = decide(mountinfo, held, runtime)
    layout.tracked = _tracked(layout, mountinfo, _own_file("cgroup"))
    return layout


def _own_file(name: str) -> str:
    with open(f"/proc/self/{name}", encoding="utf-8", errors="surrogateescape") as file:
        return file.read()


def hasten() -> None:
    """Have a child make the kernel ready for moves into control groups, while this process has other things to do.

    The first move for a while waits until every processor has passed through a grace period, some 10 ms; those that
    follow within as much again do not. So the child moves to where it is already, and the runtime, which moves the
    app's process, does not wait. The child holds nothing of the caller's, and what it cannot do is no trouble.
    """
    if os.fork():
        return
    try:
        os.closerange(0, 1 << 16)
        _move_nowhere()
    finally:
        os._exit(0)


def _move_nowhere() -> None:
    for directory in own(_own_file("mountinfo"), _own_file("cgroup")):
        try:
            with open(f"{directory}/cgroup.procs", "w", encoding="ascii") as file:
                file.write("0")
            return
        except OSError:
            continue


def _tracked(layout: Layout, mountinfo: str, groups: str) -> tuple[str, str]:
    name = "" if layout.version == 2 else "name=systemd"
    for point, names, group in _own(mountinfo, groups):
        if names == {name} and point in layout.roots:
            return point, group
    return "", ""


def own(mountinfo: str, groups: str) -> Iterator[str]:
    """The directories of the process with these /proc/self/mountinfo and /proc/self/cgroup, where it can write."""
    for point, _, group in _own(mountinfo, groups):
        yield point + group


def _own(mountinfo: str, groups: str) -> Iterator[tuple[str, frozenset[str], str]]:
    """(mount point, names of the hierarchy, group below the point) of the hierarchies that can be written."""
    lines = (line.split(":", 2) for line in groups.splitlines())
    paths = {frozenset(names.split(",")): path.rstrip("/") for _, names, path in lines}
    for point, top, kind, options, writable in _mounts(mountinfo):
        for names, path in paths.items():
            # In a container the whole hierarchy's paths may be told, of which a part is mounted.
            if (
                writable
                and names <= ({""} if kind == "cgroup2" else set(options))
                and (path + "/").startswith(top + "/")
            ):
                yield point, names, path[len(top) :]


def remove(group: str, roots: tuple[str, ...], patience: float = 5.0) -> bool:
    """Kill what is left in the control group `group` (as in "/podwright-..."), in every hierarchy, and remove it.

    Returns False when processes held out longer than `patience` seconds. Groups that are not there are fine.
    """
    end = time.monotonic() + patience
    pending = [path for root in roots if os.path.isdir(path := root + group)]
    while pending:
        pending = [path for path in pending if not _removed(path)]
        if pending and time.monotonic() > end:
            return False
        if pending:
            time.sleep(0.002)
    return True


def _removed(path: str) -> bool:
    for directory, _, _ in os.walk(path, topdown=False):
        kill_all(directory)
        try:
            os.rmdir(directory)
        except FileNotFoundError:
            continue
        except OSError as error:
            if error.errno != errno.EBUSY:
                raise
            _thaw(directory)
            return False
    return True


def _thaw(directory: str) -> None:
    """Let frozen processes die: runc freezes a group while it changes it, and may have been killed meanwhile."""
    for name, word in (("freezer.state", "THAWED"), ("cgroup.freeze", "0")):
        try:
            with open(f"{directory}/{name}", "r+", encoding="ascii") as file:
                file.write(word)
        except OSError:
            continue


def kill_all(directory: str) -> None:
    """SIGKILL to every process in the control group at `directory`, but never to this one."""
    try:
        with open(f"{directory}/cgroup.procs", encoding="ascii") as file:
            processes = [int(line) for line in file]
    except OSError:
        return
    for process in processes:
        if process > 0 and process != os.getpid():
            try:
                os.kill(process, signal.SIGKILL)
            except ProcessLookupError:
                continue
