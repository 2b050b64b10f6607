"""`doit new`: make a folder a project."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from stages.base import files, shipped
from stages.base.errors import PodwrightError, shown
from stages.commands import common
from stages.graph.project import DODO
from stages.spec.catalog import FOLDER


class New(common.PodCommand):
    """Make a project."""

    doc_purpose = "make a folder a project: a dodo.py with the tasks, and a folder for specs"
    doc_usage = "[--overwrite] [FOLDER]"
    doc_description = "What is there already stays. --overwrite replaces a dodo.py that is another, as after an update."
    cmd_options = (common.OVERWRITE,)

    def do(self, options: Any, words: list[str]) -> int:
        if len(words) > 1 or common.pods_asked([]):
            raise PodwrightError("usage: doit new [FOLDER]", reason="bad-word")
        folder = Path(*words or ".")
        dodo, ours = folder / DODO, Path(shipped.path(DODO)).read_bytes()
        found = files.read_or_none(dodo)
        if found not in (None, ours) and not options["overwrite"]:
            hint = "its own tasks may be what it is for; --overwrite replaces it"
            raise PodwrightError(f"{dodo} is there, and another than ours", hint=hint, reason="exists")
        files.make_directory(folder.absolute() / FOLDER)
        if found != ours:
            files.publish(dodo.absolute(), ours, 0o644)
        what = f"{folder.absolute()} is a project: specs go to {folder / FOLDER}/NAME.yaml, `doit check` reads them"
        print(shown(what))
        return 0
