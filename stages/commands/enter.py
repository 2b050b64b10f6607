"""`doit enter`: run a command in a running pod, confined as the app is."""

from __future__ import annotations

import os
import sys
from typing import Any

from stages.base.errors import PodError
from stages.commands import common
from stages.graph import words as variables
from stages.linux import process
from stages.pod import facts, find, inside, lifecycle, stage1

_APP = {"name": "app", "long": "app", "short": "a", "default": "", "type": str, "help": "which app, if several"}
_DEFAULT = ["/bin/sh"]


class Enter(common.PodCommand):
    """Run something beside an app."""

    doc_purpose = "run a command in a running pod, with an app's own confinement"
    doc_usage = "pod=NAME [--app APP] [-- COMMAND ARGS...]"
    cmd_options = (_APP,)
    carries_command = True

    def do(self, options: Any, words: list[str]) -> int:
        variable = variables.pod()
        if len(words) > (variable is None):
            hint = "it comes after `--`: doit enter pod=NAME -- COMMAND ARGS..."
            raise PodError(f"is {words[-1]!r} the command?", hint=hint, reason="no-dashes")
        pod = find.one(common.data(), self.project, variable or "".join(words))
        pid = facts.entered_pid(pod.paths)
        if pid is None:
            hint = find.namesakes(common.data(), pod) or f"`doit run pod={pod.called}` starts it"
            raise PodError(f"pod {pod.called} isn't currently running", hint=hint, reason="not-running")
        app = _app(facts.of(pod.paths).apps, options["app"])
        entrypoint = stage1.interface(pod.paths).entrypoint("enter")
        root = lifecycle.stage1_root(common.data(), pod.paths)
        program = stage1.program(root, entrypoint)
        argv = [program, f"--pid={pid}", f"--appname={app}", "--", *(variables.behind_dashes() or _DEFAULT)]
        sys.stdout.flush()
        inside.join(pod.paths)
        process.default_signals()
        try:
            os.execv(stage1.executable(root, program), argv)
        except OSError as error:
            raise PodError(f"cannot execute stage1's program {program}: {error.strerror}", reason="enter") from error


def _app(apps: tuple[str, ...], asked: str) -> str:
    if asked:
        if asked not in apps:
            raise PodError(f"no app {asked!r} in the pod", hint=f"there is {', '.join(apps)}", reason="no-app")
        return asked
    if len(apps) != 1:
        raise PodError("which app?", hint=f"--app with one of: {', '.join(apps)}", reason="which-app")
    return apps[0]
