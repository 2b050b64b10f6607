"""Closed standard streams, seen from a process that was started with them."""

from __future__ import annotations

import subprocess
import sys

SEEN = """
import os
from stages.base import streams
streams.ensure()
found = [os.readlink(f"/proc/self/fd/{number}") for number in (0, 1, 2)]
assert all(os.get_inheritable(number) for number in (0, 1, 2))
os.write(int(os.environ["TOLD"]), repr([found, len(os.listdir("/proc/self/fd"))]).encode())
"""


def seen(closing: str) -> tuple[list[str], int]:
    done = subprocess.run(
        ["sh", "-c", f'exec 3>&1; TOLD=3; export TOLD; exec "$0" -c "$1" {closing}', sys.executable, SEEN],
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        check=True,
    )
    found, number = eval(done.stdout)
    return found, number


def test_closed_ones_become_dev_null_and_others_stay() -> None:
    assert seen("<&- >&- 2>&-") == (["/dev/null"] * 3, 5)
    found, number = seen("2>&-")
    assert found[0] == "/dev/null" and found[1].startswith("pipe:") and found[2] == "/dev/null" and number == 5
