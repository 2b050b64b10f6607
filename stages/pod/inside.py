"""The mount namespace of a running pod: which process has it, and the way in.

A pod's root file systems are mounted where stage1's init runs and nowhere else. rkt mounted them on the host, so its
stage1's `enter` and `stop` find them below their working directory; ours find them there once they have joined.
"""

from __future__ import annotations

import contextlib
import os

from stages.base import files
from stages.base.paths import PodPaths
from stages.linux import kernel, process


def note(pod: PodPaths) -> None:
    """Write down who is about to become stage1's init: this process."""
    files.publish(pod.init, f"{os.getpid()} {process.started(os.getpid())}".encode(), durable=False)


def join(pod: PodPaths) -> None:
    """See the host as stage1's init does, with the pod's directory as working directory. Raises OSError.

    Where init is gone (a stage1 may go on in the background) the processes of its files are asked. Where none is of
    another namespace with the pod in it, only the directory changes.
    """
    for pid in _candidates(pod):
        with contextlib.suppress(FileNotFoundError, ProcessLookupError):  # it ended while it was looked at
            if _joined(pod, pid):
                break
    os.chdir(pod.root)


def _candidates(pod: PodPaths) -> list[int]:
    """Who may have the pod's mounts, the likeliest first: init, then what stage1 wrote, the parent before the pod."""
    words = [(files.read_small(path, 64) or b"").strip() for path in (pod.ppid, pod.pid)]
    found = [_init(pod) or 0, *(int(word) for word in words if word.isdigit())]
    # A process that has ended and was not waited for has no namespaces.
    return [pid for pid in found if pid and os.path.exists(f"/proc/{pid}/ns/mnt")]


def _joined(pod: PodPaths, pid: int) -> bool:
    """Join the mount namespace of a process, unless it is ours, or the pod is not to be seen there: an app's own."""
    if os.readlink(f"/proc/{pid}/ns/mnt") == os.readlink("/proc/self/ns/mnt"):
        return False
    own = os.open("/proc/self/ns/mnt", os.O_RDONLY | os.O_CLOEXEC)
    namespace = os.open(f"/proc/{pid}/ns/mnt", os.O_RDONLY | os.O_CLOEXEC)
    try:
        here = os.stat(pod.root)
        kernel.setns(namespace, kernel.CLONE_NEWNS)
        try:
            if os.path.samestat(os.stat(pod.root), here):
                return True
        except OSError:
            pass
        kernel.setns(own, kernel.CLONE_NEWNS)
        return False
    finally:
        os.close(namespace)
        os.close(own)


def _init(pod: PodPaths) -> int | None:
    """The noted process, if it still is the one that was noted: ids of processes are used again."""
    pid, _, started = (files.read_small(pod.init) or b"").decode(errors="replace").partition(" ")
    return int(pid) if pid.isdecimal() and started and process.started(int(pid)) == started else None
