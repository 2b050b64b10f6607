"""The system calls that Python 3.11 does not wrap; the only module of stage1 that uses ctypes."""

from __future__ import annotations

import ctypes
import errno
import os
import struct

CLONE_NEWNS = 0x00020000
CLONE_NEWUTS = 0x04000000
CLONE_NEWIPC = 0x08000000
CLONE_NEWUSER = 0x10000000
CLONE_NEWPID = 0x20000000
CLONE_NEWNET = 0x40000000

MS_NOSUID = 0x2
MS_BIND = 0x1000
MS_REC = 0x4000
MS_SLAVE = 1 << 19

_PR_SET_PDEATHSIG = 1
_PR_SET_DUMPABLE = 4
_PR_SET_NAME = 15
_PR_SET_SECCOMP = 22
_PR_CAPBSET_DROP = 24
_PR_SET_CHILD_SUBREAPER = 36
_PR_SET_NO_NEW_PRIVS = 38
_CAPABILITY_VERSION_3 = 0x20080522
_AT_RECURSIVE = 0x8000
_MOUNT_ATTR_RDONLY, _MOUNT_ATTR_NODEV = 1, 4
_SECCOMP_MODE_STRICT, _SECCOMP_MODE_FILTER = 1, 2
_SECCOMP_RET_KILL_PROCESS, _SECCOMP_RET_ALLOW = 0x80000000, 0x7FFF0000
_LOAD, _IF_EQUAL, _RETURN = 0x20, 0x15, 0x06  # of BPF: a word of seccomp_data, a jump, the verdict
# Of a machine: its number for audit, and those of the calls read, write, exit and exit_group.
_MACHINES = {
    "x86_64": (0xC000003E, 0, 1, 60, 231),
    "i686": (0x40000003, 3, 4, 1, 252),
    "aarch64": (0xC00000B7, 63, 64, 93, 94),
    "armv7l": (0x40000028, 3, 4, 1, 248),
    "ppc64le": (0xC0000015, 3, 4, 1, 234),
    "riscv64": (0xC00000F3, 63, 64, 93, 94),
    "s390x": (0x80000016, 3, 4, 1, 248),
}
_OPEN_TREE_CLONE = 1
_SYS_OPEN_TREE, _SYS_MOUNT_SETATTR = 428, 442  # the same on every architecture, like all calls after 424
_AF_INET, _SOCK_DGRAM = 2, 2
_SIOCGIFFLAGS, _SIOCSIFFLAGS = 0x8913, 0x8914
_IFF_UP = 1

_libc = ctypes.CDLL(None, use_errno=True)


def _refused(what: str) -> OSError:
    number = ctypes.get_errno()
    return OSError(number, os.strerror(number), what)


def unshare(flags: int) -> None:
    """unshare(2): leave the namespaces named by CLONE_NEW* flags for new ones."""
    if _libc.unshare(ctypes.c_int(flags)) != 0:
        raise _refused("unshare")


def setns(handle: int, kind: int) -> None:
    """setns(2): join the namespace of type `kind` that `handle` refers to."""
    if _libc.setns(ctypes.c_int(handle), ctypes.c_int(kind)) != 0:
        raise _refused("setns")


def mount(source: str, target: str, kind: str, flags: int, data: str = "") -> None:
    """mount(2)."""
    result = _libc.mount(
        os.fsencode(source), os.fsencode(target), kind.encode(), ctypes.c_ulong(flags), os.fsencode(data) or None
    )
    if result != 0:
        raise _refused(target)


def unmount(target: str, flags: int = 0) -> None:
    """umount2(2)."""
    if _libc.umount2(os.fsencode(target), ctypes.c_int(flags)) != 0:
        raise _refused(target)


def copy_of_mount(path: str) -> int:
    """open_tree(2): a descriptor of the directory at `path` as the top of a mount that is mounted nowhere."""
    flags = ctypes.c_uint(_OPEN_TREE_CLONE | os.O_CLOEXEC)
    handle = int(_libc.syscall(ctypes.c_long(_SYS_OPEN_TREE), ctypes.c_int(-100), os.fsencode(path), flags))
    if handle < 0:
        raise _refused(path)
    return handle


def make_read_only(target: str, recursive: bool) -> None:
    """mount_setattr(2): the mount at `target`, and those below it when `recursive`, refuse writes."""
    _set_attribute(target, recursive, _MOUNT_ATTR_RDONLY)


def open_no_devices(target: str) -> None:
    """mount_setattr(2): no device can be opened in the mount at `target` and those below it."""
    _set_attribute(target, True, _MOUNT_ATTR_NODEV)


def _set_attribute(target: str, recursive: bool, attribute: int) -> None:
    attributes = (ctypes.c_uint64 * 4)(attribute, 0, 0, 0)
    result = _libc.syscall(
        ctypes.c_long(_SYS_MOUNT_SETATTR),
        ctypes.c_int(-100),
        os.fsencode(target),
        ctypes.c_uint(_AT_RECURSIVE if recursive else 0),
        ctypes.byref(attributes),
        ctypes.c_size_t(32),
    )
    if result != 0:
        raise _refused(target)


def _prctl(option: int, value: int | bytes, more: bytes | None = None) -> None:
    argument = ctypes.c_char_p(value) if isinstance(value, bytes) else ctypes.c_ulong(value)
    zero = ctypes.c_ulong(0)
    if _libc.prctl(ctypes.c_int(option), argument, ctypes.c_char_p(more), zero, zero) != 0:
        raise _refused("prctl")


def die_with_parent(signal: int) -> None:
    """Get `signal` when the parent dies. Lost by a change of credentials, kept over exec: call it after the former."""
    _prctl(_PR_SET_PDEATHSIG, signal)


def become_subreaper() -> None:
    """Orphaned descendants become children of this process instead of the host's init."""
    _prctl(_PR_SET_CHILD_SUBREAPER, 1)


def hide_from_ptrace() -> None:
    """Make this process's /proc entries and memory root's alone: not dumpable."""
    _prctl(_PR_SET_DUMPABLE, 0)


def set_name(name: str) -> None:
    """The name that ps shows for this process (15 bytes)."""
    _prctl(_PR_SET_NAME, name.encode()[:15])


def no_new_privileges() -> None:
    """No exec of this process or of its children grants rights any more."""
    _prctl(_PR_SET_NO_NEW_PRIVS, 1)


def only_read_and_write() -> None:
    """This process may read, write and end from here on, and nothing else; any other call kills it.

    It has no new privileges. Raises OSError on a machine whose calls are not known here, under a caller's filter.
    """
    try:
        _prctl(_PR_SET_SECCOMP, _SECCOMP_MODE_STRICT)
    except OSError as error:
        # A process that has a filter, as of systemd's sandboxing or a container's, can only be given another one.
        machine = _MACHINES.get(os.uname().machine)
        if error.errno != errno.EINVAL or machine is None:
            raise
        _filter(*machine)


def _filter(architecture: int, *calls: int) -> None:
    steps = [(_LOAD, 0, 0, 4), (_IF_EQUAL, 1, 0, architecture), (_RETURN, 0, 0, _SECCOMP_RET_KILL_PROCESS)]
    steps.append((_LOAD, 0, 0, 0))
    steps += [(_IF_EQUAL, len(calls) - place, 0, call) for place, call in enumerate(calls)]
    steps += [(_RETURN, 0, 0, _SECCOMP_RET_KILL_PROCESS), (_RETURN, 0, 0, _SECCOMP_RET_ALLOW)]
    code = ctypes.create_string_buffer(b"".join(struct.pack("=HBBI", *step) for step in steps))
    program = struct.pack("@HP", len(steps), ctypes.addressof(code))
    _prctl(_PR_SET_SECCOMP, _SECCOMP_MODE_FILTER, program)


def drop_from_bounding_set(number: int) -> None:
    """Take the capability `number` out of the bounding set."""
    _prctl(_PR_CAPBSET_DROP, number)


def set_capabilities(mask: int) -> None:
    """capset(2): exactly the capabilities of the bit `mask` are permitted and effective, none inheritable."""
    header = (ctypes.c_uint32 * 2)(_CAPABILITY_VERSION_3, 0)
    low, high = mask & 0xFFFFFFFF, mask >> 32
    data = (ctypes.c_uint32 * 6)(low, low, 0, high, high, 0)
    if _libc.capset(ctypes.byref(header), ctypes.byref(data)) != 0:
        raise _refused("capset")


def set_hostname(name: str) -> None:
    """sethostname(2), in the UTS namespace of this process."""
    encoded = os.fsencode(name)
    if _libc.sethostname(encoded, ctypes.c_size_t(len(encoded))) != 0:
        raise _refused("sethostname")


def loopback_up() -> None:
    """Bring `lo` up in the network namespace of this process."""
    import fcntl
    import struct

    handle = int(_libc.socket(_AF_INET, _SOCK_DGRAM | os.O_CLOEXEC, 0))
    if handle < 0:
        raise _refused("socket")
    try:
        request = fcntl.ioctl(handle, _SIOCGIFFLAGS, struct.pack("16sh22x", b"lo", 0))
        flags = struct.unpack("16sh22x", request)[1]
        fcntl.ioctl(handle, _SIOCSIFFLAGS, struct.pack("16sh22x", b"lo", flags | _IFF_UP))
    finally:
        os.close(handle)
