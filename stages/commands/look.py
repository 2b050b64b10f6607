"""`doit list` and `doit info`: doit's own, which look at what doit remembers and leave it alone."""

from __future__ import annotations

import contextlib
import sqlite3
from pathlib import Path
from typing import Any

from doit import get_var
from doit.cmd_base import check_tasks_exist
from doit.cmd_info import Info as DoitInfo
from doit.cmd_list import List as DoitList
from doit.dependency import SqliteDB
from doit.exceptions import InvalidCommand

from stages.commands.stock import Told

_IN_MEMORY = ":memory:"


class Remembered(SqliteDB):  # type: ignore[misc]
    """What doit remembers of a pod, in memory. Its file may go, with the pod's directory, before it is opened."""

    def _sqlite3(self, name: str) -> sqlite3.Connection:
        made: sqlite3.Connection = super()._sqlite3(_IN_MEMORY)
        with contextlib.suppress(sqlite3.Error), contextlib.closing(_opened(name)) as kept:
            made.executemany("insert into doit values (?, ?)", kept.execute("select task_id, task_data from doit"))
        return made


class _Looking(Told):
    """A mixin of doit's commands that need no more of its database than what is in it."""

    def get_backends(self) -> dict[str, Any]:
        """doit's, with one that only reads."""
        base: Any = super()
        return {**base.get_backends(), "sqlite3": Remembered}


class List(_Looking, DoitList):  # type: ignore[misc]
    """The tasks of a pod, or of the project."""

    doc_usage = "[pod=NAME] [TASK...]"


class Info(_Looking, DoitInfo):  # type: ignore[misc]
    """One task."""

    doc_usage = "pod=NAME TASK"

    def _execute(self, pos_args: list[str], hide_status: bool = False) -> int:
        """As doit's, which takes it that there is such a task."""
        if len(pos_args) == 1 and get_var("pod") is None and pos_args[0] not in {one.name for one in self.task_list}:
            hint = f"tasks are a pod's: `doit info pod=NAME {pos_args[0]}`"
            raise InvalidCommand(f"no task {pos_args[0]!r}\n  hint: {hint}")
        check_tasks_exist({one.name: one for one in self.task_list}, pos_args)
        return int(super()._execute(pos_args, hide_status) or 0)


def _opened(name: str) -> sqlite3.Connection:
    return sqlite3.connect(f"{Path(name).absolute().as_uri()}?mode=ro", uri=True)
