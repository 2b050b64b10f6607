"""`doit why`: for every task of a pod, fresh, or what is not as it was."""

from __future__ import annotations

import contextlib
import os
from typing import Any

from doit.cmd_base import DoitCmdBase

from stages.base.errors import PodwrightError
from stages.base.verdict import Verdict
from stages.commands import common
from stages.commands.locked import LOCKED, hold
from stages.commands.nowhere import InProject
from stages.graph import session


class Why(InProject, DoitCmdBase):  # type: ignore[misc]
    """Say why tasks would run. Changes nothing and takes no lock."""

    doc_purpose = "say for every task of a pod whether it is fresh, or why not"
    doc_usage = "pod=NAME [--locked]"
    cmd_options = (common.FORMAT_OPTION, LOCKED)

    def execute(self, params: Any, args: list[str]) -> Any:
        """As doit's, which loads the tasks: told first that nothing will be run."""
        session.HANDOVER.only_reading = True
        session.HANDOVER.hold = hold(params)
        return common.guarded(lambda: self._load(params, args))

    def _load(self, params: Any, args: list[str]) -> int:
        if args:
            raise PodwrightError(f"which pod is {args[0]!r}?", hint=f"`doit why pod={args[0]}`", reason="bad-word")
        # Said at once, rather than for every task.
        with contextlib.suppress(FileNotFoundError):
            os.scandir(common.data().pods).close()
        return int(super().execute(params, args))

    def _execute(self, format: str, locked: bool | None) -> int:
        told = told_of(self.task_list)
        if not told:
            raise PodwrightError("which pod?", hint="name it: doit why pod=NAME", reason="no-pod")
        if format == "json":
            common.show_json(told)
            return 0
        rows = []
        for one in told:
            lines = [f"after {', '.join(one['after'])}"] if one["after"] else []
            lines += [_line(reason) for reason in one["reasons"]] or ([] if lines else ["fresh"])
            rows += [(one["task"] if position == 0 else "", line) for position, line in enumerate(lines)]
        common.show(rows)
        return 0


def told_of(tasks: list[Any]) -> list[dict[str, Any]]:
    """For each step, in order: task, fresh, after (stale tasks that come before it), reasons (what, old, new).

    A step after a stale one may change with it; what is told of it is as things stand.
    """
    steps = {task.name: task.meta["step"] for task in tasks if task.meta and "step" in task.meta}
    deps = {task.name: _expanded(task.task_dep, tasks) for task in tasks}
    stale: set[str] = set()
    told = []
    for name in _ordered(steps, deps):
        verdict: Verdict = steps[name].verdict()
        waits = [one for one in deps[name] if one in stale] if steps[name].prepares else []
        if waits or not verdict.fresh:
            stale.add(name)
        reasons = [] if waits and not _told_apart(verdict) else [reason._asdict() for reason in verdict.reasons]
        told.append({"task": name, "fresh": verdict.fresh and not waits, "after": waits, "reasons": reasons})
    return told


def _told_apart(verdict: Verdict) -> bool:
    """Whether a reason names an input that changed, rather than something that only an earlier task can bring."""
    return any(reason.old or reason.new for reason in verdict.reasons)


def _ordered(steps: dict[str, Any], deps: dict[str, list[str]]) -> list[str]:
    """The steps, each after those it waits for, else in the order of dodo.py."""
    ordered: list[str] = []

    def visit(name: str) -> None:
        for before in deps[name]:
            if before in steps and before not in ordered:
                visit(before)
        if name not in ordered:
            ordered.append(name)

    for name in steps:
        visit(name)
    return ordered


def _expanded(names: list[str], tasks: list[Any]) -> list[str]:
    """Task names with groups replaced by their members."""
    groups = {task.name: list(task.task_dep) for task in tasks if task.has_subtask}
    return [one for name in names for one in groups.get(name, [name])]


def _line(reason: dict[str, str]) -> str:
    old, new = reason["old"], reason["new"]
    if reason["what"].endswith(("ctime", "mtime")):
        old, new = _moment(old), _moment(new)
    changed = f": {old} -> {new}" if old or new else ""
    return reason["what"] + changed


def _moment(written: str) -> str:
    """Nanoseconds since the epoch as a time of the day; other words as they are."""
    import datetime

    if not (written.isdecimal() and 18 <= len(written) <= 19):
        return written
    return datetime.datetime.fromtimestamp(int(written) // 1_000_000 / 1000).isoformat(" ", "milliseconds")
