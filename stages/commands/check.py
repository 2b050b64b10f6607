"""`doit check`: is every spec right? All problems at once, with their places."""

from __future__ import annotations

import os
import sys
from pathlib import Path
from typing import Any

from stages.base.errors import ImageError, PodError, PodwrightError, SpecError
from stages.commands import common
from stages.commands.locked import LOCKED, hold
from stages.graph import words as variables
from stages.images.lockfile import Hold
from stages.pod.context import Context
from stages.spec import names, parse
from stages.spec.catalog import Catalog, Entry


class Check(common.PodCommand):
    """Validate the specs."""

    doc_purpose = "validate every spec in pods/, or the one of pod=, and their lock files"
    doc_usage = "[--locked] [pod=NAME]"
    cmd_options = (LOCKED,)

    def do(self, options: Any, words: list[str]) -> int:
        project = self.needed().parent
        if words:
            raise PodwrightError(f"which pod is {words[0]!r}?", hint=f"`doit check pod={words[0]}`", reason="bad-word")
        # Asked of the files as they are, not of what is remembered of them.
        catalog = Catalog(project)
        entries = _entries(catalog, variables.pod())
        troubles = (_trouble(catalog, one) or _unlocked(project, one, hold(options)) for one in entries)
        told = [text for text in troubles if text]
        for text in dict.fromkeys(told):
            print(text, file=sys.stderr)
        print(f"{len(entries) - len(told)} of {len(entries)} specs are right")
        return 1 if told else 0


def _entries(catalog: Catalog, word: str | None) -> list[Entry]:
    """All specs, or those that the word may mean: a faulty one can be asked for by its name and by its file's."""
    found = catalog.entries()
    if word is None:
        return found
    named = [one for one in found if word and word in (one.name, one.uid, one.path.stem)]
    if named:
        return named
    uid = catalog.select(word).uid
    return [one for one in found if one.uid == uid]


def _trouble(catalog: Catalog, entry: Entry) -> str:
    """What is wrong with a spec, problem by problem, or that another one is called the same; "" when nothing is."""
    try:
        parse.load(entry.path)
        catalog.select(names.uuid(entry.uid) or entry.name)
    except SpecError as error:
        return error.text()
    except OSError as error:
        return f"{parse.shown(entry.path)}: cannot be read: {error.strerror}"
    return ""


def _unlocked(project: Path, entry: Entry, hold: Hold) -> str:
    """What keeps a good spec from being held to its lock file, if it is to be; "" when nothing does."""
    try:
        spec = parse.load(entry.path)
        Context(project, common.data(), spec, dict(os.environ), reading=True, hold=hold).check_lock()
    except (ImageError, PodError) as error:
        return f"{parse.shown(entry.path)}: {error.text()}"
    return ""
