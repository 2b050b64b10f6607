"""The end of a pod's namespaces, whatever its processes left behind."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[3]
pytestmark = pytest.mark.skipif(os.geteuid() != 0, reason="namespaces need root")

BEGIN = """\
import os, signal, sys, time
sys.path.insert(0, {root!r})
from stages.stage1.crun import anchor
from stages.stage1.lib import init, syscalls

def join(held):
    with open(held.path("pid"), "rb") as namespace:
        syscalls.setns(namespace.fileno(), syscalls.CLONE_NEWPID)

init.block_signals()
syscalls.become_subreaper()
held = anchor.begin(("pid", "uts"), "host", None, {empty!r})
held.ready()
"""
# A runtime died, and its container's process after it, which is ours then: nobody has waited for it yet.
ENDING = """\
wait, let = os.pipe()
alive, is_alive = os.pipe()
runtime = os.fork()
if runtime == 0:
    join(held)
    if os.fork() == 0:
        os.close(let)
        os.read(wait, 1)
    os._exit(0)
os.waitpid(runtime, 0)
os.close(is_alive)
os.close(let)
# The kernel closes what a process has open, and lets others wait for it just after.
os.read(alive, 1)
os.waitid(os.P_ALL, 0, os.WEXITED | os.WNOWAIT)
held.end()
print("ended")
"""


# Somebody brought processes into the pod, as `enter` does, and waits for none; one of them lives until the kill.
FORGOTTEN = """\
begun, has_begun = os.pipe()
stranger = os.fork()
if stranger == 0:
    syscalls.die_with_parent(signal.SIGKILL)
    join(held)
    if os.fork() == 0:
        os._exit(0)
    if os.fork() == 0:
        os.write(has_begun, b"x")
        time.sleep(1000)
    time.sleep(1000)
os.read(begun, 1)
held.end()
print("ended")
os.kill(stranger, signal.SIGKILL)
"""


@pytest.mark.parametrize("ending", [ENDING, FORGOTTEN], ids=["ours", "of somebody else's"])
def test_a_process_that_nobody_has_waited_for_does_not_hold_up_the_end(tmp_path: Path, ending: str) -> None:
    program = BEGIN.format(root=str(ROOT), empty=str(tmp_path)) + ending
    with subprocess.Popen([sys.executable, "-c", program], stdout=subprocess.PIPE, text=True) as process:
        try:
            assert process.communicate(timeout=20)[0] == "ended\n"
        finally:
            process.kill()
