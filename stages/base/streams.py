"""The three standard streams, which a caller may have closed."""

from __future__ import annotations

import os
import sys

from stages.base.errors import worded


def ensure() -> None:
    """Open /dev/null in place of each closed one: else the next file opened, a lock say, becomes somebody's stdout."""
    while (descriptor := os.open(os.devnull, os.O_RDWR)) <= 2:
        os.set_inheritable(descriptor, True)
    os.close(descriptor)
    for number, name in enumerate(("stdin", "stdout", "stderr")):
        if getattr(sys, name) is None:
            stream = open(number, "w" if number else "r", closefd=False)  # noqa: SIM115 - it stays for good
            setattr(sys, name, stream)
            setattr(sys, f"__{name}__", stream)


def written(code: int) -> int:
    """The exit code, once all that was printed is written; 1 and a sentence where it cannot be, if nothing was told."""
    try:
        sys.stdout.flush()
        return code
    except BrokenPipeError:
        told = code
    except OSError as error:
        if not code:
            print(f"ERROR: {worded(error).text()}", file=sys.stderr)
        told = code or 1
    drop_output()
    return told


def drop_output() -> None:
    """Have nobody told any more: what is left is lost, and Python does not complain of it once more at its end."""
    os.dup2(os.open(os.devnull, os.O_WRONLY), 1)
