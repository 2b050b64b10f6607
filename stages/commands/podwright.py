"""The console scripts, `podwright` and a checkout's `doit`: a start that was made before is made again at once.

It is made from what was remembered of it, before doit is loaded, whichever of the two it is. Else `podwright run` asks
the same steps for the same verdicts, so all ways always agree; in every other case both are doit with its commands.
"""

from __future__ import annotations

import os
import sys

from stages.base import streams
from stages.commands import only_pod
from stages.pod import again

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable

    from stages.images.lockfile import Hold


def main() -> int:
    """The console script `podwright`. Does not return where the pod starts."""
    return _until_interrupted(_podwright)


def doit() -> int:
    """doit's console script, as tools/setup.sh has it. Does not return where the pod starts."""
    return _until_interrupted(_doit)


def _until_interrupted(work: Callable[[], int]) -> int:
    streams.ensure()
    try:
        return work()
    except KeyboardInterrupt:
        return 130


def _podwright() -> int:
    words = sys.argv[1:]
    pod = only_pod([word for word in words if word != "--locked"])
    if words[:1] == ["run"] and pod is not None and os.path.isfile("dodo.py"):
        code = _started(pod, locked="--locked" in words)
        if code is not None:
            return code
    _with_packages()
    from stages.commands.common import guarded
    from stages.commands.main import Main, look_once

    look_once()
    return guarded(lambda: int(Main().run(words) or 0))


def _doit() -> int:
    words = sys.argv[1:]
    pod = only_pod(words)
    if pod is not None and os.path.isfile("dodo.py"):
        code = again.start(os.getcwd(), pod, known_dodo=True, light=True)
        if code is not None:
            return code
    _with_packages()
    from doit.doit_cmd import DoitMain

    from stages.commands.main import look_once

    look_once()
    return int(DoitMain().run(words) or 0)


def _started(word: str, *, locked: bool) -> int | None:
    """Start the pod in the quickest way that there is; None when it takes doit."""
    code = None if locked else again.start(os.getcwd(), word, light=True)
    if code is not None:
        return code
    _with_packages()
    from stages.images.lockfile import Hold

    return _start(word, Hold.ALL if locked else Hold.AUTO)


def _with_packages() -> None:
    """Have what `site` has Python do at its start, if that was left out (tools/setup.sh): packages to import."""
    if sys.flags.no_site and "site" not in sys.modules:
        import site

        site.main()


def _start(word: str, hold: Hold) -> int | None:
    """Start the pod if it is prepared and everything is fresh. None: let doit do it, or tell what is wrong."""
    from pathlib import Path

    from stages.base.errors import PodwrightError
    from stages.graph import session, steps
    from stages.pod import state
    from stages.pod.state import Phase

    try:
        context = session.chosen(word, Path.cwd(), hold=hold)
        # Without overlay the roots of the last run go with it, and have to be made again.
        if state.phase(context.pod) not in ((Phase.RUN, Phase.PREPARED) if context.overlay else (Phase.PREPARED,)):
            return None
        session.take(context)
        known = list(steps.every(context))
        if not all(session.verdict(step).fresh for step in known if step.prepares):
            session.HANDOVER.forget()
            return None
        session.begin(context)
        # Without overlay there is nothing to mount, as in the graph.
        values = [step.run() for step in known if not step.prepares and not step.verdict().fresh]
    except (PodwrightError, OSError):
        session.HANDOVER.forget()
        return None
    session.HANDOVER.by_command = True
    session.remember(word, values[-1], dodo=False)
    session.HANDOVER.plan(values[-1])
    return session.HANDOVER.perform()


if __name__ == "__main__":
    sys.exit(main())
