"""What one process asks the steps of a pod."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from types import ModuleType, SimpleNamespace

import pytest

from stages.base.paths import DataDir
from stages.base.verdict import FRESH, Verdict
from stages.graph import session
from stages.graph.steps import Step
from stages.pod.context import Context
from stages.pod.state import Phase, phase
from stages.spec.model import PodSpec


@pytest.fixture
def steps(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[..., Step]]:
    """Makes steps of a pod that is ours; each counts in `asked` how often it was asked."""
    context = Context(tmp_path, DataDir(tmp_path), PodSpec("one", "1", ()), {})
    context.pod.root.mkdir(parents=True)
    monkeypatch.setattr(session.HANDOVER, "lock_fd", 0)

    def make(name: str, found: Verdict, asked: list[str]) -> Step:
        verb = ModuleType(name)
        verb.verdict = lambda _: asked.append(name) or found  # type: ignore[attr-defined]
        return Step(verb, context, ())

    yield make
    session.ASKED.clear()


def task(step: Step, *, executed: bool) -> SimpleNamespace:
    return SimpleNamespace(meta={"step": step}, executed=executed)


def test_a_step_that_was_fresh_or_done_is_not_asked_again(steps: Callable[..., Step]) -> None:
    asked: list[str] = []
    fresh, done = steps("fresh", FRESH, asked), steps("done", Verdict.stale("never fresh"), asked)
    assert session.verdict(fresh).fresh and not session.verdict(done).fresh
    session.prepared([task(fresh, executed=False), task(done, executed=True)])
    assert asked == ["fresh", "done"] and phase(fresh.context.pod) is Phase.PREPARED


@pytest.mark.parametrize("found", [FRESH, Verdict.stale("not yet")], ids=["fresh", "stale"])
def test_a_step_that_this_run_left_out_is_asked(steps: Callable[..., Step], found: Verdict) -> None:
    asked: list[str] = []
    step = steps("left out", found, asked)
    session.prepared([task(step, executed=False)])
    assert asked == ["left out"] and phase(step.context.pod) is (Phase.PREPARED if found.fresh else None)
