"""What doit's commands that load `dodo.py` say where there is none: where the project is, if it is one above."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterator
from typing import Any

from doit.exceptions import InvalidDodoFile

from stages.graph import project


class InProject:
    """A mixin of doit's commands."""

    def parse_execute(self, in_args: list[str]) -> int:
        """As doit's."""
        base: Any = super()
        with explained():
            return int(base.parse_execute(in_args) or 0)


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
