"""A place that a pod's shifted root can reach: roots and volumes are bound there when the pod has private users.

A runtime inside the user namespace looks paths up with the rights of an ordinary user, and the directories above a pod
or a volume may be closed to it. The place is a file system in the init's own mount namespace and ends with it.
"""

from __future__ import annotations

import os
import stat

from stages.stage1.lib import syscalls
from stages.stage1.lib.errors import Stage1Error

DIRECTORY = "/run/podwright/staging"


def prepare() -> None:
    """Mount the place, and a /dev/null of its own; the mount namespace must be the caller's own.

    A runtime binds the host's devices into a user namespace, where it cannot make any, and crun then gives /dev/null to
    the app's user: that must not be the host's. Raises Stage1Error where nobody may make one.
    """
    os.makedirs(DIRECTORY, mode=0o711, exist_ok=True)
    syscalls.mount("podwright", DIRECTORY, "tmpfs", syscalls.MS_NOSUID, "mode=711,size=1m")
    null = os.path.join(DIRECTORY, "null")
    try:
        os.mknod(null, stat.S_IFCHR | 0o666, os.stat(os.devnull).st_rdev)
    except PermissionError:
        why = "which takes CAP_MKNOD: a unit with `PrivateDevices=` has it not"
        raise Stage1Error(f"private users need a {os.devnull} of the pod's own, {why}") from None
    os.chmod(null, 0o666)
    syscalls.mount(null, os.devnull, "none", syscalls.MS_BIND)


def bind(source: str, name: str, recursive: bool) -> str:
    """Make what is at `source` available in the place as `name`, and return that path."""
    path = os.path.join(DIRECTORY, name)
    if stat.S_ISDIR(os.stat(source).st_mode):
        os.mkdir(path, 0o755)
    else:
        os.close(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o644))
    syscalls.mount(source, path, "none", syscalls.MS_BIND | (syscalls.MS_REC if recursive else 0))
    return path


def without_devices(root: str) -> None:
    """No device that an image brings in `root` can be opened: for where no control group says which one may be."""
    syscalls.mount(root, root, "none", syscalls.MS_BIND | syscalls.MS_REC)
    syscalls.open_no_devices(root)
