"""`doit stop`: ask stage1 to end running pods."""

from __future__ import annotations

import subprocess
from typing import Any

from stages.base.errors import PodError
from stages.commands import common
from stages.linux import locks
from stages.pod import facts, find, inside, lifecycle, stage1, state
from stages.pod.find import Found
from stages.pod.state import State

# Seconds to wait for the end of a pod, beyond those that its spec gives the apps.
_PATIENCE = 60
_TIMEOUT_HELP = "how long to wait for the end (60s, and the seconds that the spec gives the apps)"
_OPTIONS = (
    {"name": "force", "long": "force", "default": False, "type": bool, "help": "kill, do not ask"},
    {"name": "no_wait", "long": "no-wait", "default": False, "type": bool, "help": "return at once"},
    {"name": "timeout", "long": "timeout", "default": "", "type": str, "help": _TIMEOUT_HELP},
)


class Stop(common.PodCommand):
    """End running pods."""

    doc_purpose = "end a running pod by stage1's stop entrypoint, and wait for its end"
    doc_usage = "pod=NAME | NAME... [--force] [--no-wait | --timeout 60s]"
    cmd_options = _OPTIONS

    def do(self, options: Any, words: list[str]) -> int:
        seconds = common.seconds(options["timeout"]) if options["timeout"] else None
        return self.each(words, lambda pod: _stop(pod, options["force"], seconds, not options["no_wait"]))


def _stop(pod: Found, force: bool, seconds: int | None, wait: bool) -> None:
    if not end(pod, force, seconds, wait):
        print(f"pod {pod.called} is already stopped")


def end(pod: Found, force: bool = False, seconds: int | None = None, wait: bool = True) -> bool:
    """End one pod, and wait for its end at most `seconds`, by default for longer than its apps may take.

    False: it had ended. Raises PodError.
    """
    now = state.state(pod.paths)
    if now is State.RUNNING:
        # Before stage1 has said who it is, it cannot be asked. Not before the state is known: it may begin meanwhile.
        facts.await_pid(pod.paths, _PATIENCE if seconds is None or not wait else seconds)
        now = state.state(pod.paths)
    if now is State.EXITED:
        return False
    if now is not State.RUNNING:
        hint = find.namesakes(common.data(), pod) if now is State.ABSENT else ""
        raise PodError(f"pod {pod.called} isn't currently running ({now.value})", hint=hint, reason="not-running")
    found = stage1.interface(pod.paths)
    if "stop" not in found.entrypoints:
        raise PodError(
            f"the stage1 of pod {pod.called} has no way to stop it",
            hint="its image names no `stop` entrypoint; end the process that `doit status` tells",
            reason="no-entrypoint",
        )
    patience = _PATIENCE + round(0 if force else facts.grace(pod.paths)) if seconds is None else seconds
    root = lifecycle.stage1_root(common.data(), pod.paths)
    program = stage1.program(root, found.entrypoint("stop"))
    code = _asked(pod, stage1.executable(root, program), [program, *(["--force"] if force else []), pod.uuid])
    if code:
        raise PodError(f"stage1's stop of pod {pod.called} ended with {code}", reason="stop")
    if wait and not locks.wait(pod.paths.root, patience):
        hint = f"wait for it with `doit status pod={pod.called} --wait`, or use --force"
        raise PodError(f"pod {pod.called} still runs after {patience} seconds", hint=hint, reason="stop-timeout")
    return True


def _asked(pod: Found, program: str, argv: list[str]) -> int:
    """Run stage1's stop where the pod's mounts are; how it ended. Raises PodError, OSError."""
    try:
        return subprocess.run(
            argv,
            executable=program,
            preexec_fn=lambda: inside.join(pod.paths),
            stdin=subprocess.DEVNULL,
            check=False,
        ).returncode
    except subprocess.SubprocessError as error:
        raise PodError(f"pod {pod.called} went while it was asked to end", reason="stop") from error
