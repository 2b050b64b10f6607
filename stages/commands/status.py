"""`doit status`: one pod, in lines that programs can read too."""

from __future__ import annotations

import time
from typing import Any

from stages.commands import common, ps
from stages.linux import locks
from stages.pod import facts
from stages.pod.state import State

_WAIT = {"name": "wait", "long": "wait", "default": False, "type": bool, "help": "wait until the pod has exited"}


class Status(common.PodCommand):
    """Tell of one pod."""

    doc_purpose = "state, times, pid and exit codes of a pod"
    doc_usage = "pod=NAME [--wait] [--format json]"
    cmd_options = (common.FORMAT_OPTION, _WAIT)

    def do(self, options: Any, words: list[str]) -> int:
        pod = self.chosen(words)
        if options["wait"]:
            # The kernel tells when the last process of stage1 is gone: nobody holds the lock any more.
            locks.wait(pod.paths.root)
        told = facts.of(pod.paths)
        if options["format"] == "json":
            common.show_json(ps.as_json(pod, told))
            return 0
        lines = [("uuid", pod.uuid), ("name", pod.name), ("state", told.state.value)]
        lines += [(key, _moment(when)) for key, when in (("created", told.created), ("started", told.started)) if when]
        if told.networks:
            lines.append(("networks", ", ".join(f"{name}:ip4={address}" for name, address in told.networks)))
        if told.pid is not None:
            lines.append(("pid", str(told.pid)))
        if told.state in (State.RUNNING, State.EXITED):
            lines.append(("exited", str(told.state is State.EXITED).lower()))
        lines += [(f"app-{app}", str(code)) for app, code in told.codes.items()]
        common.show([[f"{key}={value}"] for key, value in lines])
        return 0


def _moment(when: float) -> str:
    """A moment as rkt writes it, in this machine's time zone."""
    return time.strftime("%Y-%m-%d %H:%M:%S %z", time.localtime(when))
