"""What doit's commands that load `dodo.py` say where there is none: where the project is, if it is one above."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterator
from typing import Any

from doit.exceptions import InvalidDodoFile

from stages.graph import project
from stages.spec.catalog import SUFFIXES


class InProject:
    """A mixin of doit's commands."""

    def parse_execute(self, in_args: list[str]) -> int:
        """As doit's."""
        base: Any = super()
        refuse_spec(in_args, vars(self)["opt_vals"])
        with explained():
            return int(base.parse_execute(in_args) or 0)


def refuse_spec(words: list[str], before: dict[str, Any]) -> None:
    """Raise InvalidDodoFile where -f names a spec, as it does for kubectl: doit would try to load it as Python.

    before: the options that came before the command.
    """
    words = [f"--file={before.get('dodoFile', '')}", *words]
    for word, following in zip(words, [*words, ""][1:], strict=True):
        inside = word.removeprefix("--file=") if word.startswith("--file=") else ""
        named = following if word in ("-f", "--file") else inside
        if named.endswith((*SUFFIXES, ".json")):
            raise InvalidDodoFile(f"{named} is no {project.DODO}\n  hint: {project.BY_NAME}")


@contextlib.contextmanager
def explained() -> Iterator[None]:
    """Say in our words that there is no `dodo.py` here. Raises InvalidDodoFile."""
    try:
        yield
    except InvalidDodoFile as error:
        if f"file '{os.path.abspath(project.DODO)}'" not in str(error):
            raise  # another file was asked for, or it has a fault
        hint = project.MAKE_ONE
        if above := project.above():
            hint = f"there is one above: go to {above}, or let -k look for it"
        raise InvalidDodoFile(f"{project.MISSING}\n  hint: {hint}") from error
