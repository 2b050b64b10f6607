"""One mount of an EROFS image whose data lies in other files. Light: on the path of every run."""

from __future__ import annotations

import errno
import os

from stages.linux import kernel

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence

# fsconfig(2) takes no longer string.
_MAX_OPTION = 255

# <linux/loop.h>: struct loop_config is a descriptor, a block size, struct loop_info64 and 8 unused words; of
# loop_info64 only the flags and the name that losetup shows are set.
_LOOP_CONFIGURE = 0x4C0A
_LOOP_CTL_GET_FREE = 0x4C82
_LOOP_CONFIG = "<II 52xI 64s 112x 64x"
_LO_FLAGS_READ_ONLY = 1
_LO_FLAGS_AUTOCLEAR = 4
_SECTOR = 512
_ATTEMPTS = 64
# Where an image's superblock, at 1024, says how many devices it has besides itself.
_EXTRA_DEVICES = 1024 + 86


def mount_index(index: str, blobs: Sequence[str], by_loop: bool) -> int:
    """A read-only mount of the image `index` over its devices `blobs`, attached nowhere; a descriptor.

    The caller attaches it with kernel.move_mount, after kernel.mount_setattr_idmap if ids are to be shifted, and
    closes it; the files and loop devices stay in use as long as the mount. By file it needs Linux 6.12 and files on
    a file system with a page cache of its own (not tmpfs). Raises OSError naming what was refused.
    """
    _check_devices(index, len(blobs))
    # Descriptors that have to stay open until the mount is made.
    opened: list[int] = []
    try:
        sources = [_source(path, by_loop, opened) for path in (index, *blobs)]
        context = kernel.fsopen("erofs")
        opened.append(context)
        kernel.fsconfig_string(context, "source", sources[0])
        for source in sources[1:]:
            kernel.fsconfig_string(context, "device", source)
        kernel.fsconfig_flag(context, "ro")
        try:
            kernel.fsconfig_create(context)
        except OSError as error:
            raise OSError(error.errno, _explained(context, error), index) from error
        return kernel.fsmount(context, kernel.MOUNT_ATTR_RDONLY)
    finally:
        for descriptor in reversed(opened):
            os.close(descriptor)


def _check_devices(index: str, given: int) -> None:
    """The kernel counts devices too, but takes none at all to mean that all data lie in the image itself."""
    with open(index, "rb") as file:
        found = os.pread(file.fileno(), 2, _EXTRA_DEVICES)
    if int.from_bytes(found, "little") != given:
        raise OSError(errno.EINVAL, f"the image does not have {given} devices", index)


def _source(path: str, by_loop: bool, opened: list[int]) -> str:
    """The name under which the kernel opens a file; valid until the mount is made, while `opened` are open."""
    if by_loop:
        return _loop_device(path, opened)
    if len(os.fsencode(path)) <= _MAX_OPTION:
        return path
    descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    opened.append(descriptor)
    return f"/proc/self/fd/{descriptor}"


def _loop_device(path: str, opened: list[int]) -> str:
    """A read-only loop device over a file, which goes when its last user goes."""
    import fcntl
    import struct

    file = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    opened.append(file)
    control = os.open("/dev/loop-control", os.O_RDWR | os.O_CLOEXEC)
    opened.append(control)
    flags = _LO_FLAGS_READ_ONLY | _LO_FLAGS_AUTOCLEAR
    config = struct.pack(_LOOP_CONFIG, file, _SECTOR, flags, os.fsencode(os.path.basename(path))[:63])
    for _ in range(_ATTEMPTS):
        device = f"/dev/loop{fcntl.ioctl(control, _LOOP_CTL_GET_FREE)}"
        loop = os.open(device, os.O_RDONLY | os.O_CLOEXEC)
        try:
            fcntl.ioctl(loop, _LOOP_CONFIGURE, config)
        except OSError as error:
            os.close(loop)
            if error.errno == errno.EBUSY:  # somebody else was given the same free device
                continue
            raise OSError(error.errno, error.strerror, device) from error
        opened.append(loop)
        return device
    raise OSError(errno.EBUSY, os.strerror(errno.EBUSY), "/dev/loop-control")


def _explained(context: int, error: OSError) -> str:
    """The refusal, with what the kernel says about it in the context's log, if anything."""
    try:
        message = os.read(context, 1024).decode(errors="replace").strip()
    except OSError:
        message = ""
    return f"{error.strerror} ({message.removeprefix('e ')})" if message else str(error.strerror)
