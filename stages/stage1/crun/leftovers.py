"""What a pod leaves on the host when its init was killed, and taking it away; harmless when there is nothing."""

from __future__ import annotations

import os
import time

from stages.stage1.crun import cgroups, delegation, network, runtime
from stages.stage1.lib import init
from stages.stage1.lib.errors import Stage1Error
from stages.stage1.lib.signals import signal

_PATIENCE = 5.0  # seconds
_PF_EXITING = 0x4  # in the flags of /proc/<pid>/stat, proc(5)


def note_anchor(pod: str, pid: int) -> None:
    """Write down the anchor, by pid and start time, so that it can be waited for."""
    init.publish(os.path.join(pod, runtime.RUN_DIRECTORY, "anchor"), f"{pid} {_start_time(pid)}")


def sweep(pod: str, uuid: str, then: str = "") -> None:
    """Remove processes, control groups, networks and the run directory of an earlier run.

    A network that cannot be taken down is told, with `then` behind it, and left to the next sweep. Raises Stage1Error
    if processes stay.
    """
    directory = os.path.join(pod, runtime.RUN_DIRECTORY)
    ran = os.path.isdir(directory)
    if ran:
        _end_anchor(directory)
        remembered = runtime.recall(pod)
        if remembered:
            _, roots, parent = remembered
            if not cgroups.remove(runtime.control_group(parent, pod, uuid), roots, _PATIENCE):
                raise Stage1Error(f"processes of pod {uuid} do not die")
            delegation.tidy(parent, roots)
    for trouble in network.tear_down(pod, uuid, ""):
        init.say(trouble + then)
    if ran:
        _remove_tree(directory)


def _remove_tree(directory: str) -> None:
    """Remove a directory that only stage1 and its runtime have written to."""
    for parent, directories, files in os.walk(directory, topdown=False):
        for name in files:
            os.unlink(os.path.join(parent, name))
        for name in directories:
            os.rmdir(os.path.join(parent, name))
    os.rmdir(directory)


def _end_anchor(directory: str) -> None:
    try:
        with open(os.path.join(directory, "anchor"), encoding="ascii") as file:
            number, started = file.read().split()
    except (OSError, ValueError):
        return
    pid, end = int(number), time.monotonic() + _PATIENCE
    while _start_time(pid) == started:
        if time.monotonic() > end:
            raise Stage1Error(f"process {pid} of the pod does not die")
        try:
            os.kill(pid, signal.SIGKILL)
        except ProcessLookupError:
            return
        time.sleep(0.002)


def _start_time(pid: int) -> str:
    """The start time of a process in clock ticks since boot, "" when it is gone or on its way.

    An anchor on its way has ended all others of its pid namespace, but stays until somebody has reaped every one of
    them; whose children they are by then may take its time, or never do it.
    """
    try:
        with open(f"/proc/{pid}/stat", encoding="utf-8", errors="replace") as file:
            fields = file.read().rpartition(")")[2].split()
    except OSError:
        return ""
    return "" if int(fields[6]) & _PF_EXITING else fields[19]
