"""What a directory tree on disk is, told by plain lstat and path names: for comparing, whoever wrote the tree."""

from __future__ import annotations

import hashlib
import os
import stat
from typing import NamedTuple


class Facts(NamedTuple):
    """One entry. group: the first path of the same inode; content: of a file its digest, of a link its text."""

    mode: int
    owner: tuple[int, int]
    size: int
    mtime_ns: int
    device: int
    group: bytes
    content: bytes
    xattrs: tuple[tuple[str, bytes], ...]


def facts(root: str | bytes | os.PathLike[str]) -> dict[bytes, Facts]:
    """Every entry below `root`, and `root` itself as b"."; does not descend deeper than path names reach."""
    top = os.fsencode(root)
    paths = [b"."]
    for here, directories, files in os.walk(top):
        prefix = os.path.relpath(here, top)
        paths += [os.path.normpath(os.path.join(prefix, name)) for name in directories + files]
    first: dict[tuple[int, int], bytes] = {}
    return {path: _facts(os.path.join(top, path), path, first) for path in sorted(paths)}


def _facts(full: bytes, path: bytes, first: dict[tuple[int, int], bytes]) -> Facts:
    status = os.lstat(full)
    content = b""
    if stat.S_ISREG(status.st_mode):
        with open(full, "rb") as file:
            content = hashlib.file_digest(file, "sha256").digest()
    elif stat.S_ISLNK(status.st_mode):
        content = os.readlink(full)
    names = sorted(os.listxattr(full, follow_symlinks=False))
    return Facts(
        mode=status.st_mode,
        owner=(status.st_uid, status.st_gid),
        size=0 if stat.S_ISDIR(status.st_mode) else status.st_size,
        mtime_ns=status.st_mtime_ns,
        device=status.st_rdev,
        group=first.setdefault((status.st_dev, status.st_ino), path),
        content=content,
        xattrs=tuple((name, os.getxattr(full, name, follow_symlinks=False)) for name in names),
    )
