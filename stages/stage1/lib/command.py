"""Running an app's command, and judging before, from its root file system, why it cannot be, so that people hear it."""

from __future__ import annotations

import errno
import os
import stat

from stages.stage1.lib import beneath
from stages.stage1.lib.errors import NOT_EXECUTABLE, NOT_FOUND

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from typing import Literal, NoReturn

_VIRTUAL = ("/proc", "/sys", "/dev")
_PT_INTERP = 3
_MOST_INTERPRETERS = 5  # the kernel goes on to no more of them, one after the other


class Trouble:
    """Why a command cannot be run: the exit code that shells use, and a sentence."""

    __slots__ = ("code", "sentence")

    def __init__(self, code: int, sentence: str) -> None:
        self.code, self.sentence = code, sentence


def trouble(root: int, name: str, cwd: str, search: str, mounted: Callable[[str], bool]) -> Trouble | None:
    """Look for the program `name` below descriptor `root` as exec would, `search` being the app's PATH.

    None means that nothing speaks against it, or that the way leads through a mount (`mounted` tells for a path),
    where only the run itself can show it.
    """
    if "/" in name:
        return _trouble_with(root, os.path.join(cwd, name), name, mounted)
    blocked = False
    for directory in search.split(":"):
        path = os.path.join(cwd, directory, name)
        found = _trouble_with(root, path, name, mounted)
        if found is None or (found.code == NOT_FOUND and found.sentence != _unable(name)):
            return found
        blocked |= found.code == NOT_EXECUTABLE
    if blocked:
        return Trouble(NOT_EXECUTABLE, f'Unable to run "{name}": Permission denied')
    return Trouble(NOT_FOUND, _unable(name))


def become(words: list[str], variables: Mapping[bytes, bytes]) -> NoReturn:
    """exec, with a search of the variables' PATH. Raises OSError.

    os.execvpe does the same, and first imports a module: from the app's root, which the process is in by then.
    """
    name, refusal = words[0], None
    path = os.fsdecode(variables.get(b"PATH", b"")) if "/" not in name else ""
    for directory in path.split(":"):
        try:
            os.execve(os.path.join(directory, name), words, variables)
        except (FileNotFoundError, NotADirectoryError):
            continue
        except OSError as error:
            refusal = error
    raise refusal or FileNotFoundError(errno.ENOENT, os.strerror(errno.ENOENT), name)


def _unable(name: str) -> str:
    return f'Unable to open "{name}": No such file or directory'


def _trouble_with(
    root: int, path: str, name: str, mounted: Callable[[str], bool], left: int = _MOST_INTERPRETERS
) -> Trouble | None:
    with beneath.Walk(root) as walk:
        try:
            walk.go(path)
        except (FileNotFoundError, NotADirectoryError):
            return None if _hidden(walk.path, mounted) or _hidden(path, mounted) else Trouble(NOT_FOUND, _unable(name))
        except OSError as error:
            return Trouble(NOT_FOUND, f'Unable to open "{name}": {error.strerror}')
        if _hidden(walk.path, mounted):
            return None
        mode = walk.status().st_mode
        if not stat.S_ISREG(mode) or not mode & 0o111:
            return Trouble(NOT_EXECUTABLE, f'Unable to run "{name}": Permission denied')
        with open(f"/proc/self/fd/{walk.here}", "rb") as file:
            interpreter = _interpreter(file.read(4096))
    if not interpreter.startswith("/"):
        return None
    if not left:
        return Trouble(NOT_EXECUTABLE, f'Unable to run "{name}": its interpreter has an interpreter, and so on')
    found = _trouble_with(root, interpreter, interpreter, mounted, left - 1)
    if found is None:
        return None
    what = "is not there" if found.sentence == _unable(interpreter) else "cannot be run"
    return Trouble(found.code, f'Unable to run "{name}": its interpreter {interpreter} {what}')


def _hidden(path: str, mounted: Callable[[str], bool]) -> bool:
    return mounted(path) or any(path == top or path.startswith(top + "/") for top in _VIRTUAL)


def _interpreter(head: bytes) -> str:
    """The program that the kernel would load first: of a script, or of a dynamically linked ELF file."""
    if head.startswith(b"#!"):
        words = head[2:].partition(b"\n")[0].partition(b"\0")[0].split()
        return os.fsdecode(words[0]) if words else ""
    if not head.startswith(b"\x7fELF") or len(head) < 64:
        return ""
    wide = head[4] == 2
    order: Literal["little", "big"] = "little" if head[5] == 1 else "big"

    def number(offset: int, size: int) -> int:
        return int.from_bytes(head[offset : offset + size], order)

    table = number(32, 8) if wide else number(28, 4)
    entry_size, count = (number(54, 2), number(56, 2)) if wide else (number(42, 2), number(44, 2))
    for entry in range(table, table + entry_size * count, max(1, entry_size)):
        if number(entry, 4) == _PT_INTERP:
            start, size = (
                (number(entry + 8, 8), number(entry + 32, 8)) if wide else (number(entry + 4, 4), number(entry + 16, 4))
            )
            return os.fsdecode(head[start : start + size].partition(b"\0")[0])
    return ""
