"""The options of our commands, read as doit reads its own; they may come before, between and after the words."""

from __future__ import annotations

import getopt
from collections.abc import Mapping, Sequence
from typing import Any

from stages.base.errors import PodwrightError
from stages.commands import DODO_VARIABLE
from stages.graph.project import DODO

# What an option is: doit's description of one (doit.cmdparse.CmdOption). Its variable is read by doit alone.
Option = Mapping[str, Any]

_FILE = "the dodo.py of the project, if it is not the one here or in a folder above"
_DOITS = "doit's, and changes nothing here"
# doit's options for a project, of which only the first matters to commands that load no tasks.
OF_PROJECT: tuple[Option, ...] = (
    {
        "name": "dodoFile",
        "short": "f",
        "long": "file",
        "default": DODO,
        "type": str,
        "env_var": DODO_VARIABLE,
        "help": _FILE,
    },
    {"name": "cwdPath", "short": "d", "long": "dir", "default": None, "type": str, "help": _DOITS},
    {"name": "seek_file", "short": "k", "long": "seek-file", "default": False, "type": bool, "help": _DOITS},
)


class UsageError(PodwrightError):
    """Options that a command has not. doit's exit code for it."""

    family = "usage"
    exit_code = 3


def defaults(known: Sequence[Option]) -> dict[str, Any]:
    """The options' values where nothing is said of them."""
    return {one["name"]: one["default"] for one in known}


def parse(known: Sequence[Option], words: list[str], carries: bool) -> tuple[dict[str, Any], list[str]]:
    """The options that the words name, by their names, and the other words. Raises UsageError.

    carries: what follows `--` is somebody else's command line and left out; else these are words like the others.
    """
    cut = words.index("--") if "--" in words else len(words)
    short = "".join(one["short"] + ("" if one["type"] is bool else ":") for one in known if one.get("short"))
    long = [one["long"] + ("" if one["type"] is bool else "=") for one in known]
    inverse = [one["inverse"] for one in known if one.get("inverse")]
    try:
        found, rest = getopt.gnu_getopt(words[:cut], short, [*long, *inverse])
    except getopt.GetoptError as error:
        raise UsageError(str(error)) from error
    return dict(_meant(known, *pair) for pair in found), rest if carries else rest + words[cut + 1 :]


def _meant(known: Sequence[Option], said: str, value: str) -> tuple[str, Any]:
    """The name and the value of an option as the command line has it."""
    one = next(one for one in known if said in _spelt(one))
    if one["type"] is bool:
        return one["name"], said != f"--{one.get('inverse')}"
    choices = [choice for choice, _ in one.get("choices", ())]
    if choices and value not in choices:
        raise UsageError(f"{said} has no {value!r}; it has {', '.join(choices)}")
    return one["name"], value


def _spelt(one: Option) -> tuple[str, str, str]:
    return f"-{one.get('short', '')}", f"--{one['long']}", f"--{one.get('inverse', '')}"
