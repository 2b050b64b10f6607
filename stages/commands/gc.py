"""`doit gc`: take away what is over: old pods, broken-off preparations, trees without a pod, garbage."""

from __future__ import annotations

import os
import sys
import time
from pathlib import Path
from typing import Any

from stages.base import stamp
from stages.commands import common
from stages.commands.sweep import Sweep
from stages.graph.terminal import Terminal
from stages.linux import locks
from stages.pod import facts, find, lifecycle, state
from stages.pod.facts import Facts
from stages.pod.find import Found
from stages.pod.state import State

_OPTIONS = (
    {"name": "grace", "long": "grace-period", "default": "30m", "type": str, "help": "keep what exited since (30m)"},
    {"name": "expire", "long": "expire-prepared", "default": "24h", "type": str, "help": "keep prepared pods (24h)"},
    {"name": "dryrun", "long": "dry-run", "short": "n", "default": False, "type": bool, "help": "only say what"},
)


class Gc(common.PodCommand):
    """Collect garbage. Never waits for a lock: what is in use is left for the next time."""

    doc_purpose = "remove exited pods, broken-off preparations, trees that no pod uses, and garbage"
    instead = "`doit rm pod=NAME` removes one pod"
    doc_usage = "[--grace-period 30m] [--expire-prepared 24h] [--dry-run]"
    cmd_options = _OPTIONS

    def do(self, options: Any, words: list[str]) -> int:
        data, sweep = common.data(), Sweep(common.data(), options["dryrun"])
        ages = {State.EXITED: common.seconds(options["grace"]), State.PREPARED: common.seconds(options["expire"])}
        if not os.path.exists(data.version):
            return 0
        code = common.each(find.every(data), lambda pod: _pod(sweep, pod, ages))
        with locks.tried(data.prepare_lock) as alone:
            if alone:
                sweep.trees()
            else:
                print("a pod is being prepared: trees are left for the next time", file=sys.stderr)
        code = max(code, sweep.garbage())
        sweep.unfinished()
        sweep.shifts()
        if sweep.size:
            print(f"{'would free' if sweep.dry else 'freed'} {common.size_text(sweep.size)}")
        return code


def _pod(sweep: Sweep, pod: Found, ages: dict[State, int]) -> None:
    """Take one pod away if it is over."""
    seen = stamp.at(pod.paths.phase)
    known = facts.of(pod.paths)
    if not _is_over(pod, known, ages):
        return
    descriptor = _held(pod)
    if descriptor is None:
        return
    try:
        # Judged without the lock; meanwhile somebody may have prepared or run it.
        if stamp.at(pod.paths.phase) == seen and sweep.takes(_titled(pod, known), pod.paths.root):
            lifecycle.remove(sweep.data, pod.paths, Terminal(sys.stderr))
    finally:
        state.release(descriptor)


def _is_over(pod: Found, known: Facts, ages: dict[State, int]) -> bool:
    if known.state not in ages:
        return known.state in (State.ABORTED, State.DELETING)
    since = known.ended if known.state is State.EXITED else _modified(pod.paths.phase)
    return time.time() - (since or 0) >= ages[known.state]


def _held(pod: Found) -> int | None:
    """The pod's lock, or None when somebody has it or the pod has gone."""
    try:
        return locks.try_lock(pod.paths.root)
    except FileNotFoundError:
        return None


def _titled(pod: Found, known: Facts) -> str:
    name = f" {pod.name}" if pod.name.isprintable() and pod.name else ""
    return f"pod {pod.uuid}{name} {known.state.value}"


def _modified(path: Path) -> float | None:
    try:
        return path.stat().st_mtime
    except OSError:
        return None
