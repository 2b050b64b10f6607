"""The SELinux labels of a pod: its own level, which no other pod of the data directory has (contract J.1)."""

from __future__ import annotations

import os
from pathlib import Path

from stages.base import files
from stages.base.errors import PodError
from stages.base.paths import DataDir, PodPaths
from stages.base.records import NamedTuple
from stages.linux import locks, selinux


class Labels(NamedTuple):
    """process: of what stage1 starts; mount: of the pod's files. Both "" where SELinux is off."""

    process: str = ""
    mount: str = ""


def held(data: DataDir, pod: PodPaths, root: Path = Path("/")) -> Labels:
    """The pod's labels; its level is chosen now if it has none, and kept until the pod is removed.

    root: as for selinux.enabled. Raises PodError when no level is free, OSError.
    """
    if not selinux.enabled(root):
        return Labels()
    process, file = selinux.contexts(root)
    if not process:
        return Labels()
    level = _level(data, pod)
    return Labels(selinux.with_level(process, level), selinux.with_level(file, level))


def _level(data: DataDir, pod: PodPaths) -> str:
    """Two pods that choose at one moment wait for each other: the one sees what the other has taken."""
    if own := _read(pod):
        return own
    with locks.held(data.level_lock):
        try:
            level = selinux.free_level({_read(data.pod(name)) for name in os.listdir(data.pods)})
        except LookupError as error:
            raise PodError(str(error), hint="`doit gc` removes pods that are over", reason="no-level") from error
        files.publish(pod.selinux_level, level.encode())
    return level


def _read(pod: PodPaths) -> str:
    return (files.read_small(pod.selinux_level) or b"").decode(errors="replace").strip()
