"""A transfer into a folder is ended when it does not keep its pace."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from stages.base.errors import ImageError
from stages.base.progress import Silent
from stages.images import arriving
from stages.images.arriving import Watch
from stages.images.pace import Pace

PACE = Pace(1000, 60)


class Transfer:
    """What a program fetches, and the clock."""

    def __init__(self, folder: Path) -> None:
        self.folder, self.now = folder, 0.0

    def monotonic(self) -> float:
        return self.now

    def comes(self, count: int, name: str = "a") -> None:
        with open(self.folder / name, "ab") as file:
            file.write(bytes(count))
        self.now += 1


@pytest.fixture
def transfer(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Transfer:
    made = Transfer(tmp_path)
    monkeypatch.setattr(arriving, "time", made)
    return made


def seconds(transfer: Transfer, *counts: int) -> int:
    """After how many a transfer is given up that brings these bytes in each second, again and again; 1000 for never."""
    (transfer.folder / "a").touch()
    watch = Watch(transfer.folder, "it", 1 << 20, PACE, Silent())
    for second in range(1000):
        transfer.comes(counts[second % len(counts)])
        try:
            watch.look(os.getpid())
        except ImageError as error:
            assert error.reason == "unreachable" and "patience" in error.hint, error
            assert ("less than 1000 bytes have come in 60 seconds" if any(counts) else "nothing") in error.sentence
            return second
    return 1000


def test_silence_and_a_trickle_are_given_up_alike(transfer: Transfer) -> None:
    assert (seconds(transfer, 0), seconds(transfer, 1), seconds(transfer, 16)) == (60, 60, 60)


def test_what_keeps_its_pace_is_waited_for(transfer: Transfer) -> None:
    assert seconds(transfer, 17) == seconds(transfer, *[0] * 50, 1000) == 1000


def test_a_trickle_after_a_good_beginning_is_given_up(transfer: Transfer) -> None:
    assert seconds(transfer, 50_000, *[1] * 999) == 61


def test_of_small_layers_each_has_its_time(transfer: Transfer) -> None:
    watch = Watch(transfer.folder, "it", 1 << 20, PACE, Silent())
    for number in range(10):
        transfer.comes(10, f"layer {number}")
        transfer.now += 50
        watch.look(os.getpid())


def test_a_file_that_is_moved_while_the_folder_is_gone_through_counts_once(transfer: Transfer) -> None:
    """skopeo moves each blob when it is whole: who looks then sees it where it was, and where it is."""
    (transfer.folder / "blobs").mkdir()
    watch = Watch(transfer.folder, "it", 1 << 28, PACE, Silent())
    with open(transfer.folder / "part", "wb") as file:
        file.truncate(1 << 28)
    os.link(transfer.folder / "part", transfer.folder / "blobs/whole")
    watch.look(os.getpid())
