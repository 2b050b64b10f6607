"""Whether a tree on disk is as it was: a quick look at its inodes, a full one at its content, and what differs."""

from __future__ import annotations

import os
import stat
from collections.abc import Iterator
from pathlib import Path

from stages.trees import descent

# Records end in NUL, the one byte that no name holds; fields end in TAB, and the path is the last one. The first record
# names the columns, so that two listings of one kind can be compared field by field.
_LISTING = b"mode\tinode\tsize\tuid\tgid\tlinks\tmtime\tctime\tdevice\tpath\0"
_CONTENTS = b"mode\tsize\tuid\tgid\tmtime\tdevice\tlink\tcontent\tattributes\tpath\0"
_MOST_DIFFERENCES = 5


def listing(path: Path) -> bytes:
    """What moves whenever anything in the tree at `path` was touched. Reads inodes, no content.

    A record per entry, sorted by name in each directory, parents first: type and mode, inode, size, owner, links, times
    in ns, device number and path. Renaming the tree's root moves it, for that changes the root's ctime; renaming a
    directory above does not. Raises OSError, and TreeError for nesting too deep.
    """
    root = os.open(path, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        parts = [_LISTING.decode(), _inode(os.fstat(root)), ".\0"]
        _list(root, "", 0, parts)
    finally:
        os.close(root)
    return "".join(parts).encode("utf-8", "surrogateescape")


def contents(path: Path, jobs: int | None = None) -> bytes:
    """What moves whenever the tree's content does: equal for equal trees wherever they are.

    A record per entry, in the order of `listing`: type, mode, owner, size, bytes, link text, device number, extended
    attributes, mtime, and which names are one inode. jobs: processes that read, None: as many as are worth their start.
    Raises OSError, and TreeError for nesting too deep or a reader that died.
    """
    from stages.trees import hashing

    return _CONTENTS + b"".join(hashing.records(path, jobs))


def compare(old: bytes, new: bytes) -> tuple[str, ...]:
    """The first differences between two listings, or two contents: at most five, a path and what is other there.

    A listing that is empty, or of another kind, differs in everything.
    """
    columns, before = _parsed(old)
    new_columns, after = _parsed(new)
    if columns != new_columns:
        return ("the old record is of another form",)
    found: list[str] = []
    for path in sorted(before.keys() | after.keys()):
        if before.get(path) != after.get(path) and len(found) < _MOST_DIFFERENCES:
            found.append(f"{descent.text(path)}: {_difference(columns, before.get(path), after.get(path))}")
    return tuple(found)


def _list(directory: int, prefix: str, depth: int, parts: list[str]) -> None:
    descent.check_depth(depth)
    with os.scandir(directory) as entries:
        found = sorted((entry.name, entry) for entry in entries)
    for name, entry in found:
        status = entry.stat(follow_symlinks=False)
        parts.append(f"{_inode(status)}{prefix}{name}\0")
        if stat.S_ISDIR(status.st_mode):
            below = descent.enter(directory, name)
            try:
                _list(below, f"{prefix}{name}/", depth + 1, parts)
            finally:
                os.close(below)


def _inode(status: os.stat_result) -> str:
    mode, inode, _, links, uid, gid, size = status[:7]
    device = status.st_rdev
    return f"{mode:o}\t{inode}\t{size}\t{uid}\t{gid}\t{links}\t{status.st_mtime_ns}\t{status.st_ctime_ns}\t{device:x}\t"


def _parsed(text: bytes) -> tuple[list[str], dict[bytes, list[bytes]]]:
    records = iter(text.split(b"\0")[:-1])
    columns = next(records, b"").decode().split("\t")
    entries = (record.split(b"\t", len(columns) - 1) for record in records)
    return columns[:-1], {fields[-1]: fields[:-1] for fields in entries}


def _difference(columns: list[str], old: list[bytes] | None, new: list[bytes] | None) -> str:
    if old is None or new is None:
        return "is new" if old is None else "is gone"
    return ", ".join(_moved(columns, old, new))


def _moved(columns: list[str], old: list[bytes], new: list[bytes]) -> Iterator[str]:
    for column, left, right in zip(columns, old, new, strict=True):
        if left != right:
            short = len(left) <= 24 and len(right) <= 24
            yield f"{column} {left.decode()} -> {right.decode()}" if short else f"{column} differs"
