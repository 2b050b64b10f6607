"""Whether trees can be indexes on this host and file system: asked once of the kernel, and remembered."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

from stages.base import files, stamp
from stages.base.digest import canonical
from stages.base.paths import DataDir
from stages.linux import erofs, host, kernel

_REMEMBERED = "erofs.json"
_SYS_ADMIN = 21
_LOOPS = "/dev/loop-control"


def way(data: DataDir) -> erofs.Way | None:
    """How this kernel mounts an index over the stored archives, or None when trees have to be files.

    Only root can ask the kernel; others go by what root was told. What worked is believed as long as kernel and file
    system are the same, and there are loop devices if it takes them: a unit of systemd may have none
    (`PrivateDevices=`). What did not work is believed as long as nothing changed that could have been the cause.
    """
    circumstances = _circumstances(data)
    remembered = _recall(data)
    if remembered.get("circumstances") == circumstances:
        if remembered["way"]:
            found = erofs.Way(remembered["way"])
            return found if found is not erofs.Way.LOOP or os.geteuid() != 0 or _has_loops() else None
        if os.geteuid() != 0 or remembered.get("refused with") == _causes():
            return None
    return _ask(data, circumstances) if os.geteuid() == 0 else None


def _ask(data: DataDir, circumstances: list[str]) -> erofs.Way | None:
    from stages.trees.erofs_probe import probe

    try:
        files.make_directory(data.cache, 0o700)
        found = probe(data.cache).way
    except OSError:
        return None  # for now: nothing was found out
    # The causes after the question: it may have the kernel load a module.
    answer = {"way": found.value} if found else {"way": "", "refused with": _causes()}
    files.publish(data.cache / _REMEMBERED, canonical({"circumstances": circumstances, **answer}), durable=False)
    return found


def _has_loops() -> bool:
    """Whether there are loop devices, and no control group forbids them."""
    try:
        os.stat(_LOOPS)  # which a start that is made again looks at
        os.close(os.open(_LOOPS, os.O_RDWR | os.O_CLOEXEC))
    except OSError:
        return False
    return True


def _recall(data: DataDir) -> dict[str, Any]:
    document = files.read_value(data.cache / _REMEMBERED)
    return document if isinstance(document, dict) and "way" in document else {}


def _circumstances(data: DataDir) -> list[str]:
    uname = os.uname()
    try:
        device = os.stat(data.root).st_dev
    except OSError:
        device = 0
    return [uname.release, uname.version, str(data.root), str(device)]


def _causes() -> list[str]:
    """What a refusal can come from although kernel and file system stay, looked at without any mount.

    Another boot (its command line, a security module), modules that were loaded or installed meanwhile, no loop
    devices, a container that may not mount, as long as the data directory is the host's.
    """
    listed = "erofs" in Path("/proc/filesystems").read_text().split()
    modules = stamp.at(Path("/lib/modules", os.uname().release, "modules.dep"))
    allowed = kernel.is_bounding(_SYS_ADMIN)
    return [host.boot(), str(listed), str(modules), str(_has_loops()), os.readlink("/proc/self/ns/user"), str(allowed)]
