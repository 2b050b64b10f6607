"""What long work tells people while it lasts: a bar on a terminal, warnings always."""

from __future__ import annotations

import contextlib
import sys
import time
from typing import TextIO

from stages.base.errors import shown

# A bar is drawn only for work that lasts: shorter pieces would only flicker.
_PATIENCE = 0.5
_WIDTH = 24
# Takes the terminal to the beginning of its line, which is empty then.
_ERASE = "\r\033[K"


def done(task: str, did: str, seconds: float) -> str:
    """The line for a task that did work."""
    return f"{task:<16} {did}  ({seconds:.2f} s)"


def tell(stream: TextIO | None, text: str) -> None:
    """Write a line, over the bar that another process may have drawn, in one write.

    What nobody can be told, on a full disk or to a reader that is gone, is no reason to stop.
    """
    with contextlib.suppress(OSError):
        out = stream or sys.stderr
        out.write(f"{_ERASE if out.isatty() else ''}{text}\n")
        out.flush()


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
            self._draw(f"{_ERASE}{self._title} [{bar:<{_WIDTH}}] {share:4.0%}")

    def end(self) -> None:
        if self._drawn:
            self._draw(_ERASE)
        self._drawn = 0.0

    def warn(self, sentence: str) -> None:
        self.end()
        tell(self._stream, f"warning: {shown(sentence)}")

    def _draw(self, text: str) -> None:
        with contextlib.suppress(OSError):
            self._stream.write(text)
            self._stream.flush()
