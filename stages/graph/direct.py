"""A pod's steps without doit, for a project whose graph is the one we know: `podwright run`.

doit's load takes longer than all that a changed spec needs. The steps, their order, their verdicts and what is told of
them are doit's; its database, which no verdict asks, is left as it is. Images are brought, and trees rendered, by as
many processes as there are processors.
"""

from __future__ import annotations

import itertools
import os
import sys
import time
from collections.abc import Callable, Hashable
from pathlib import Path
from typing import Any

from stages import import_image, render_tree
from stages.base import shipped
from stages.base.errors import PodwrightError, worded
from stages.graph import remember, session, steps
from stages.graph.project import DODO, has_options
from stages.graph.steps import Step
from stages.graph.terminal import done, tell
from stages.images.lockfile import Hold
from stages.linux import kernel, locks
from stages.pod import manifest, state
from stages.pod.context import STAGE1, Context
from stages.trees.recipe import Recipe

# They leave nothing in the pod's directory.
_OF_STORES = (import_image, render_tree)
HandOver = Callable[[dict[str, Any] | None, tuple[int, int]], None]
# doit's exit codes for a task that failed, and for one that ended in an exception.
FAILED, BROKEN = 1, 2


def is_ours(project: Path) -> bool:
    """Whether doit would find in this folder the tasks of steps.py, and be told nothing else about them.

    A project with tasks, or options, of its own is doit's.
    """
    try:
        return shipped.is_copy(project / DODO, DODO) and not has_options(project)
    except OSError:
        return False


def run(word: str, project: Path, hold: Hold) -> int | None:
    """Prepare the pod that `word` means and become it. An exit code when that failed, and has been told.

    None: doit has to say what is wrong, with the word, the spec or the host; nothing was done.
    """
    code, _, plan = _planned(word, project, hold)
    if code != 0:
        return code
    session.HANDOVER.plan(plan)
    return session.HANDOVER.perform()


def prepare_start(word: str, project: Path, hold: Hold, hand_over: HandOver) -> int | None:
    """As run, up to the start: that is handed over to another process, with the locks. Exit code, or None, as of run.

    hand_over: gets what again.make is to do, or None where this can only be done by who prepared the pod; and the
    descriptors of the locks of the store and of the pod.
    """
    code, context, plan = _planned(word, project, hold)
    if code != 0 or context is None:
        return code
    locked = session.HANDOVER.prepare_lock, session.HANDOVER.lock_fd
    assert locked[0] is not None and locked[1] is not None, "they are taken before the first step"
    try:
        hand_over(remember.start(context, plan), (locked[0], locked[1]))
    except (PodwrightError, OSError) as error:
        tell(sys.__stderr__, f"podwright: {worded(error).text()}")
        return worded(error).exit_code
    return 0


def _planned(word: str, project: Path, hold: Hold) -> tuple[int | None, Context | None, dict[str, Any]]:
    """Prepare the pod: the exit code, or None, as of run; and with 0 the pod and the plan of its start."""
    try:
        context = _taken(word, project, hold)
    except (PodwrightError, OSError):
        session.HANDOVER.forget()
        return None, None, {}
    session.HANDOVER.by_command = True
    session.unwind_when_terminated()
    try:
        code, plan = _done(context)
    except (PodwrightError, OSError) as error:  # a process for a share could not be had, or ended early
        tell(sys.__stderr__, f"ERROR: {worded(error).text()}")
        return FAILED, None, {}
    if not code:
        session.remember(word, plan, dodo=False)
    return code, context, plan


def prepare(word: str, project: Path, hold: Hold) -> int:
    """Do a pod's steps before the start. Exit code, what failed has been told. Raises PodwrightError, OSError."""
    session.HANDOVER.by_command = True
    session.unwind_when_terminated()
    context = _taken(word, project, hold)
    code, _ = _done(context, lambda step: step.prepares)
    if not code:
        state.enter(context.pod, state.Phase.PREPARED)
    return code


def _taken(word: str, project: Path, hold: Hold) -> Context:
    """The pod of a word, ours from here on and about to be prepared. Raises PodwrightError, OSError."""
    context = session.chosen(word, project, hold=hold)
    session.take(context)
    session.begin(context)
    return context


def look(word: str, project: Path, hold: Hold) -> Context:
    """The pod of a word, whoever has it, when spec, lock file and host are right. Raises PodwrightError, OSError."""
    context = session.chosen(word, project, reading=True, hold=hold)
    context.check_lock()
    session.check_root()
    return context


def bring(word: str, project: Path, hold: Hold) -> int:
    """Do of a pod's steps those that work in the stores alone, and see whether its manifest could be written.

    For a pod that somebody has, who may go on until all is there. An exit code; what failed has been told. Raises
    PodwrightError, OSError.
    """
    context = look(word, project, hold)
    kernel.tie_forks()
    with locks.held(context.data.prepare_lock, exclusive=False):  # nobody collects what is brought
        code, _ = _done(context, lambda step: step.verb in _OF_STORES)
        if not code:
            manifest.check(manifest.document(context))
    return code


def _done(context: Context, of: Callable[[Step], bool] = bool) -> tuple[int, dict[str, Any]]:
    """Do what is out of date, of the steps that are asked for.

    The exit code of what failed, or 0; the last step's values, the plan of the start.
    """
    values: dict[str, Any] = {}
    for verb, row in itertools.groupby(filter(of, steps.every(context)), key=lambda step: step.verb):
        stale = [step for step in row if not session.verdict(step).fresh]
        if verb in _OF_STORES:
            if code := _side_by_side(_chains(stale)):
                return code, {}
            continue
        for step in stale:
            code, values = _attempt(step)
            if code:
                return code, {}
    return 0, values


def _chains(stale: list[Step]) -> list[list[Step]]:
    """What may be done side by side, each chain one step after another."""
    chains: dict[Hashable, list[Step]] = {}
    for step in stale:
        chains.setdefault(_common(step), []).append(step)
    return list(chains.values())


def _common(step: Step) -> Hashable:
    """What the steps of a chain have in common: apps' images may share files and layers, two apps may share a tree."""
    if step.verb is import_image:
        return step.arguments == (STAGE1,)
    recipe = _recipe(step)
    return recipe.tree_id if recipe else step


def _side_by_side(chains: list[list[Step]]) -> int:
    """Do the chains, in several processes where there is enough to do for them. The highest of their exit codes."""
    if sum(not _is_copy(chain[0]) for chain in chains) < 2:
        return max(map(_one_by_one, chains), default=0)
    from stages.linux import workers

    jobs, chains = len(os.sched_getaffinity(0)), chains[::-1]  # so that stage1's, the first, is for another process
    return max(workers.spread([1] * len(chains), jobs, lambda share: [_one_by_one(chains[index]) for index in share]))


def _is_copy(step: Step) -> bool:
    """Whether it is a tree that came with its image: it is there before another process would have begun."""
    recipe = _recipe(step) if step.verb is render_tree else None
    return recipe is not None and step.context.trees.is_prebuilt(recipe)


def _recipe(step: Step) -> Recipe | None:
    """What the tree of a step is made of; None where the step itself will say why that is not known."""
    try:
        return step.context.recipe(*step.arguments)
    except (PodwrightError, OSError):
        return None


def _one_by_one(chain: list[Step]) -> int:
    """Do the steps of a chain, up to the one that fails; what a step did may be what the next one wanted."""
    for step in chain:
        if (step is chain[0] or not session.verdict(step).fresh) and (code := _attempt(step)[0]):
            return code
    return 0


def _attempt(step: Step) -> tuple[int, dict[str, Any]]:
    """Do it, and tell. The exit code, and the step's values."""
    began = time.monotonic()
    try:
        values = step.run()
    except (PodwrightError, OSError) as error:
        tell(sys.__stderr__, f"{step.name}: {worded(error).text()}")
        return FAILED, {}
    except Exception:
        import traceback

        traceback.print_exc()
        return BROKEN, {}
    if values.get("did"):
        tell(sys.__stderr__, done(step.name, values["did"], time.monotonic() - began))
    return 0, values
