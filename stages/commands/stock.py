"""doit's own commands, which print or work on what doit remembers: they end without traceback."""

from __future__ import annotations

import dbm
import signal
import sqlite3
from typing import Any

from doit.cmd_clean import Clean as DoitClean
from doit.cmd_dumpdb import DumpDB as DoitDumpDB
from doit.cmd_forget import Forget as DoitForget
from doit.cmd_resetdep import ResetDep as DoitResetDep
from doit.exceptions import InvalidCommand

from stages.base.errors import FULL, worded
from stages.commands.nowhere import InProject


class Told(InProject):
    """A mixin: doit shows what is raised as InvalidCommand as a sentence, and everything else as a traceback.

    Where nobody reads on, the command ends in silence, as others do.
    """

    def parse_execute(self, in_args: list[str]) -> int:
        """As doit's. Raises InvalidCommand where its database, or what it prints, cannot be read or written."""
        signal.signal(signal.SIGPIPE, signal.SIG_DFL)
        try:
            return super().parse_execute(in_args)
        except sqlite3.Error as error:
            hint = "was the pod removed meanwhile? `doit ps` lists those that are there"
            raise InvalidCommand(f"doit's database cannot be used: {error}\n  hint: {hint}") from error
        except OSError as error:
            if error.errno not in FULL:
                raise  # a fault of the project's own tasks
            raise InvalidCommand(worded(error).text()) from error


class Clean(Told, DoitClean):  # type: ignore[misc]
    """What preparation made of a pod goes."""

    doc_usage = "pod=NAME [TASK...]"


class Forget(Told, DoitForget):  # type: ignore[misc]
    """What doit remembers goes."""

    doc_usage = "pod=NAME [TASK...]"


class ResetDep(Told, DoitResetDep):  # type: ignore[misc]
    """What doit remembers is made anew."""

    doc_usage = "pod=NAME [TASK...]"


class DumpDB(Told, DoitDumpDB):  # type: ignore[misc]
    """doit's database, of the kind that it has where it is told nothing else."""

    def execute(self, opt_values: Any, args: list[str]) -> int:
        """As doit's. Raises InvalidCommand where there is no such database: a pod's is of another kind."""
        try:
            return int(super().execute(opt_values, args) or 0)
        except dbm.error as error:
            if isinstance(error, OSError) and error.errno in FULL:
                raise
            hint = "a pod's is sqlite's, in the pod's directory; `doit info pod=NAME TASK` tells of a task"
            raise InvalidCommand(f"{opt_values['dep_file']} is no database of dbm's\n  hint: {hint}") from error
