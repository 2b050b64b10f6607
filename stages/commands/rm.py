"""`doit rm`: take pods away."""

from __future__ import annotations

import sys
from typing import Any

from stages.base.errors import PodError
from stages.commands import common
from stages.graph.terminal import Terminal
from stages.linux import locks
from stages.pod import find, lifecycle, state
from stages.pod.find import Found


class Rm(common.PodCommand):
    """Remove pods."""

    doc_purpose = "remove pods that do not run: directory, writable layers, range of user ids"
    doc_usage = "pod=NAME | NAME..."

    def do(self, options: Any, words: list[str]) -> int:
        return self.each(words, _remove)


def _remove(pod: Found) -> None:
    """Take one pod away and print its UUID. Raises PodError when somebody holds it or there is nothing."""
    try:
        descriptor = locks.try_lock(pod.paths.root)
    except (FileNotFoundError, NotADirectoryError) as error:
        hint = find.namesakes(common.data(), pod)
        raise PodError(f"pod {pod.called} is absent: there is nothing to remove", hint=hint, reason="absent") from error
    if descriptor is None:
        raise state.busy(pod.paths, pod.called)
    try:
        lifecycle.remove(common.data(), pod.paths, Terminal(sys.stderr))
    finally:
        state.release(descriptor)
    print(pod.uuid)
