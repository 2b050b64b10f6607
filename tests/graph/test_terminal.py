"""What long work tells: a bar where somebody looks, and warnings always."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Callable, Iterator

import pytest

from stages.graph import terminal
from stages.graph.terminal import Terminal


def received(reader: int) -> Iterator[bytes]:
    with contextlib.suppress(OSError):  # EIO: nobody has the terminal any more
        while piece := os.read(reader, 1 << 16):
            yield piece
    os.close(reader)


@pytest.mark.parametrize(("ends", "drawn"), [(os.openpty, True), (os.pipe, False)], ids=["terminal", "pipe"])
def test_a_bar_is_for_terminals_and_none_obeys_its_title(
    monkeypatch: pytest.MonkeyPatch, ends: Callable[[], tuple[int, int]], drawn: bool
) -> None:
    monkeypatch.setattr(terminal, "_PATIENCE", 0)  # as if the work had lasted
    reader, writer = ends()
    with open(writer, "w") as stream:
        told = Terminal(stream)
        told.begin("importing \x1b[2Ja\n.aci", 4)
        told.advance(3)
        told.end()
        told.warn("odd \x07")
    bar = "\r\x1b[Kimporting \\x1b[2Ja\\n.aci [##################      ]  75%\r\x1b[K\r\x1b[K" if drawn else ""
    assert b"".join(received(reader)).decode().splitlines() == f"{bar}warning: odd \\x07".splitlines()


@pytest.mark.parametrize(("ends", "clear"), [(os.openpty, "\r\x1b[K"), (os.pipe, "")], ids=["terminal", "pipe"])
def test_a_line_is_told_over_the_bar_of_another_process(ends: Callable[[], tuple[int, int]], clear: str) -> None:
    reader, writer = ends()
    with open(writer, "w") as stream:
        terminal.tell(stream, "image:stage1  there")
    assert b"".join(received(reader)).decode().rstrip() == f"{clear}image:stage1  there"


def test_what_nobody_can_be_told_stops_no_work() -> None:
    stream = open("/dev/full", "w")  # noqa: SIM115 - it cannot be closed well
    terminal.tell(stream, "done")
    told = Terminal(stream)
    told.begin("importing", 4)
    told.advance(4)
    told.warn("odd")
    told.end()
    with contextlib.suppress(OSError):
        stream.close()
