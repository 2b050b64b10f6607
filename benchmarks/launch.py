"""Run as a program: starts a command from a small process, and tells when it began and ended and what it took.

A process has its parent's memory until it executes something, and that counts as its own peak (getrusage(2)): started
by the benchmark itself, nothing would ever take less than the benchmark.

    python3 -IS launch.py DESCRIPTOR COMMAND...    DESCRIPTOR: a socket; on it go
        "PID BEGIN\\n"                    when the command was started
        "END\\n"                          when it has ended; until it is told to go on, its number is not given away
        "STATUS USER SYSTEM PEAK\\n"      after a byte came: the wait status, CPU seconds, kilobytes
"""

from __future__ import annotations

import os
import signal
import sys
import time

# Python ignores these, and what it starts would inherit that.
_NOT_PYTHONS = (signal.SIGPIPE, signal.SIGXFSZ)


def main(channel: int, command: list[str]) -> None:
    """BEGIN and END are seconds of the monotonic clock, which all processes share."""
    begin = time.perf_counter()
    process = os.posix_spawnp(command[0], command, os.environ, setsigdef=_NOT_PYTHONS)
    os.write(channel, f"{process} {begin}\n".encode())
    os.waitid(os.P_PID, process, os.WEXITED | os.WNOWAIT)
    os.write(channel, f"{time.perf_counter()}\n".encode())
    os.read(channel, 1)
    _, status, usage = os.wait4(process, 0)
    os.write(channel, f"{status} {usage.ru_utime} {usage.ru_stime} {usage.ru_maxrss}\n".encode())


if __name__ == "__main__":
    os.set_inheritable(int(sys.argv[1]), False)
    main(int(sys.argv[1]), sys.argv[2:])
