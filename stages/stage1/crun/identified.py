"""A runtime's hook, run as a program: is the app's process the one that was expected?

A socket-activated app believes in its sockets when LISTEN_PID is its own process id (sd_listen_fds(3)). Its id in the
pod's namespace is known only when the process is there, and by then its variables are set. So the id is foretold, and
here the run is broken off, before anything of the app was executed, when it came otherwise.

    python3 identified.py EXPECTED FILE    the runtime's state on stdin; writes the id that there is to FILE
"""

from __future__ import annotations

import os
import sys

if __name__ == "__main__":
    sys.path.insert(0, os.path.realpath(f"{__file__}/../../../.."))

from stages.stage1.lib import quickjson


def main(expected: str, told: str) -> int:
    """Exit code 0 if the process has the expected id."""
    host_pid = int(quickjson.load(sys.stdin)["pid"])
    with open(f"/proc/{host_pid}/status", encoding="utf-8", errors="replace") as file:
        (line,) = [line for line in file if line.startswith("NSpid:")]
    found = line.split()[-1]
    with open(f"{told}.new", "w", encoding="ascii", opener=lambda path, flags: os.open(path, flags, 0o644)) as file:
        file.write(found)
    os.rename(f"{told}.new", told)
    return 0 if found == expected else 1


if __name__ == "__main__":
    sys.exit(main(sys.argv[1], sys.argv[2]))
