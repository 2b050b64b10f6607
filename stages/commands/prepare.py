"""`doit prepare`: bring pods up to the point where only the start is left."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from typing import Any

from stages.base.errors import PodError, SpecError
from stages.commands import common
from stages.commands.locked import LOCKED
from stages.spec.catalog import Catalog

_LAST = "manifest"


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
        return common.each(asked or known, lambda word: _prepare(dodo, catalog.select(word).name, held))


def _prepare(dodo: Path, pod: str, held: list[str]) -> None:
    """One pod, by a doit of its own: a process prepares one pod. Raises PodError when that failed, and has said why."""
    argv = [sys.executable, "-m", "doit", "-f", str(dodo), "run", *held, f"pod={pod}", _LAST]
    code = subprocess.run(argv, cwd=dodo.parent, stdin=subprocess.DEVNULL, check=False).returncode
    if code:
        raise PodError(f"pod {pod} was not prepared", reason="not-prepared")
    print(f"{pod} is prepared", flush=True)
