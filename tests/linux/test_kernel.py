"""Forked processes end with whoever forked them, and not because somebody further up is not their parent."""

from __future__ import annotations

import subprocess
import sys

FORKS = """
import os
from stages.linux import kernel

kernel.tie_forks()

def forked(work):
    pid = os.fork()
    if not pid:
        os._exit(work())
    return os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])

print(forked(lambda: forked(lambda: forked(lambda: 7))))
"""


def test_a_process_that_a_forked_process_forks_lives() -> None:
    done = subprocess.run([sys.executable, "-c", FORKS], capture_output=True, text=True, check=False)
    assert done.stdout == "7\n", done.stderr
