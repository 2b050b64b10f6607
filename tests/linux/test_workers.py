"""Work spread over processes: all of it is done, in order, and one failure fails all."""

from __future__ import annotations

import os
import signal

import pytest

from stages.base.errors import HostError
from stages.linux.workers import spread


def children() -> list[str]:
    with open(f"/proc/self/task/{os.getpid()}/children") as file:
        return file.read().split()


@pytest.mark.parametrize("jobs", [1, 2, 3, 8])
@pytest.mark.parametrize(
    "weights", [[], [5], [1] * 100, [10**9, 1, 1, 1], [1, 1, 1, 10**9], [0, 10**7, 3, 10**7, 0, 0, 10**6]]
)
def test_every_index_is_done_once_and_in_order(weights: list[int], jobs: int) -> None:
    assert spread(weights, jobs, lambda share: [index * 3 for index in share]) == [
        index * 3 for index in range(len(weights))
    ]
    assert not children()


def test_the_work_is_done_by_as_many_processes_as_asked_for() -> None:
    assert len(set(spread([1] * 100, 4, lambda share: [os.getpid() for _ in share]))) == 4


def test_answers_larger_than_a_pipe_arrive() -> None:
    assert spread([1] * 40, 2, lambda share: [bytes(100_000) for _ in share]) == [bytes(100_000)] * 40


@pytest.mark.parametrize("culprit", [0, 99])
def test_an_error_anywhere_is_raised_here(culprit: int) -> None:
    def work(share: range) -> list[int]:
        if culprit in share:
            raise PermissionError(13, "no", "some/path")
        return list(share)

    with pytest.raises(PermissionError) as caught:
        spread([1] * 100, 3, work)
    assert caught.value.filename == "some/path"
    assert not children()


def test_the_others_are_stopped_when_one_fails() -> None:
    def work(share: range) -> list[int]:
        if 0 in share:
            raise ValueError
        signal.pause()
        return list(share)

    with pytest.raises(ValueError):
        spread([1] * 100, 3, work)
    assert not children()


@pytest.mark.parametrize("end", [lambda: os.kill(os.getpid(), signal.SIGKILL), lambda: os._exit(0)])
def test_a_process_that_dies_is_an_error_and_no_hang(end: object) -> None:
    def work(share: range) -> list[int]:
        if 99 in share:
            assert callable(end)
            end()
        return list(share)

    with pytest.raises(HostError) as caught:
        spread([1] * 100, 2, work)
    assert caught.value.reason == "worker"
    assert not children()
