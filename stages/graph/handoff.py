"""The hand-over: when doit is done and its state is saved, this process becomes the pod's init.

doit writes its state once, when a run ends, so an exec inside an action would forget the whole run. The last task
therefore only leaves a plan; it is carried out by our `run` command after doit has returned, or, where only stock
doit is installed, by an exit handler.
"""

from __future__ import annotations

import atexit
import contextlib
import os
import sys
from pathlib import Path
from typing import Any, NoReturn

from stages.base.errors import PodwrightError, StartError, worded
from stages.graph.terminal import tell
from stages.images.lockfile import Hold
from stages.linux import process


class Handover:
    """What this process knows of its run: one for the process, as there is one process to replace.

    by_command: our `run` is in charge, and will perform. only_reading: another command of ours loads the tasks.
    hold: what the lock file counts for, as the command was told.
    lock_fd: the pod's lock, once it is taken; made_for_lock: the pod's directory, if there was none before. begun: an
    old run is cleared away. prepare_lock: the store's, shared; it ends with the exec, when the pod's directory names
    the trees that it uses.
    """

    def __init__(self) -> None:
        self.by_command = False
        self.only_reading = False
        self.hold = Hold.AUTO
        self.made_for_lock: Path | None = None
        self.begun = False
        self.lock_fd: int | None = None
        self.prepare_lock: int | None = None
        self.plans: list[dict[str, Any]] = []

    def forget(self) -> None:
        """Give the locks back: somebody else will take them again."""
        for descriptor in (self.lock_fd, self.prepare_lock):
            if descriptor is not None:
                os.close(descriptor)
        self.lock_fd = self.prepare_lock = self.made_for_lock = None
        self.begun = False

    def plan(self, values: dict[str, Any]) -> None:
        """The last task ended well: remember its plan; without our command, carry it out at exit."""
        self.plans.append(values)
        if not self.by_command:
            atexit.register(lambda: os._exit(self.perform()))

    def perform(self) -> int:
        """Become the init of the one planned pod. Returns only with an exit code: 0 nothing planned, else failed."""
        if not self.plans:
            return 0
        assert len(self.plans) == 1, "one selected pod has one init"
        try:
            self._become(self.plans[0])
        except (PodwrightError, OSError) as error:
            _say(worded(error).text())
            return worded(error).exit_code

    def _become(self, plan: dict[str, Any]) -> NoReturn:
        from stages.pod import stage1, start

        assert self.lock_fd is not None, "the lock is taken before the first task"
        program, argv = start.ready(plan, os.environ, _say)
        environment = stage1.environment(os.environ, self.lock_fd, plan["labels"])
        for stream in (sys.__stdout__, sys.__stderr__):
            if stream is not None:
                with contextlib.suppress(OSError):  # as in tell
                    stream.flush()
        try:
            process.become(program, argv, environment, plan["pod"], self.lock_fd)
        except StartError:
            start.failed(plan, os.environ)
            raise


def _say(line: str) -> None:
    tell(sys.__stderr__, f"podwright: {line}")
