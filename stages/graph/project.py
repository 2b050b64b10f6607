"""The folder of a dodo.py: where it is, and whether doit is told anything of its own there."""

from __future__ import annotations

import re
from os.path import isdir, isfile
from pathlib import Path

from stages.base import files

DODO = "dodo.py"
# Where doit looks for its options.
CONFIGURATION = ("pyproject.toml", "doit.cfg")
# The key `doit` somewhere in pyproject.toml, which is [tool.doit] in one of its spellings; tomllib takes 10 ms to load.
# Before a bracket only behind a dot: a list of dependencies may end with it.
_OPTIONS = re.compile(rb"""(^|[\[{,.])\s*(["']?)doit\2\s*[.=]|\.\s*(["']?)doit\3\s*\]""", re.MULTILINE)

# What to say where there is none, and where a spec is named in its place.
MISSING, MAKE_ONE = "there is no project here", "`doit new` makes a folder one: dodo.py and pods/"
BY_NAME = "a pod is asked for by its name, pod=NAME"
EMPTY = "no pods: put a spec into pods/"


def above() -> Path | None:
    """The nearest folder above the working directory that is a project. What we may not look into is none."""
    return next((one for one in Path.cwd().parents if isfile(one / DODO) and isdir(one / "pods")), None)


def has_options(folder: Path) -> bool:
    """Whether a folder has options for doit, or may have. Raises OSError."""
    shared, own = (folder / name for name in CONFIGURATION)
    return bool(_OPTIONS.search(files.read_or_none(shared) or b"")) or own.exists()
