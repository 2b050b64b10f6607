"""What long work tells people while it lasts: a bar on a terminal, warnings always."""

from __future__ import annotations

import sys
import time
from typing import TextIO

from stages.base.errors import shown

# A bar is drawn only for work that lasts: shorter pieces would only flicker.
_PATIENCE = 0.5
_WIDTH = 24
# Takes the terminal to the beginning of its line, which is empty then.
ERASE = "\r\033[K"


def done(task: str, did: str, seconds: float) -> str:
    """The line for a task that did work."""
    return f"{task:<16} {did}  ({seconds:.2f} s)"


class Terminal:
    """Progress for people: a bar on a terminal, warnings always."""

    def __init__(self, stream: TextIO | None) -> None:
        self._stream = stream or sys.stderr
        self._drawing = self._stream.isatty()
        self._title = ""
        self._total = self._done = 0
        self._began = self._drawn = 0.0

    def begin(self, title: str, total: int) -> None:
        self.end()
        self._title, self._total, self._done = shown(title), total, 0
        self._began = time.monotonic()

    def advance(self, done: int) -> None:
        self._done += done
        now = time.monotonic()
        if self._drawing and now - self._began > _PATIENCE and now - self._drawn > 0.1:
            self._drawn = now
            share = min(1.0, self._done / self._total) if self._total else 0.0
            bar = "#" * round(share * _WIDTH)
            self._stream.write(f"{ERASE}{self._title} [{bar:<{_WIDTH}}] {share:4.0%}")
            self._stream.flush()

    def end(self) -> None:
        if self._drawn:
            self._stream.write(ERASE)
            self._stream.flush()
        self._drawn = 0.0

    def warn(self, sentence: str) -> None:
        self.end()
        self._stream.write(f"warning: {shown(sentence)}\n")
        self._stream.flush()
