"""What a run tells on stderr: a line for a task that did work, a bar for a long one, a sentence for a failure."""

from __future__ import annotations

import time
from typing import Any, TextIO

from doit.reporter import ConsoleReporter

from stages.graph.terminal import done, tell


class Reporter(ConsoleReporter):  # type: ignore[misc]
    """doit's reporter, quieter: nothing for what is fresh, one line with result and time for what was done."""

    desc = "podwright: one line for every task that did work"

    def __init__(self, outstream: TextIO, options: dict[str, Any]) -> None:
        super().__init__(outstream, options)
        self._started: dict[str, float] = {}

    def execute_task(self, task: Any) -> None:
        self._started[task.name] = time.monotonic()

    def add_success(self, task: Any) -> None:
        did = (task.values or {}).get("did")
        if did:
            seconds = time.monotonic() - self._started.get(task.name, time.monotonic())
            tell(self.outstream, done(task.name, did, seconds))

    def skip_uptodate(self, task: Any) -> None:
        """Nothing: what is fresh is not worth a line."""

    def add_failure(self, task: Any, fail: Any) -> None:
        if fail.report:
            super().add_failure(task, fail)
        else:
            tell(self.outstream, f"{task.name}: {fail.message}")
