"""System calls that Python does not wrap, one thin function each; every refusal is an OSError with its object named."""

from __future__ import annotations

import ctypes
import os

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

MS_REC = 16384
MS_SLAVE = 1 << 19
MNT_DETACH = 2

CLONE_NEWNS = 0x00020000
CLONE_NEWUSER = 0x10000000

AT_FDCWD = -100
AT_EMPTY_PATH = 0x1000
OPEN_TREE_CLONE = 1
OPEN_TREE_CLOEXEC = os.O_CLOEXEC
MOVE_MOUNT_F_EMPTY_PATH = 0x4
MOUNT_ATTR_RDONLY = 0x1
MOUNT_ATTR_IDMAP = 0x00100000
FSOPEN_CLOEXEC = 1
FSMOUNT_CLOEXEC = 1
FSCONFIG_SET_FLAG = 0
FSCONFIG_SET_STRING = 1
FSCONFIG_CMD_CREATE = 6
# The same number on every architecture, like all calls after 424; glibc has no function for it.
SYS_OPENAT2 = 437
RESOLVE_NO_MAGICLINKS = 0x02
RESOLVE_NO_SYMLINKS = 0x04
RESOLVE_BENEATH = 0x08
RESOLVE_IN_ROOT = 0x10

# SELinux, ACL and other xattrs of one name by descriptor are in os; RENAME_EXCHANGE and the like are not needed.


class MountAttr(ctypes.Structure):
    """struct mount_attr of mount_setattr(2)."""

    _fields_ = (
        ("attr_set", ctypes.c_uint64),
        ("attr_clr", ctypes.c_uint64),
        ("propagation", ctypes.c_uint64),
        ("userns_fd", ctypes.c_uint64),
    )


class OpenHow(ctypes.Structure):
    """struct open_how of openat2(2)."""

    _fields_ = (("flags", ctypes.c_uint64), ("mode", ctypes.c_uint64), ("resolve", ctypes.c_uint64))


_libc = ctypes.CDLL(None, use_errno=True)


def _call(name: str, what: str, *arguments: Any) -> int:
    """Call libc's `name`; `what` is the object that an error names."""
    result = int(getattr(_libc, name)(*arguments))
    if result < 0:
        number = ctypes.get_errno()
        raise OSError(number, f"{name}: {os.strerror(number)}", what)
    return result


def unshare(flags: int) -> None:
    """Leave the namespaces named by CLONE_NEW* flags; only for a process with one thread."""
    _call("unshare", "namespaces", ctypes.c_int(flags))


def setns(fd: int, kind: int) -> None:
    """Join the namespace behind `fd`."""
    _call("setns", f"descriptor {fd}", ctypes.c_int(fd), ctypes.c_int(kind))


def mount(source: str, target: str, fs: str = "", flags: int = 0, data: str = "") -> None:
    """mount(2). Paths and data are encoded as file names are."""
    _call(
        "mount",
        target,
        os.fsencode(source),
        os.fsencode(target),
        os.fsencode(fs) if fs else None,
        ctypes.c_ulong(flags),
        os.fsencode(data) if data else None,
    )


def umount(target: str, flags: int = 0) -> None:
    """umount2(2)."""
    _call("umount2", target, os.fsencode(target), ctypes.c_int(flags))


def file_system_type(path: str) -> int:
    """The magic number of the file system that `path` is on (statfs(2))."""
    found = (ctypes.c_long * 64)()
    _call("statfs", path, os.fsencode(path), ctypes.byref(found))
    return int(found[0]) & 0xFFFFFFFF


def private_mounts() -> None:
    """A mount namespace of our own, from which nothing gets out; what the host mounts still comes in."""
    unshare(CLONE_NEWNS)
    mount("none", "/", flags=MS_REC | MS_SLAVE)


def fsopen(fs: str) -> int:
    """A configuration context for a file system type; a descriptor."""
    return _call("fsopen", fs, fs.encode(), ctypes.c_uint(FSOPEN_CLOEXEC))


def fsconfig_string(fd: int, key: str, value: str) -> None:
    """Set one option of a context."""
    _call("fsconfig", f"{key}={value}", fd, FSCONFIG_SET_STRING, key.encode(), os.fsencode(value), 0)


def fsconfig_flag(fd: int, key: str) -> None:
    """Set one flag of a context, "ro" for instance."""
    _call("fsconfig", key, fd, FSCONFIG_SET_FLAG, key.encode(), None, 0)


def fsconfig_create(fd: int) -> None:
    """Make the superblock that the context describes."""
    _call("fsconfig", "file system", fd, FSCONFIG_CMD_CREATE, None, None, 0)


def fsmount(fd: int, attributes: int = 0) -> int:
    """A mount of a created context, attached nowhere; a descriptor."""
    return _call("fsmount", "file system", fd, ctypes.c_uint(FSMOUNT_CLOEXEC), ctypes.c_uint(attributes))


def copy_of_mount(path: str) -> int:
    """open_tree(2): a descriptor for a copy of the mount at `path`, attached nowhere."""
    flags = ctypes.c_uint(OPEN_TREE_CLONE | OPEN_TREE_CLOEXEC)
    return _call("open_tree", path, ctypes.c_int(AT_FDCWD), os.fsencode(path), flags)


def move_mount(mount_fd: int, target: str) -> None:
    """Attach a detached mount at `target`."""
    _call("move_mount", target, mount_fd, b"", AT_FDCWD, os.fsencode(target), ctypes.c_uint(MOVE_MOUNT_F_EMPTY_PATH))


def mount_setattr_idmap(mount_fd: int, userns_fd: int) -> None:
    """Show the ids of a detached mount as `userns_fd` maps them."""
    attributes = MountAttr(attr_set=MOUNT_ATTR_IDMAP, userns_fd=userns_fd)
    _call(
        "mount_setattr",
        "mount",
        mount_fd,
        b"",
        ctypes.c_uint(AT_EMPTY_PATH),
        ctypes.byref(attributes),
        ctypes.c_size_t(ctypes.sizeof(attributes)),
    )


def open_in_root(root_fd: int, path: str) -> int:
    """A descriptor (O_PATH) of what `path` means to a process whose root is `root_fd`: no link leads out of it."""
    return _openat2(root_fd, os.fsencode(path), os.O_PATH, RESOLVE_IN_ROOT | RESOLVE_NO_MAGICLINKS)


def open_beneath(root_fd: int, path: bytes, flags: int) -> int:
    """A descriptor of `path` in the directory `root_fd`, through no link: one on the way is refused (ELOOP).

    With O_PATH | O_NOFOLLOW in `flags` a link at the end is what is opened.
    """
    return _openat2(root_fd, path, flags, RESOLVE_BENEATH | RESOLVE_NO_SYMLINKS)


def _openat2(directory: int, path: bytes, flags: int, resolve: int) -> int:
    how = OpenHow(flags=flags | os.O_CLOEXEC, resolve=resolve)
    size = ctypes.c_size_t(ctypes.sizeof(how))
    number = ctypes.c_long(SYS_OPENAT2)
    return _call("syscall", os.fsdecode(path), number, directory, path, ctypes.byref(how), size)


def syncfs(directory: str) -> None:
    """Everything of the file system that holds the directory reaches the disk."""
    descriptor = os.open(directory, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        _call("syncfs", directory, ctypes.c_int(descriptor))
    finally:
        os.close(descriptor)


def is_bounding(capability: int) -> bool:
    """Whether root can have the capability here: it is in the bounding set (capabilities(7))."""
    pr_capbset_read = 23
    return bool(_call("prctl", "bounding set", ctypes.c_int(pr_capbset_read), ctypes.c_ulong(capability), 0, 0, 0))


def die_with(parent: int) -> None:
    """In a forked process: be killed when `parent`, which made it, ends, also if that has been already."""
    pr_set_pdeathsig, sigkill = 1, 9
    _call("prctl", "parent's death", ctypes.c_int(pr_set_pdeathsig), ctypes.c_ulong(sigkill), 0, 0, 0)
    if os.getppid() != parent:
        os.kill(os.getpid(), sigkill)


def tie_forks() -> None:
    """From now on a forked process is killed when the one that forked it ends, which may be such a process itself."""
    parent = [0]

    def note() -> None:
        parent[0] = os.getpid()

    os.register_at_fork(before=note, after_in_child=lambda: die_with(parent[0]))


def begin_writeback(fd: int, offset: int, length: int) -> None:
    """Have the disk begin to write a range of a file, without waiting for it. Only a wish: refusals are passed over."""
    sync_file_range_write = 2
    try:  # noqa: SIM105 - contextlib takes a third of the time that Python's start takes
        _call(
            "sync_file_range",
            f"descriptor {fd}",
            ctypes.c_int(fd),
            ctypes.c_int64(offset),
            ctypes.c_int64(length),
            ctypes.c_uint(sync_file_range_write),
        )
    except OSError:
        pass
