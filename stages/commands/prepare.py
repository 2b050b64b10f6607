"""`doit prepare`: bring pods up to the point where only the start is left."""

from __future__ import annotations

import importlib
import multiprocessing
import os
import sys
from pathlib import Path
from typing import Any, NoReturn

from doit.doit_cmd import DoitMain

from stages.base.errors import PodError, SpecError
from stages.commands import common
from stages.commands.locked import LOCKED
from stages.commands.main import look_once
from stages.linux import kernel
from stages.spec.catalog import Catalog

_LAST = "manifest"
# Seconds in which who prepares a pod ends by itself, if it was interrupted with us.
_GRACE = 1.0
_NEEDED = (
    *("sqlite3", "stages.commands.run", "stages.graph.listing", "stages.graph.reporter", "stages.graph.tasks"),
    *("stages.copy_stage1", "stages.import_image", "stages.mount_overlay", "stages.render_app", "stages.render_tree"),
    *("stages.start_init", "stages.write_manifest"),
)


class Prepare(common.PodCommand):
    """Prepare pods without starting them."""

    doc_purpose = "prepare the pods of this project, or those that are named, without starting them"
    doc_usage = "[--locked] [pod=NAME | NAME...]"
    cmd_options = (LOCKED,)

    def do(self, options: Any, words: list[str]) -> int:
        if self.dodo is None:
            raise SpecError("no project here", hint="run it in a folder with dodo.py and pods/", reason="no-project")
        held = {True: ["--locked"], False: ["--no-locked"], None: []}[options["locked"]]
        catalog, dodo = Catalog(self.dodo.parent, common.data().cache), self.dodo
        asked = common.pods_asked(words)
        # A faulty spec is prepared too, as far as hearing what is wrong with it goes.
        known = [one.uid or one.path.stem for one in catalog.entries()]
        _load()
        return common.each(asked or known, lambda word: _prepare(dodo, catalog.select(word).name, held))


def _prepare(dodo: Path, pod: str, held: list[str]) -> None:
    """One pod, by a doit of its own: a process prepares one pod. Raises PodError when that failed, and has said why."""
    words = ["-f", str(dodo), "run", *held, f"pod={pod}", _LAST]
    process = multiprocessing.get_context("fork").Process(target=_doit, args=(os.getpid(), dodo.parent, words))
    process.start()
    try:
        process.join()
    except KeyboardInterrupt:
        process.join(_GRACE)  # at a terminal it was interrupted too, and leaves things as they should be
        process.terminate()
        process.join()
        raise
    if process.exitcode:
        raise PodError(f"pod {pod} was not prepared", reason="not-prepared")
    print(f"{pod} is prepared", flush=True)


def _doit(parent: int, project: Path, words: list[str]) -> NoReturn:
    kernel.die_with(parent)
    sys.exit(common.guarded(lambda: _run(project, words)))


def _run(project: Path, words: list[str]) -> int:
    os.chdir(project)
    os.dup2(os.open(os.devnull, os.O_RDONLY), 0)  # what the caller has there is for whoever comes after us
    sys.argv[1:] = words
    return int(DoitMain().run(words) or 0)


def _load() -> None:
    """Load what every process that prepares a pod needs: it is forked, and has it."""
    look_once()
    for name in _NEEDED:
        importlib.import_module(name)
