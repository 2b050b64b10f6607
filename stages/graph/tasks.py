"""The steps of a pod as doit tasks: a verb module, asked whether it is fresh, and run when it is not."""

from __future__ import annotations

import contextlib
import functools
from collections.abc import Callable, Iterator, Sequence
from types import ModuleType
from typing import Any

from doit.exceptions import InvalidCommand, TaskFailed

from stages.base.errors import PodwrightError, worded
from stages.graph import session
from stages.graph.steps import Step
from stages.pod.context import Context

Row = dict[str, Any]
Rows = Iterator[Row | None]


def row(
    verb: ModuleType,
    context: Context | None,
    *arguments: str,
    after: Sequence[str] = (),
    saved: Callable[[dict[str, Any]], None] | None = None,
) -> Row | None:
    """A task of doit; none when no pod was named. arguments: the app's name, for a task that has one row an app.

    after: the tasks that come before. saved: called in the main process with the task's values once it ended well
    (workers' memory is not ours).
    """
    if context is None:
        return None
    step = Step(verb, context, arguments)
    task: Row = {
        "actions": [(_do, (step,))],
        "uptodate": [functools.partial(_is_fresh, step=step, saved=saved)],
        "task_dep": list(after),
        "doc": (verb.__doc__ or "").partition("\n")[0].partition(": ")[2].rstrip("."),
        "meta": {"step": step},
        "verbosity": 2,
    }
    if arguments:
        task["name"] = arguments[0]
    if hasattr(verb, "clean"):
        task["clean"] = [(_clean, [step])]
    return task


def rows(verb: ModuleType, context: Context | None, names: str, after: str = "") -> Rows:
    """A row for each name that the context's attribute `names` lists, after the tasks that its method `after` names."""
    if context is not None:
        for name in getattr(context, names):
            yield row(verb, context, name, after=getattr(context, after)(name) if after else ())


def _is_fresh(task: Any, values: dict[str, Any], *, step: Step, saved: Callable[..., None] | None) -> bool:
    """doit's question, the first sign that the command line is right. It comes after the tasks before this one ran."""
    _begin(step)
    if saved is not None:
        task.value_savers.append(lambda: saved(task.values) or {})
    return session.verdict(step).fresh


def _begin(step: Step) -> None:
    try:
        session.begin(step.context)
    except (PodwrightError, OSError) as error:
        raise InvalidCommand(worded(error).text()) from error


def _do(step: Step) -> Any:
    """doit's action: a person's mistake becomes a failed task with a sentence, not a traceback."""
    try:
        return step.run()
    except (PodwrightError, OSError) as error:
        return TaskFailed(worded(error).text(), report=False)


def _clean(step: Step, dryrun: bool) -> TaskFailed | None:
    """doit's action of `clean`; as _do, of what it cannot do."""
    if dryrun:
        return None
    try:
        session.begin(step.context)
        with contextlib.suppress(FileNotFoundError):
            step.clean()
    except (PodwrightError, OSError) as error:
        return TaskFailed(f"{step!r}: {worded(error).text()}\n", report=False)
    return None
