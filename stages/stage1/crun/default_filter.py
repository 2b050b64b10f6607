"""The seccomp filter of an app that has no isolator for one: what no app needs, and what needs a capability it has not.

A call is in here when it acts on the whole host, or opens much of the kernel to whoever may call it, a user namespace
above all. The rest is let through: a filter that knew all good calls would take as long to load as half of the
runtime's work, and would have to be made anew for each kernel. `@rkt/default-whitelist` is one, for those who want it.
"""

from __future__ import annotations

import errno
import os

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Collection
    from typing import Any

# Kernel keyrings are not of any namespace; the last line is of long ago.
_NEVER = """
    add_key keyctl request_key userfaultfd
    _sysctl create_module get_kernel_syms nfsservctl query_module sysfs uselib ustat vm86 vm86old
"""
# As on a kernel without them, so that programs and libraries take their other way. What clone3 is asked for is in
# memory, where no filter can look.
_ABSENT = "io_uring_enter io_uring_register io_uring_setup"
_CLONE3 = "clone3"
# The calls that come with a capability; with any of them, where there are several.
_WITH = {
    ("CAP_SYS_ADMIN",): """
        fanotify_init fsconfig fsmount fsopen fspick lookup_dcookie mount mount_setattr move_mount open_tree
        open_tree_attr pivot_root quotactl quotactl_fd setdomainname sethostname setns swapoff swapon
        umount umount2 unshare
    """,
    ("CAP_SYS_ADMIN", "CAP_BPF"): "bpf",
    ("CAP_SYS_ADMIN", "CAP_PERFMON"): "perf_event_open",
    ("CAP_SYS_ADMIN", "CAP_SYSLOG"): "syslog",
    ("CAP_DAC_READ_SEARCH",): "open_by_handle_at",
    ("CAP_SYS_BOOT",): "kexec_file_load kexec_load reboot",
    ("CAP_SYS_MODULE",): "delete_module finit_module init_module",
    ("CAP_SYS_NICE",): "migrate_pages move_pages",
    ("CAP_SYS_PACCT",): "acct",
    ("CAP_SYS_PTRACE",): "kcmp pidfd_getfd",
    ("CAP_SYS_RAWIO",): "ioperm iopl",
    ("CAP_SYS_TIME",): "clock_settime clock_settime64 settimeofday stime",
    ("CAP_SYS_TTY_CONFIG",): "vhangup",
}
_NEW_USER_NAMESPACE = 0x10000000
# AF_ALG: much of the kernel, and what is written through its holes is in pages that pods share. AF_VSOCK: the host and
# its virtual machines, from any network.
_FAMILIES = (38, 40)
# Registers are wider than what the kernel looks at, here the lower half.
_INT = 0xFFFFFFFF
# The bits that no type of a socket has. On a processor whose calls for sockets can all be made through one, libseccomp
# has the filter say the same of that one, whose second argument is an address: this keeps it from being refused whole.
_NO_TYPE = _INT & ~0x8080F
# A processor's other sets of calls; those of a set that is not named would be killed.
_ARCHITECTURES = {
    "x86_64": ("SCMP_ARCH_X86_64", "SCMP_ARCH_X86", "SCMP_ARCH_X32"),
    "aarch64": ("SCMP_ARCH_AARCH64", "SCMP_ARCH_ARM"),
}


def profile(capabilities: Collection[str]) -> dict[str, Any]:
    """The `linux.seccomp` object for an app with these capabilities in its bounding set."""
    refused, absent = _NEVER.split(), _ABSENT.split()
    for any_of, calls in _WITH.items():
        if not set(any_of) & set(capabilities):
            refused += calls.split()
    rules = []
    if "CAP_SYS_ADMIN" not in capabilities:
        absent.append(_CLONE3)
        rules.append({**_rule(["clone"], errno.EPERM), "args": [_asks_for_users()]})
    rules += [_rule(refused, errno.EPERM), _rule(absent, errno.ENOSYS)]
    for family in _FAMILIES:
        asked = [_masked(0, _INT, family), _masked(1, _NO_TYPE, 0)]
        rules.append({**_rule(["socket"], errno.EAFNOSUPPORT), "args": asked})
    architectures = _ARCHITECTURES.get(os.uname().machine, ())
    named = {"architectures": list(architectures)} if architectures else {}
    return {"defaultAction": "SCMP_ACT_ALLOW", **named, "syscalls": rules}


def _rule(calls: list[str], number: int) -> dict[str, Any]:
    return {"names": calls, "action": "SCMP_ACT_ERRNO", "errnoRet": number}


def _asks_for_users() -> dict[str, Any]:
    """The argument of clone that asks for a user namespace: the flags, which on s390 come second."""
    position = int(os.uname().machine.startswith("s390"))
    return _masked(position, _NEW_USER_NAMESPACE, _NEW_USER_NAMESPACE)


def _masked(index: int, mask: int, value: int) -> dict[str, Any]:
    """That the bits `mask` of an argument are `value`."""
    return {"index": index, "value": mask, "valueTwo": value, "op": "SCMP_CMP_MASKED_EQ"}
