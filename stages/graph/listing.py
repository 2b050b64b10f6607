"""The task of plain `doit`: it lists the project's pods and runs nothing."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

from doit.exceptions import TaskFailed

from stages.base import data as data_dirs
from stages.base import streams
from stages.base.errors import PodwrightError, shown, worded
from stages.base.paths import PodPaths
from stages.graph.project import EMPTY
from stages.pod import state
from stages.spec.catalog import Catalog


def task(project: Path) -> dict[str, Any]:
    """A task that prints one line for every pod, and for every spec that cannot be read."""
    return {"actions": [(_told, (project,))], "uptodate": [False], "verbosity": 2}


def _told(project: Path) -> TaskFailed | None:
    """doit's action: what goes wrong is a sentence, not a traceback."""
    try:
        show(project)
    except (PodwrightError, OSError) as error:
        return TaskFailed(worded(error).text(), report=False)
    return None


def show(project: Path) -> None:
    """Print the list to stdout. Raises HostError, OSError."""
    data = data_dirs.of_user()
    lines = []
    for entry in Catalog(project, data.cache).entries():
        if entry.problem:
            lines.append(shown(f"{entry.path.name}: {entry.problem}"))
        else:
            lines.append(f"{entry.name:<20} {entry.uid}  {_state(data.pod(entry.uid))}")
    lines += ["", "start one with: doit run pod=NAME"] if lines else [EMPTY]
    try:
        print("\n".join(lines), file=sys.__stdout__, flush=True)
    except BrokenPipeError:
        streams.drop_output()  # whoever read us has enough


def _state(pod: PodPaths) -> str:
    try:
        return state.state(pod).value
    except PermissionError:
        return "(only root may look)"
