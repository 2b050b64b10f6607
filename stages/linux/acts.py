"""What a start does to files and mounts, act by act, as values that JSON can hold: planned, done, and done again.

Light: on the path of every run.
"""

from __future__ import annotations

import errno
import os

from stages.base.errors import FULL, HostError, placed
from stages.linux import erofs_mount, idmap, kernel

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Iterable
    from typing import Any

# The name of the act, and its operands.
Act = list["Any"]


def directory(path: str, mode: int, owner: tuple[int, int] | None = None) -> Act:
    """A directory with just this mode and owner, made unless it is there.

    By chmod: a set-group-ID bit of the parent is not handed down (contract A.16), and no umask counts.
    """
    return ["directory", path, mode, *(owner or (-1, -1))]


def copy(source: str, target: str, owner: tuple[int, int], mode: int = 0o640) -> Act:
    """A new small file with the bytes of another."""
    return ["copy", source, target, mode, *owner]


def index(image: str, blobs: Iterable[str], way: str, place: str) -> Act:
    """The mount of an index over its blobs. way: the value of an erofs.Way."""
    return ["index", image, list(blobs), way, place]


def shifted(path: str, place: str) -> Act:
    """A directory shown at another place, with the ids of the pod's user namespace."""
    return ["shifted", path, place]


def overlay(options: str, target: str) -> Act:
    """An overlay mount. options: the data of mount(2)."""
    return ["overlay", options, target]


def do(acts: Iterable[Act], userns: int | None = None) -> None:
    """Do them. userns: a descriptor of the user namespace that mounts are shifted by. Raises OSError."""
    for name, *operands in acts:
        _DEEDS[name](userns, *operands)


def mount_privately(mounts: Iterable[Act], ids: tuple[int, int] | None) -> None:
    """Leave the host's mount namespace, and do the acts there. ids: first and number of the pod's user namespace.

    Raises HostError, and OSError on a full disk.
    """
    _leave_host()
    try:
        userns = idmap.user_namespace(*ids) if ids else None
        do(mounts, userns)
        if userns is not None:
            os.close(userns)
    except OSError as error:
        if error.errno in FULL:
            raise
        raise HostError(
            f"cannot mount the pod's root file systems: {error}",
            hint="`stage0: {overlay: false}` in the spec does without overlay mounts",
            reason="mount",
        ) from error


def _leave_host() -> None:
    try:
        kernel.private_mounts()
    except OSError as error:
        if error.errno != errno.EINVAL:
            raise HostError(f"cannot have mounts of its own: {error.strerror}", reason="mount") from error
        raise HostError(
            "the root directory here is no mount point, so mounts of the pod's own cannot be kept from the host",
            hint="a chroot can be made one before it is entered: mount --bind DIR DIR",
            reason="chroot",
        ) from error


def _directory(_: int | None, path: str, mode: int, uid: int, gid: int) -> None:
    try:
        os.mkdir(path, 0o700)
    except FileExistsError:
        if not os.path.isdir(path):
            raise
    if uid != -1:
        os.chown(path, uid, gid)
    os.chmod(path, mode)


def _copy(_: int | None, source: str, target: str, mode: int, uid: int, gid: int) -> None:
    with open(source, "rb") as file:
        data = file.read()
    descriptor = os.open(target, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_NOFOLLOW | os.O_CLOEXEC, mode)
    try:
        with open(descriptor, "wb") as file:
            os.fchown(descriptor, uid, gid)
            os.fchmod(descriptor, mode)
            file.write(data)
    except OSError as error:
        raise placed(error, target) from None


def _index(userns: int | None, image: str, blobs: list[str], way: str, place: str) -> None:
    mount = erofs_mount.mount_index(image, blobs, way == "loop")
    try:
        if userns is not None:
            kernel.mount_setattr_idmap(mount, userns)
        kernel.move_mount(mount, place)
    finally:
        os.close(mount)


def _shifted(userns: int | None, path: str, place: str) -> None:
    assert userns is not None, "only a pod with private users shifts anything"
    idmap.mount_shifted(path, place, userns)


def _overlay(_: int | None, options: str, target: str) -> None:
    kernel.mount("overlay", target, "overlay", 0, options)


_DEEDS: dict[str, Callable[..., None]] = {
    "directory": _directory,
    "copy": _copy,
    "index": _index,
    "shifted": _shifted,
    "overlay": _overlay,
}
