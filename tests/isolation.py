"""A machine of their own for the tests of one process: nobody else's mounts and control groups are seen in it."""

from __future__ import annotations

import os
import re
import time
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

from stages.linux import kernel
from stages.stage1.crun.cgroups import CONTROLLERS

CLONE_NEWCGROUP = 0x02000000
MS_PRIVATE, MS_SHARED = 1 << 18, 1 << 20
NAMESPACES = {"mnt": kernel.CLONE_NEWNS, "cgroup": CLONE_NEWCGROUP}
# A process that was killed is in its control group until it is reaped.
PATIENCE = 60


class Hierarchy(NamedTuple):
    """A mounted hierarchy of control groups: where, the group of this process in it, and the one that it gets."""

    point: Path
    before: Path
    own: Path


class Isolation(NamedTuple):
    """What leads back: descriptors of the namespaces by their kind, and the hierarchies."""

    namespaces: dict[str, int]
    hierarchies: tuple[Hierarchy, ...]

    def leave(self) -> None:
        """Return to where `enter` was called, and take away the groups with whatever the tests left in them."""
        here = Path.cwd()
        for kind, descriptor in self.namespaces.items():
            kernel.setns(descriptor, NAMESPACES[kind])
            os.close(descriptor)
        os.chdir(here)
        for hierarchy in self.hierarchies:
            _move(hierarchy.before)
            _remove(hierarchy.own)


def enter(name: str) -> Isolation:
    """Give this process, which is root's, mounts and control groups of its own; `name` is free on this machine.

    Mounts are as before and as shared as before, but with nobody outside. Every hierarchy of control groups shows as
    its top a group that only this process's children are in, so that their groups are where the top is, as on a host.
    """
    namespaces = {kind: os.open(f"/proc/self/ns/{kind}", os.O_RDONLY) for kind in NAMESPACES}
    hierarchies = tuple(_hierarchies(name))
    for hierarchy in hierarchies:
        _give(hierarchy.own.parent)
        _join(hierarchy.own)
    kernel.unshare(CLONE_NEWCGROUP)
    # Version 2 gives controllers to no group below one that has processes itself.
    for hierarchy in hierarchies:
        _join(hierarchy.own / "tests")
    shared = [mount.point for mount in _mounts() if any(field.startswith("shared:") for field in mount.optional)]
    kernel.unshare(kernel.CLONE_NEWNS)
    kernel.mount("none", "/", flags=kernel.MS_REC | MS_PRIVATE)
    for hierarchy in hierarchies:
        _show(hierarchy.own, hierarchy.point)
    for point in shared:
        kernel.mount("none", point, flags=MS_SHARED)
    return Isolation(namespaces, hierarchies)


def _show(group: Path, point: Path) -> None:
    """The group in place of the whole hierarchy; of what was mounted there before nothing is left in the namespace."""
    descriptor = kernel.copy_of_mount(str(group))
    kernel.umount(str(point), kernel.MNT_DETACH)
    kernel.move_mount(descriptor, str(point))
    os.close(descriptor)


class Mount(NamedTuple):
    """A line of mountinfo. root: what of the file system is mounted. more: options of the file system."""

    root: str
    point: str
    options: list[str]
    optional: list[str]
    kind: str
    more: list[str]


def _mounts() -> Iterator[Mount]:
    for line in os.fsdecode(Path("/proc/self/mountinfo").read_bytes()).splitlines():
        left, _, right = line.partition(" - ")
        _, _, _, root, point, options, *optional = left.split(" ")
        kind, _, more = right.split(" ")
        yield Mount(_plain(root), _plain(point), options.split(","), optional, kind, more.split(","))


def _plain(path: str) -> str:
    """Without the octal numbers that stand for white space and backslashes."""
    return re.sub(r"\\(\d{3})", lambda found: chr(int(found[1], 8)), path)


def _hierarchies(name: str) -> Iterator[Hierarchy]:
    """Those that can be written to. In version 1 what limits this process limits its tests too."""
    lines = (line.split(":", 2) for line in Path("/proc/self/cgroup").read_text().splitlines())
    paths = {frozenset(names.split(",")): path for _, names, path in lines}
    for mount in _mounts():
        if mount.kind not in ("cgroup", "cgroup2") or "rw" not in mount.options or "rw" not in mount.more:
            continue
        wanted = {""} if mount.kind == "cgroup2" else set(mount.more)
        (path,) = (path for names, path in paths.items() if names <= wanted)
        point = Path(mount.point)
        before = point / os.path.relpath(path, mount.root)
        yield Hierarchy(point, before, (before if mount.kind == "cgroup" else point) / name)


def _give(group: Path) -> None:
    """Have a group of version 2 give those below it the controllers that pods want, as a runtime does with the top."""
    try:
        held = (group / "cgroup.controllers").read_text().split()
    except FileNotFoundError:
        return
    for controller in CONTROLLERS.intersection(held):
        (group / "cgroup.subtree_control").write_text(f"+{controller}")


def _join(group: Path) -> None:
    """Make a group, and move into it."""
    group.mkdir(exist_ok=True)
    # Version 1 lets no process into a group without processors and memory, and a new one has none.
    for file in ("cpuset.cpus", "cpuset.mems"):
        if (group / file).exists() and not (group / "cgroup.controllers").exists():
            (group / file).write_text((group.parent / file).read_text())
    _move(group)


def _move(group: Path) -> None:
    (group / "cgroup.procs").write_text(str(os.getpid()))


def _remove(top: Path) -> None:
    end = time.monotonic() + PATIENCE
    for directory, _, _ in os.walk(top, topdown=False):
        while True:
            try:
                os.rmdir(directory)
                break
            except OSError:
                if time.monotonic() > end:
                    raise
                time.sleep(0.01)
