"""`run --replace`: a running pod ends once all is there that its spec says now, and not before."""

from __future__ import annotations

import os
import sys

from stages.commands import with_packages

REPLACE = {
    "name": "replace",
    "long": "replace",
    "default": False,
    "type": bool,
    "help": "if the pod runs, bring what its spec says now, and end it, before it is run",
}


def make_way(word: str, project: str, locked: bool | None) -> int:
    """End the pod that a word means, if it runs. Exit code, what is wrong has been told; 0: nobody has it any more.

    By a process of its own: this one stays as small as it is, for the start. Where the tasks are not ours alone
    nothing is brought before the pod ends: we do not know what makes its images.
    """
    us, child = os.getpid(), os.fork()
    if child == 0:
        code = 1
        try:
            with_packages()
            from stages.linux import kernel

            kernel.die_with(us)
            code = _made_way(word, project, locked)
        finally:
            os._exit(code)
    try:
        return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
    except KeyboardInterrupt:
        os.waitpid(child, 0)  # at a terminal it was interrupted too
        raise


def _made_way(word: str, project: str, locked: bool | None) -> int:
    from pathlib import Path

    from stages.commands import common, stop
    from stages.commands.locked import hold
    from stages.graph import direct
    from stages.pod import find, state
    from stages.pod.state import State

    def work() -> int:
        pod, place = find.one(common.data(), Path(project), word), Path(project)
        if state.state(pod.paths) is not State.RUNNING:
            return 0
        code = direct.bring(word, place, hold({"locked": locked})) if direct.is_ours(place) else 0
        if code == 0:
            stop.end(pod)
        return code

    try:
        return common.guarded(work)
    finally:
        sys.stdout.flush()
        sys.stderr.flush()
