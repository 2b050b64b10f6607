"""Spreads work over forked processes, and fails as one when any of them does."""

from __future__ import annotations

import contextlib
import os
import signal
from collections.abc import Callable, Iterator, Sequence
from itertools import accumulate, pairwise
from typing import Any, TypeVar

from stages.base.errors import HostError

# What an item costs beside its bytes, in bytes: a few system calls.
PER_ITEM = 8192
_WORTH_A_PROCESS = 16 << 20

T = TypeVar("T")


def spread(weights: Sequence[int], jobs: int, work: Callable[[range], list[T]]) -> list[T]:
    """The results of `work` over the indexes of `weights` (bytes), in order.

    work takes a run of neighbouring indexes and gives a result for each; it is called in up to `jobs` processes, this
    one among them. What it raises anywhere is raised here; a process that ends without an answer is a HostError
    (reason "worker"). No process is left behind in any case.
    """
    shares = _shares(weights, jobs)
    with contextlib.ExitStack() as stack:
        others = [stack.enter_context(_Worker(share, work)) for share in shares[1:]]
        results = work(shares[0])
        for other in others:
            results += other.answer()
    return results


def worth(weights: Sequence[int]) -> int:
    """As many processes as there are processors, where there is enough to do that it is worth their start; else one."""
    cost = sum(weights) + len(weights) * PER_ITEM
    return len(os.sched_getaffinity(0)) if cost > _WORTH_A_PROCESS else 1


def _shares(weights: Sequence[int], jobs: int) -> list[range]:
    """Up to `jobs` runs of indexes of about equal cost; at least one, which may be empty."""
    sums = list(accumulate((weight + PER_ITEM for weight in weights), initial=0))
    cuts = [0]
    for index, total in enumerate(sums):
        if total * jobs >= sums[-1] * len(cuts) and index > cuts[-1]:
            cuts.append(index)
    cuts[-1 if len(cuts) > 1 else 1 :] = [len(weights)]
    return [range(start, end) for start, end in pairwise(cuts)]


class _Worker:
    """A forked process that does one share and sends its results, or its error, through a pipe."""

    def __init__(self, share: range, work: Callable[[range], list[Any]]) -> None:
        self._receiver, sender = os.pipe()
        self.pid = os.fork()
        if not self.pid:
            _serve(sender, share, work)
        os.close(sender)
        self._running = True

    def __enter__(self) -> _Worker:
        return self

    def __exit__(self, *_: object) -> None:
        os.close(self._receiver)
        if self._running:
            os.kill(self.pid, signal.SIGKILL)
            os.waitpid(self.pid, 0)

    def answer(self) -> list[Any]:
        """Wait for the results. Raises what the work raised."""
        import pickle  # while the other process has its share

        text = b"".join(self._pieces())
        _, status = os.waitpid(self.pid, 0)
        self._running = False
        if status or not text:
            raise HostError(
                f"a process that had a share of the work ended early ({_ending(status)})",
                hint="try again; if memory is short, with fewer jobs",
                reason="worker",
            )
        results, error = pickle.loads(text)
        if error is not None:
            raise error
        return list(results)

    def _pieces(self) -> Iterator[bytes]:
        while piece := os.read(self._receiver, 1 << 16):
            yield piece


def _serve(sender: int, share: range, work: Callable[[range], list[Any]]) -> None:
    """The forked process: never returns, and runs nothing that its parent had planned for its own end."""
    status = 1
    try:
        import pickle

        try:
            answer: tuple[list[Any], Exception | None] = (work(share), None)
        except Exception as error:
            answer = ([], error)
        with open(sender, "wb") as pipe:
            pickle.dump(answer, pipe, pickle.HIGHEST_PROTOCOL)
        status = 0
    finally:
        os._exit(status)


def _ending(status: int) -> str:
    code = os.waitstatus_to_exitcode(status)
    return f"signal {-code}" if code < 0 else f"exit code {code}"
