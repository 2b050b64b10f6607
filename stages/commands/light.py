"""Our commands without doit, where it would add nothing: it takes three times as long to load as they take."""

from __future__ import annotations

import os
from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING

from stages.commands import DODO_VARIABLE
from stages.graph import project, words

if TYPE_CHECKING:
    from stages.commands.common import PodCommand

# The commands that need none of a project's tasks: each has a module of its name, with this class.
COMMANDS = {
    "bundle": "Bundle",
    "check": "Check",
    "doctor": "Doctor",
    "enter": "Enter",
    "gc": "Gc",
    "images": "Images",
    "lock": "LockCommand",
    "new": "New",
    "prepare": "Prepare",
    "ps": "Ps",
    "rm": "Rm",
    "status": "Status",
    "stop": "Stop",
    "trust": "Trust",
    "unbundle": "Unbundle",
    "verify": "Verify",
}


def command(word: str) -> type[PodCommand]:
    """The class behind a word of COMMANDS."""
    found: type[PodCommand] = getattr(import_module(f"stages.commands.{word}"), COMMANDS[word])
    return found


def run(line: list[str]) -> int | None:
    """Do what a command line says. Exit code; None when it is for doit, which may have options of its own here."""
    asked = words.others(line)
    if not asked or asked[0] not in COMMANDS or _has_options():
        return None
    return command(asked[0])().main(asked[1:], {})


def _has_options() -> bool:
    """Whether doit may have options here; what it could not read either has none."""
    try:
        return DODO_VARIABLE in os.environ or project.has_options(Path.cwd())
    except OSError:
        return False
