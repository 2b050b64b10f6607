"""Bytes on their way into the store: everybody gets all of them in order, and no thread outlives an error."""

from __future__ import annotations

import errno
import itertools
import os
import sys
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from stages.base.errors import HostError
from stages.images import intake
from stages.images.intake import pump

PIECES = [bytes([number]) * 100 for number in range(1, 200)]


@pytest.fixture(autouse=True)
def no_thread_is_left() -> Iterator[None]:
    """Whatever a test does."""
    before = set(threading.enumerate())  # some may be of tests before this one, and end
    yield
    assert set(threading.enumerate()) <= before


def test_every_taker_gets_every_piece_in_order() -> None:
    found: list[list[bytes]] = [[], [], []]
    pump(iter(PIECES), [one.append for one in found])
    assert found == [PIECES, PIECES, PIECES]


def test_nothing_comes_of_nothing() -> None:
    found: list[bytes] = []
    pump(iter(()), [found.append])
    assert found == []


def test_what_a_taker_raises_is_raised_and_the_source_is_left_soon() -> None:
    taken = 0

    def source() -> Iterator[bytes]:
        nonlocal taken
        for piece in PIECES:
            taken += 1
            yield piece

    def full(piece: bytes) -> None:
        raise OSError(errno.ENOSPC, "full")

    found: list[bytes] = []
    with pytest.raises(OSError, match="full") as caught:
        pump(source(), [found.append, full])
    assert caught.value.errno == errno.ENOSPC
    # The one that failed goes on taking, so only how fast threads are scheduled bounds it; all of it is possible.
    assert found == PIECES[:taken]


@pytest.mark.parametrize("error", [ValueError, KeyboardInterrupt])
def test_what_the_source_raises_is_raised_and_nothing_waits_for_slow_takers(error: type[BaseException]) -> None:
    go = threading.Event()

    def source() -> Iterator[bytes]:
        yield from PIECES[:4]
        go.set()
        raise error

    with pytest.raises(error):
        pump(source(), [lambda piece: go.wait()])


def test_the_writer_writes_all_of_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(intake, "_BEHIND", 1000)
    with open(tmp_path / "out", "wb") as file:
        pump(iter(PIECES), [intake.Writer(file.fileno()).take])
    assert (tmp_path / "out").read_bytes() == b"".join(PIECES)


def test_the_writer_of_a_pipe_only_wishes_for_the_disk(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(intake, "_BEHIND", 1)
    reader, writer = os.pipe()
    intake.Writer(writer).take(b"piece")
    os.close(writer)
    assert os.read(reader, 10) == b"piece"
    os.close(reader)


def front(upto: intake.Upto) -> list[int]:
    """What is said to be there when one more is asked for each time."""
    told = [upto(1)]
    while (more := upto(told[-1] + 1)) > told[-1]:
        told.append(more)
    return told


def test_what_reads_beside_waits_for_what_it_needs() -> None:
    asked = threading.Event()

    def read(upto: intake.Upto) -> list[int]:
        told = [upto(10)]
        asked.set()
        return [*told, *front(upto)]

    turn = sys.getswitchinterval()
    with intake.Beside(read) as beside:
        beside.grow(9)
        beside.grow(2)
        assert asked.wait(60)
        beside.end()
        assert beside.result() == [11, 11]
    assert sys.getswitchinterval() == turn


def test_what_reads_beside_is_told_of_the_end() -> None:
    with intake.Beside(front) as beside:
        beside.end()
        assert beside.result() == [0]


def test_what_is_raised_beside_is_raised_by_the_result_alone() -> None:
    def read(upto: intake.Upto) -> None:
        raise ValueError("no archive")

    with intake.Beside(read) as beside:
        beside.grow(1)
        beside.end()
        with pytest.raises(ValueError, match="no archive"):
            beside.result()


def test_who_leaves_early_leaves_no_reader() -> None:
    ended = []

    def read(upto: intake.Upto) -> None:
        try:
            upto(1 << 40)
        finally:
            ended.append(True)

    with pytest.raises(KeyboardInterrupt), intake.Beside(read):
        raise KeyboardInterrupt
    assert ended


@pytest.mark.parametrize("allowed", range(3))
def test_where_no_thread_may_be_started_that_is_a_sentence(monkeypatch: pytest.MonkeyPatch, allowed: int) -> None:
    """As where a control group has all the processes that it may have."""
    start, count = threading.Thread.start, itertools.count()

    def refused(thread: threading.Thread) -> None:
        if next(count) >= allowed:
            raise RuntimeError("can't start new thread")
        start(thread)

    monkeypatch.setattr(threading.Thread, "start", refused)
    with pytest.raises(HostError, match="no more threads"):
        pump(iter(PIECES), [len, len, len])
    with pytest.raises(HostError, match="no more threads"), intake.Beside(lambda upto: upto(1)):
        pass
