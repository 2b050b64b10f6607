"""SELinux as container runtimes use it: whether it is on, and the labels of processes and files (contract J.1)."""

from __future__ import annotations

import os
from collections.abc import Collection
from pathlib import Path

_XATTR = "security.selinux"
_CATEGORIES = 1024
_ATTEMPTS = 10_000
_DEFAULT_POLICY = "targeted"
# Types of the context that a kernel without a loaded policy gives to every process.
_UNLABELLED = frozenset(("", "kernel"))


def enabled(root: Path = Path("/")) -> bool:
    """Whether the kernel enforces or logs by a loaded policy. root: below which /sys, /proc and /etc are looked up."""
    if not (root / "sys/fs/selinux/enforce").exists():
        return False
    return _text(root / "proc/self/attr/current").strip("\0\n") not in _UNLABELLED


def free_level(taken: Collection[str]) -> str:
    """A level `s0:cA,cB` with A < B < 1024 that is not in `taken`. Raises LookupError when it finds none."""
    import random

    for _ in range(_ATTEMPTS):
        low, high = sorted(random.sample(range(_CATEGORIES), 2))
        level = f"s0:c{low},c{high}"
        if level not in taken:
            return level
    raise LookupError("no SELinux level is free")


def contexts(root: Path = Path("/")) -> tuple[str, str]:
    """The policy's contexts for containers, (process, file); two empty strings when it has none."""
    policy = _settings(root / "etc/selinux/config").get("SELINUXTYPE", _DEFAULT_POLICY)
    found = _settings(root / "etc/selinux" / policy / "contexts/lxc_contexts")
    process, file = found.get("process", ""), found.get("file", "")
    return (process, file) if process and file else ("", "")


def with_level(context: str, level: str) -> str:
    """The context user:role:type[:level] with another level; none stays none."""
    return ":".join([*context.split(":")[:3], level]) if context else ""


def set_file_label(path: Path, label: str) -> None:
    """Label a file; without a label nothing is done. Raises OSError."""
    if label:
        os.setxattr(path, _XATTR, label.encode(), follow_symlinks=False)


def _settings(path: Path) -> dict[str, str]:
    """The `KEY = value` lines of a file; values may be in quotes, `#` begins a comment."""
    found = {}
    for line in _text(path).splitlines():
        key, equals, value = line.partition("#")[0].partition("=")
        if equals:
            found[key.strip()] = value.strip().strip('"')
    return found


def _text(path: Path) -> str:
    try:
        return path.read_text(errors="replace")
    except OSError:
        return ""
