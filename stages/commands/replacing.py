"""`run --replace`: a running pod ends once all is there that its spec says now, and not before."""

from __future__ import annotations

from stages.commands import with_packages
from stages.linux import child

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
    return child.run(lambda: _made_way(word, project, locked))


def _made_way(word: str, project: str, locked: bool | None) -> int:
    with_packages()
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

    return common.guarded(work)
