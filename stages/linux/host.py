"""What this host is: operating system and architecture, in appc's words, and which of its starts this is."""

from __future__ import annotations

import os

OS = "linux"
BOOT = "/proc/sys/kernel/random/boot_id"

# appc's table for linux (contract A.11, K.2), what rkt 1.30 accepts.
ARCHITECTURES = ("amd64", "i386", "aarch64", "aarch64_be", "armv6l", "armv7l", "armv7b", "ppc64", "ppc64le", "s390x")

_BOOT_LENGTH = 36  # of an UUID
_OF_MACHINE = {"x86_64": "amd64", "i686": "i386", "i586": "i386"}
_ALSO_RUNS = {"amd64": ("amd64", "i386"), "armv7l": ("armv7l", "armv6l")}


def arch() -> str:
    """The machine's architecture as appc names it."""
    machine = os.uname().machine
    return _OF_MACHINE.get(machine, machine)


def boot() -> str:
    """The id that the kernel gave to this start of the host; "" where a container hides it, or has something else."""
    try:
        with open(BOOT, encoding="ascii", errors="replace") as file:
            found = file.read(_BOOT_LENGTH + 1).strip()
    except OSError:
        return ""
    return found if len(found) == _BOOT_LENGTH and not set(found) - set("0123456789abcdef-") else ""


def runnable() -> tuple[str, ...]:
    """The architectures whose programs this machine runs."""
    return _ALSO_RUNS.get(arch(), (arch(),))
