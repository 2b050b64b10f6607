"""`doit stop`: ask stage1 to end running pods."""

from __future__ import annotations

import subprocess
from typing import Any

from stages.base.errors import PodError
from stages.commands import common
from stages.linux import locks
from stages.pod import facts, inside, lifecycle, stage1, state
from stages.pod.find import Found
from stages.pod.state import State

PATIENCE = 60  # seconds
_OPTIONS = (
    {"name": "force", "long": "force", "default": False, "type": bool, "help": "kill, do not ask"},
    {"name": "no_wait", "long": "no-wait", "default": False, "type": bool, "help": "return at once"},
    {"name": "timeout", "long": "timeout", "default": "60s", "type": str, "help": "how long to wait for the end (60s)"},
)


class Stop(common.PodCommand):
    """End running pods."""

    doc_purpose = "end a running pod by stage1's stop entrypoint, and wait for its end"
    doc_usage = "pod=NAME | NAME... [--force] [--no-wait | --timeout 60s]"
    cmd_options = _OPTIONS

    def do(self, options: Any, words: list[str]) -> int:
        seconds = None if options["no_wait"] else common.seconds(options["timeout"])
        return self.each(words, lambda pod: _stop(pod, options["force"], seconds))


def _stop(pod: Found, force: bool, seconds: int | None) -> None:
    if not end(pod, force, seconds):
        print(f"pod {pod.called} is already stopped")


def end(pod: Found, force: bool = False, seconds: int | None = PATIENCE) -> bool:
    """End one pod, and wait for its end at most `seconds`; None: do not. False: it had ended. Raises PodError."""
    # Before stage1 has said who it is, it cannot be asked.
    facts.await_pid(pod.paths, PATIENCE if seconds is None else seconds)
    now = state.state(pod.paths)
    if now is State.EXITED:
        return False
    if now is not State.RUNNING:
        raise PodError(f"pod {pod.called} isn't currently running ({now.value})", reason="not-running")
    found = stage1.interface(pod.paths)
    if "stop" not in found.entrypoints:
        raise PodError(
            f"the stage1 of pod {pod.called} has no way to stop it",
            hint="its image names no `stop` entrypoint; end the process that `doit status` tells",
            reason="no-entrypoint",
        )
    root = lifecycle.stage1_root(common.data(), pod.paths)
    program = stage1.program(root, found.entrypoint("stop"))
    argv = [program, *(["--force"] if force else []), pod.uuid]
    done = subprocess.run(
        argv,
        executable=stage1.executable(root, program),
        preexec_fn=lambda: inside.join(pod.paths),
        stdin=subprocess.DEVNULL,
        check=False,
    )
    if done.returncode:
        raise PodError(f"stage1's stop of pod {pod.called} ended with {done.returncode}", reason="stop")
    if seconds is not None and not locks.wait(pod.paths.root, seconds):
        hint = f"wait for it with `doit status pod={pod.called} --wait`, or use --force"
        raise PodError(f"pod {pod.called} still runs after {seconds} seconds", hint=hint, reason="stop-timeout")
    return True
