"""`doit prepare`: bring pods up to the point where only the start is left."""

from __future__ import annotations

import importlib
import os
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

from stages.base.errors import PodError
from stages.commands import common
from stages.commands.locked import LOCKED, hold
from stages.graph import direct, project
from stages.graph import words as variables
from stages.images.lockfile import Hold
from stages.linux import child
from stages.spec.catalog import Catalog

_LAST = "manifest"
_HELD = {Hold.ALL: ["--locked"], Hold.REGISTRIES: ["--no-locked"], Hold.AUTO: []}
# What doit loads for a pod: a process that is forked later has it.
_NEEDED = ("sqlite3", "stages.commands.run", "stages.graph.listing", "stages.graph.reporter", "stages.graph.tasks")


class Prepare(common.PodCommand):
    """Prepare pods without starting them."""

    doc_purpose = "prepare the pods of this project, or those that are named, without starting them"
    doc_usage = "[--locked] [pod=NAME | NAME...]"
    cmd_options = (LOCKED,)
    loads_tasks = True

    def do(self, options: Any, words: list[str]) -> int:
        dodo, held = self.needed(), hold(options)
        catalog = Catalog(dodo.parent, common.data().cache)
        # A faulty spec is prepared too, as far as hearing what is wrong with it goes.
        asked = common.asked_or_all(words, catalog)
        way = _way(dodo, held)
        return common.each(asked, lambda word: _prepare(catalog.select(word).name, way))


def _way(dodo: Path, held: Hold) -> Callable[[str], int]:
    """How a pod is prepared, in a process of its own: for an exit code. By doit where the tasks are not ours alone."""
    if dodo.name == project.DODO and direct.is_ours(dodo.parent):
        return lambda pod: direct.prepare(pod, dodo.parent, held)
    from doit.doit_cmd import DoitMain

    from stages.commands.main import look_once

    look_once()
    for name in _NEEDED:
        importlib.import_module(name)

    def by_doit(pod: str) -> int:
        os.chdir(dodo.parent)
        sys.argv[1:] = line = ["-f", str(dodo), "run", *_HELD[held], *variables.own(), f"pod={pod}", _LAST]
        return int(DoitMain().run(line) or 0)

    return by_doit


def _prepare(pod: str, way: Callable[[str], int]) -> None:
    """One pod, by a process of its own: a process prepares one. Raises PodError when that failed, and has said why."""

    def work() -> int:
        os.dup2(os.open(os.devnull, os.O_RDONLY), 0)  # what the caller has there is for whoever comes after us
        return common.guarded(lambda: way(pod))

    if child.run(work):
        raise PodError(f"pod {pod} was not prepared", reason="not-prepared")
    print(f"{pod} is prepared", flush=True)
