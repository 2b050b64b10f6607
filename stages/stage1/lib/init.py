"""What the inits of all flavors do alike: signals, the inherited lock, small files, and how they fail."""

from __future__ import annotations

import os

from stages.stage1.lib.errors import FAILURE, Stage1Error, explain
from stages.stage1.lib.signals import signal

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable

FORWARDED = (
    signal.SIGTERM,
    signal.SIGINT,
    signal.SIGHUP,
    signal.SIGUSR1,
    signal.SIGUSR2,
    signal.SIGQUIT,
    signal.SIGWINCH,
)


# The file in the pod's directory that says that a run has left nothing outside of it: gc has nothing to do then. The
# images' manifests name it, in the annotation podwright.dev/stage1/ended.
ENDED = "ended"


def say(sentence: str) -> None:
    """One line for people, on stderr, in which no terminal obeys what a name of the image's says.

    What nobody can be told, on a full disk or by a pipe, is no reason to stop.
    """
    if not sentence.isprintable():
        sentence = "".join([one if one.isprintable() else ascii(one)[1:-1] for one in sentence])
    try:  # noqa: SIM105 - contextlib is not loaded here
        os.write(2, f"stage1: {sentence}\n".encode())
    except OSError:
        pass


def guarded(program: Callable[[], int]) -> int:
    """Run `program`; what goes wrong becomes one sentence on stderr and an exit code."""
    try:
        return program()
    except Stage1Error as error:
        say(str(error))
        return error.code
    except OSError as error:
        say(explain(error))
        return FAILURE


def block_signals() -> set[signal.Signals]:
    """Block what inits pass on, and SIGCHLD, so that a loop can take them; returns the former.

    Signals that the caller ignores, as nohup does, stay ignored; SIGTERM is always taken.
    """
    signal.signal(signal.SIGCHLD, signal.SIG_DFL)
    signals = {number for number in FORWARDED if signal.getsignal(number) != signal.SIG_IGN}
    signals.add(signal.SIGTERM)
    signal.pthread_sigmask(signal.SIG_BLOCK, signals | {signal.SIGCHLD})
    return signals


def default_signals() -> None:
    """Undo, in a child that is about to exec, what Python and `block_signals` did."""
    for number in (signal.SIGPIPE, signal.SIGXFSZ, *FORWARDED):
        signal.signal(number, signal.SIG_DFL)
    signal.pthread_sigmask(signal.SIG_SETMASK, ())


def keep_lock() -> None:
    """Hold the pod's lock until this process ends, and hand it to nobody (contract H.3). Raises Stage1Error."""
    text = os.environ.pop("RKT_LOCK_FD", "")
    if not text.isdecimal():
        raise Stage1Error("RKT_LOCK_FD must be the number of a descriptor")
    try:
        os.set_inheritable(int(text), False)
    except OSError as error:
        raise Stage1Error(f"RKT_LOCK_FD={text}: {error.strerror}") from error


def publish(path: str, content: str) -> None:
    """Write a small file, for others to read, so that they see all of it or nothing; no umask lets them write to it."""
    with open(f"{path}.new", "w", encoding="ascii", opener=_readable) as file:
        file.write(content)
    os.rename(f"{path}.new", path)


def _readable(path: str, flags: int) -> int:
    return os.open(path, flags, 0o644)


def forget(path: str) -> None:
    """Remove a file that may not be there."""
    try:
        os.unlink(path)
    except FileNotFoundError:
        return


def exit_code(status: int) -> int:
    """A wait status as shells show it: 128 + n for signal n."""
    return 128 + os.WTERMSIG(status) if os.WIFSIGNALED(status) else os.WEXITSTATUS(status)
