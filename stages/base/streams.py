"""The three standard streams, which a caller may have closed."""

from __future__ import annotations

import os
import sys


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
