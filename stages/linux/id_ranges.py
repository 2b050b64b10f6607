"""Ranges of user and group ids that somebody on this host has already: accounts, delegations, running namespaces."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

# First id, and the first one after it.
Range = tuple[int, int]


def taken(root: Path = Path("/")) -> list[Range]:
    """What the host's own files and processes say, by /etc and /proc below `root`. What cannot be read says nothing.

    A range that a namespace maps one to one from 0 on, as the host's own does, is nobody's in particular.
    """
    found = [*_delegated(root / "etc/subuid"), *_delegated(root / "etc/subgid")]
    found += [*_accounts(root / "etc/passwd"), *_accounts(root / "etc/group"), *_mapped(root / "proc")]
    return found


def _delegated(path: Path) -> Iterator[Range]:
    """subuid(5): NAME:FIRST:COUNT."""
    for _, first, count in _fields(path, ":", 3):
        if first.isdecimal() and count.isdecimal():
            yield int(first), int(first) + int(count)


def _accounts(path: Path) -> Iterator[Range]:
    """The third field of passwd(5) and group(5)."""
    for _, _, number in _fields(path, ":", 3):
        if number.isdecimal():
            yield int(number), int(number) + 1


def _mapped(proc: Path) -> Iterator[Range]:
    """What the user namespaces of all processes map: INSIDE OUTSIDE COUNT a line."""
    processes = [name for name in os.listdir(proc) if name.isdecimal()] if proc.is_dir() else []
    for path in (proc / name / kind for name in processes for kind in ("uid_map", "gid_map")):
        for _, first, count in _fields(path, None, 3):
            if first.isdecimal() and count.isdecimal() and int(first) > 0:
                yield int(first), int(first) + int(count)


def _fields(path: Path, separator: str | None, count: int) -> Iterator[list[str]]:
    try:
        lines = path.read_text(errors="replace").splitlines()
    except OSError:
        return
    for line in lines:
        fields = line.split(separator)
        if len(fields) >= count:
            yield fields[:count]
