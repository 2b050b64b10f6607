"""The machine: its facts beside the figures, and a mount namespace in which the peers' runtime works."""

from __future__ import annotations

import contextlib
import os
import platform
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path

from stages.linux import kernel

_UNIFIED = Path("/sys/fs/cgroup/unified")


def facts(place: Path) -> dict[str, str]:
    """What a reader needs to know of this machine; place: where the measures work."""
    memory = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    return {
        "system": platform.freedesktop_os_release().get("PRETTY_NAME", "?"),
        "kernel": os.uname().release,
        "processors": f"{os.cpu_count()} x {_processor()}",
        "memory": f"{memory / 2**30:.0f} GiB",
        "file system": _file_system(place),
        "Python": platform.python_version(),
        "podman": _version("podman"),
        "crun": _version("crun"),
        "tar": _version("tar"),
    }


def _processor() -> str:
    for line in Path("/proc/cpuinfo").read_text().splitlines():
        if line.startswith("model name"):
            return " ".join(line.partition(":")[2].split())
    return platform.machine()


def _file_system(place: Path) -> str:
    found = subprocess.run(["stat", "-f", "-c", "%T", str(place)], capture_output=True, text=True, check=False)
    return found.stdout.strip() or "?"


def _version(program: str) -> str:
    if shutil.which(program) is None:
        return "not installed"
    told = subprocess.run([program, "--version"], capture_output=True, text=True, check=False).stdout
    return told.splitlines()[0].split()[-1] if told else "?"


class Apart:
    """A mount namespace for peers, which dies with this process.

    What podman leaves mounted never reaches the host. And where cgroups are of both versions, which crun refuses,
    version 2 is not there to be seen; so that podman and crun are not slowed down by a wrapper that does the same.
    """

    def __init__(self) -> None:
        self._home = os.open("/proc/self/ns/mnt", os.O_RDONLY | os.O_CLOEXEC)
        kernel.private_mounts()
        if _UNIFIED.is_dir():
            with contextlib.suppress(OSError):
                kernel.umount(str(_UNIFIED))
        self._apart = os.open("/proc/self/ns/mnt", os.O_RDONLY | os.O_CLOEXEC)
        self._enter(self._home)

    @contextlib.contextmanager
    def inside(self) -> Iterator[None]:
        """What is started in here is in the namespace; getting there and back is not part of any sample."""
        self._enter(self._apart)
        try:
            yield
        finally:
            self._enter(self._home)

    def _enter(self, namespace: int) -> None:
        where = os.open(".", os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC)
        try:
            kernel.setns(namespace, kernel.CLONE_NEWNS)
            # Joining a mount namespace moves to its root.
            os.fchdir(where)
        finally:
            os.close(where)
