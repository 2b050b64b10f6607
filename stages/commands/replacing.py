"""`run --replace`: a running pod ends once all is there that its spec says now, and not before."""

from __future__ import annotations

from stages.commands import with_packages
from stages.linux import child

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable

REPLACE = {
    "name": "replace",
    "long": "replace",
    "default": False,
    "type": bool,
    "help": "if the pod runs, bring what its spec says now, and end it, before it is run",
}


def make_way(word: str, project: str, locked: bool | None, understood: Callable[[], int] | None = None) -> int:
    """End the pod that a word means, if it runs. Exit code, what is wrong has been told; 0: nobody has it any more.

    By a process of its own: this one stays as small as it is, for the start. Where the tasks are not ours alone
    nothing is brought before the pod ends, only spec and tasks are read: we do not know what makes its images.

    understood: whether doit understands the command line, as an exit code. None where there are only words of ours;
    then a pod whose tasks are not ours alone is left for doit, which asks again.
    """
    return child.run(lambda: _made_way(word, project, locked, understood))


def _made_way(word: str, project: str, locked: bool | None, understood: Callable[[], int] | None) -> int:
    with_packages()
    from pathlib import Path

    from stages.commands import common, stop
    from stages.commands.locked import hold
    from stages.graph import direct
    from stages.pod import find, state
    from stages.pod.state import State

    def work() -> int:
        place = Path(project)
        pod = find.one(common.data(), place, word)
        if state.state(pod.paths) is not State.RUNNING:
            return 0
        ours, held = direct.is_ours(place), hold({"locked": locked})
        if understood is None and not ours:
            return 0
        if code := understood() if understood else 0:
            return code
        if not ours:
            direct.look(word, place, held)
        elif code := direct.bring(word, place, held):
            return code
        stop.end(pod)
        return 0

    return common.guarded(work)
