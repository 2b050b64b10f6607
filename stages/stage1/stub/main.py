"""Tells, as one JSON document on stdout, exactly what stage0 handed over."""

from __future__ import annotations

import fcntl
import json
import os
import signal
import sys

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

_NAMESPACES = ("mnt", "net", "pid", "ipc", "uts", "user")


def main(argv: list[str]) -> int:
    """`argv` as stage0 gave it, program first. Prints the document; returns STUB_EXIT from the environment, or 0.

    The run entrypoint writes `pid` too.
    """
    ignored = int(os.environ.pop("STUB_SIGIGN"), 16)
    entrypoint = os.path.basename(argv[0])
    if entrypoint == "run":
        with open(os.open("pid", os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o644), "w", encoding="ascii") as file:
            file.write(str(os.getpid()))
    json.dump({"entrypoint": entrypoint, "argv": argv, **_circumstances(ignored)}, sys.stdout, indent=1)
    sys.stdout.write("\n")
    sys.stdout.flush()
    return int(os.environ.get("STUB_EXIT", "0"))


def _circumstances(ignored: int) -> dict[str, Any]:
    with open("/proc/self/status", encoding="utf-8", errors="replace") as file:
        status = dict(line.rstrip("\n").split(":", 1) for line in file if ":" in line)
    with open("/proc/self/mountinfo", encoding="utf-8", errors="surrogateescape") as file:
        mounts = file.read().splitlines()
    blocked = int(status["SigBlk"], 16)
    return {
        "pid": os.getpid(),
        "environment": dict(os.environ),
        "cwd": os.getcwd(),
        "umask": status["Umask"].strip(),
        "descriptors": _descriptors(),
        "ignored_signals": [number.name for number in signal.Signals if ignored >> (number - 1) & 1],
        "blocked_signals": [number.name for number in signal.Signals if blocked >> (number - 1) & 1],
        "mounts": [line for line in mounts if os.getcwd() in line],
        "namespaces": {name: os.readlink(f"/proc/self/ns/{name}") for name in _NAMESPACES},
    }


def _descriptors() -> dict[str, dict[str, Any]]:
    """What each open descriptor is; `locked` tells for the one in RKT_LOCK_FD whether it holds the lock."""
    lock = os.environ.get("RKT_LOCK_FD", "")
    result = {}
    for name in sorted(os.listdir("/proc/self/fd"), key=int):
        try:
            target = os.readlink(f"/proc/self/fd/{name}")
        except FileNotFoundError:
            continue  # the one that listed them
        result[name] = {"target": target, "locked": _locked(int(name)) if name == lock else None}
    return result


def _locked(number: int) -> bool:
    """Whether the open file behind `number` holds the exclusive lock.

    Another open of the same file cannot get the lock then, and this one can have it again without waiting.
    """
    other = os.open(f"/proc/self/fd/{number}", os.O_RDONLY | os.O_CLOEXEC)
    try:
        fcntl.flock(other, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except BlockingIOError:
        return _has_lock(number)
    finally:
        os.close(other)
    return False


def _has_lock(number: int) -> bool:
    try:
        fcntl.flock(number, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
