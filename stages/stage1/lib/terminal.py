"""The size of a terminal, as OCI runtimes are told it, and as the terminal of an app is when that changes."""

from __future__ import annotations

import os
import stat

from stages.stage1.lib import beneath

_PTS = range(136, 144)  # the major numbers of Unix98 terminals, devices.txt of the kernel


def size(handle: int) -> dict[str, int]:
    """OCI's `consoleSize`; nothing for what is no terminal, or one that does not know."""
    try:
        columns, lines = os.get_terminal_size(handle)
    except OSError:
        return {}
    return {"height": lines, "width": columns} if lines and columns else {}


def follow(handle: int, process: int) -> None:
    """Give the terminal of the app with this process the size of the one behind `handle`: crun does not do it.

    What cannot be done is no trouble: the app may be gone, and what is at its /dev/console is no business of ours then.
    """
    try:
        root = os.open(f"/proc/{process}/root", os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC)
        try:
            with beneath.Walk(root) as walk:
                walk.go("/dev/console")
                _give(handle, walk.here)
        finally:
            os.close(root)
    except OSError:
        return


def follow_entered(handle: int, process: int) -> None:
    """The same for a command that was entered: its terminal is its stdin, or was."""
    try:
        place = os.open(f"/proc/{process}/fd/0", os.O_PATH | os.O_CLOEXEC)
        try:
            _give(handle, place)
        finally:
            os.close(place)
    except OSError:
        return


def _give(handle: int, place: int) -> None:
    """place: a descriptor, opened with O_PATH, of what may be a terminal."""
    import fcntl
    import termios

    status = os.fstat(place)
    if not stat.S_ISCHR(status.st_mode) or os.major(status.st_rdev) not in _PTS:
        return
    flags = os.O_RDWR | os.O_NOCTTY | os.O_NONBLOCK | os.O_CLOEXEC
    terminal = os.open(f"/proc/self/fd/{place}", flags)
    try:
        fcntl.ioctl(terminal, termios.TIOCSWINSZ, fcntl.ioctl(handle, termios.TIOCGWINSZ, bytes(8)))
    finally:
        os.close(terminal)
