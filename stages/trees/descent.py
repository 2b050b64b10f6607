"""Going down a directory tree by descriptors, one name at a time, so that no link is ever followed."""

from __future__ import annotations

import os
from collections.abc import Iterable

from stages.base.errors import TreeError

# One descriptor is open per level, and a process usually may have 1024. Linux looks up no path of more than 4096 bytes.
DEEPEST = 500

_DIRECTORY = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC


def enter(directory: int, name: bytes | str) -> int:
    """A descriptor of the directory `name` in `directory`. Raises OSError, also when it is a link (ENOTDIR)."""
    return os.open(name, _DIRECTORY, dir_fd=directory)


def reach(root: int, names: Iterable[bytes]) -> int:
    """A descriptor of the directory that `names` lead to, from `root` on; of `root` itself without names."""
    here = os.open(".", _DIRECTORY, dir_fd=root)
    for name in names:
        try:
            below = enter(here, name)
        finally:
            os.close(here)
        here = below
    return here


def check_depth(depth: int) -> None:
    """Refuse a directory that lies deeper than descriptors allow: TreeError, reason "tree-depth"."""
    if depth > DEEPEST:
        raise TreeError(f"directories are nested more than {DEEPEST} deep", reason="tree-depth")


def text(path: bytes) -> str:
    """A path for people, in one line: what is not UTF-8, or cannot be printed, is shown as escapes."""
    shown = path.decode("utf-8", "backslashreplace")
    return shown if shown.isprintable() else "".join(map(_printable, shown))


def _printable(character: str) -> str:
    return character if character.isprintable() else character.encode("unicode_escape").decode()
