"""A pod that a process of its own prepares, while this one stays light, to become stage1.

Two processors are then busy, and stage1 goes on in the Python that runs already: its start takes as long as ours. What
the start does comes back as pod/again.py does it, with the locks.
"""

from __future__ import annotations

import _signal  # type: ignore[import-not-found]
import _socket
import os
import sys

from stages.base import quickjson, shipped
from stages.commands import with_packages
from stages.linux import child
from stages.pod import again
from stages.spec import ahead

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from stages.images.lockfile import Hold

# What the answer says in place of a start: doit has to find out what is wrong; only who prepared can make the start.
_FOR_DOIT, _FOR_US = "doit", "us"
_NUMBER, _PIECE = 4, 1 << 16
_FAILED, _BY_SIGNAL = 1, 128


def run(word: str, *, locked: bool) -> int | None:
    """Prepare the pod that `word` means, with the steps of this folder's dodo.py, and become it.

    An exit code when that failed, and has been told; None when it is for doit.
    """
    if not _looks_ours():
        return _here(word, locked)
    code, start, locks = _prepared(word, locked)
    if start == _FOR_DOIT:
        return None
    if start == _FOR_US:
        return _here(word, locked)
    return again.make(start, locks[1], light=True) if start and not code else _told(code)


def _prepared(word: str, locked: bool) -> tuple[int, Any, list[int]]:
    """The exit code of the process that prepared the pod; what it answers, and the locks of store and pod."""
    # Each needs it: loaded here, once.
    from stages.linux import acts  # noqa: F401

    reader = ahead.begin(f"pods/{word}.yaml", with_packages)
    ours, theirs = _socket.socketpair(_socket.AF_UNIX, _socket.SOCK_STREAM)
    answer: list[tuple[Any, list[int]]] = []

    def prepare() -> int:
        ours.close()
        return _prepare(word, locked, theirs)

    def listen() -> None:
        ahead.forget()
        theirs.close()
        answer.append(_answer(ours))

    code = child.run(prepare, listen)
    if reader:
        os.waitpid(reader, 0)
    return code, *answer[0]


def _told(code: int) -> int:
    """The exit code for a pod that was not prepared; why has been told, if there was somebody left to tell it."""
    if code <= _BY_SIGNAL or code == _BY_SIGNAL + _signal.SIGINT:
        return code or _FAILED
    told = f"ERROR: the process that prepares the pod ended early (signal {code - _BY_SIGNAL})\n  hint: run again"
    print(told, file=sys.stderr)
    return _FAILED


def _looks_ours() -> bool:
    """Whether graph/direct.py will find this folder's tasks to be ours alone, as far as can be told at once."""
    try:
        return shipped.is_copy("dodo.py", "dodo.py")
    except OSError:
        return False


def _here(word: str, locked: bool) -> int | None:
    """The same in this process."""
    with_packages()
    from pathlib import Path

    from stages.graph import direct

    return direct.run(word, Path.cwd(), _hold(locked)) if direct.is_ours(Path.cwd()) else None


def _hold(locked: bool) -> Hold:
    from stages.commands.locked import hold

    return hold({"locked": locked or None})


def _prepare(word: str, locked: bool, channel: Any) -> int:
    """In the other process: everything up to the start, which is told. Exit code."""
    with_packages()
    from pathlib import Path

    from stages.base import digest
    from stages.graph import direct, session

    session.WITNESS.forked_by(os.getppid())

    def hand_over(start: dict[str, Any] | None, locks: tuple[int, int]) -> None:
        rights = b"".join(lock.to_bytes(_NUMBER, sys.byteorder) for lock in locks)
        channel.sendmsg([b" "], [(_socket.SOL_SOCKET, _socket.SCM_RIGHTS, rights)] if start else [])
        channel.sendall(digest.canonical(start or _FOR_US).strip())

    code = direct.prepare_start(word, Path.cwd(), _hold(locked), hand_over) if direct.is_ours(Path.cwd()) else None
    if code is None:
        channel.sendall(digest.canonical(_FOR_DOIT))
    return code or 0


def _answer(channel: Any) -> tuple[Any, list[int]]:
    """What the other process says, None for nothing or half of it; and the descriptors that it gives."""
    first, passed, _, _ = channel.recvmsg(1, _socket.CMSG_SPACE(2 * _NUMBER), _socket.MSG_CMSG_CLOEXEC)
    rights = passed[0][2] if passed else b""
    numbers = [rights[place : place + _NUMBER] for place in range(0, len(rights), _NUMBER)]
    told = first
    while piece := channel.recv(_PIECE):
        told += piece
    channel.close()
    try:
        said = quickjson.loads(told.decode("utf-8", "surrogateescape").strip())
    except ValueError:
        said = None
    return said, [int.from_bytes(one, sys.byteorder) for one in numbers]
