"""How long work tells of itself without printing: verbs report here, the command line decides what is shown."""

from __future__ import annotations

from typing import Protocol


class Progress(Protocol):
    """Where a step says how far it is. Units are bytes unless the title says otherwise."""

    def begin(self, title: str, total: int) -> None:
        """A piece of work of `total` units starts; a new one ends the one before."""

    def advance(self, done: int) -> None:
        """`done` more units."""

    def end(self) -> None:
        """The piece of work is over."""

    def warn(self, sentence: str) -> None:
        """Something a person should know; the step goes on."""


class Silent:
    """Reports to nobody."""

    def begin(self, title: str, total: int) -> None:
        pass

    def advance(self, done: int) -> None:
        pass

    def end(self) -> None:
        pass

    def warn(self, sentence: str) -> None:
        pass
