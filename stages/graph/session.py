"""One doit process and the pod it was asked for: `pod=` read, the lock taken, doit told where its database is."""

from __future__ import annotations

import os
import signal
import sys
from pathlib import Path
from typing import Any

from stages.base import data as data_dirs
from stages.base import files, streams
from stages.base.errors import HostError, PodwrightError, worded
from stages.base.paths import PodPaths
from stages.base.verdict import Verdict
from stages.graph import words
from stages.graph.handoff import Handover
from stages.graph.steps import Step
from stages.graph.terminal import Terminal
from stages.graph.witness import Variables, Witness
from stages.images.lockfile import Hold
from stages.linux import kernel, locks
from stages.pod import lifecycle, state
from stages.pod.context import Context
from stages.spec.catalog import Catalog

# The process has one standing with doit; dodo.py and our `run` command meet here.
HANDOVER = Handover()
# It sees what the steps look at, from here on.
WITNESS = Witness()
# What each step said when it was last asked.
ASKED: dict[Step, Verdict] = {}

_MEMORY = ":memory:"


def select(word: str | None, project: Path) -> Context | None:
    """The pod that `pod=word` means, or None without a word. For a run, its lock is taken.

    Raises InvalidCommand, which doit shows as one sentence.
    """
    from doit.exceptions import InvalidCommand

    streams.ensure()
    try:
        words.check(project)
        if word is None:
            return None
        command = _command()
        context = chosen(word, project, reading=command not in ("run", "clean"), hold=HANDOVER.hold)
        if command == "run":
            take(context)
        elif command == "clean":
            _hold(context)
        return context
    except (PodwrightError, OSError) as error:
        raise InvalidCommand(worded(error).text()) from error


def chosen(word: str, project: Path, *, reading: bool = False, hold: Hold = Hold.AUTO) -> Context:
    """The pod that a word means, with all that lists its steps. Raises PodwrightError, OSError."""
    with WITNESS.watching():
        data = data_dirs.of_user()
        WITNESS.caches = (f"{data.cache / 'specs'}{os.sep}",)
        spec, terminal = Catalog(project, data.cache).select(word), Terminal(sys.__stderr__)
        variables = Variables(os.environ, WITNESS)
        context = Context(project, data, spec, variables, terminal, reading, hold)
        context.check()
    return context


def configuration(context: Context | None) -> dict[str, Any]:
    """DOIT_CONFIG: one database a pod, in its directory, so that it dies with the pod; what is told goes to stderr.

    Without a pod, or before it has a directory, or where we may not look into it, nothing needs to be remembered.
    """
    from stages.graph.reporter import Reporter

    return {
        "default_tasks": ["init"] if context else ["pods"],
        "backend": "sqlite3",
        "dep_file": _database(context.pod) if context else _MEMORY,
        "outfile": sys.stderr,
        "reporter": Reporter,
        "verbosity": 2,
    }


def _database(pod: PodPaths) -> str:
    """Where doit remembers. It is a cache: what is no database stops nobody, and goes if the pod is ours.

    A command of ours that only reads asks the steps themselves; another may take the directory away meanwhile.
    """
    if HANDOVER.only_reading or not os.path.isdir(pod.root):
        return _MEMORY
    from stages.graph import database

    if not database.is_sound(pod.database):
        if HANDOVER.lock_fd is None:
            return _MEMORY
        files.delete(pod.database)
    return str(pod.database) if HANDOVER.lock_fd is None or database.has_room(pod.database) else _MEMORY


def verdict(step: Step) -> Verdict:
    """The step's verdict, seen by the witness."""
    if not step.prepares:
        return step.verdict()
    with WITNESS.watching():
        found = step.verdict()
    ASKED[step] = found
    WITNESS.spoiled |= not found.fresh
    return found


def remember(word: str, plan: dict[str, Any], *, dodo: bool) -> None:
    """Write down the start that is about to be made, if nothing had to be prepared for it."""
    if WITNESS.spoiled or not ASKED:
        return
    from stages.graph import remember as writer

    writer.keep(WITNESS, word, plan, list(ASKED), dodo=dodo)


def prepared(tasks: list[Any]) -> None:
    """Note how far a pod came that was not started: prepared, when every step up to its manifest was done or is fresh.

    An image that is asked for each time is never fresh. What was not done in this run is asked once.
    """
    steps = [(task.meta["step"], task.executed) for task in tasks if task.meta and "step" in task.meta]
    if not steps or HANDOVER.lock_fd is None:
        return
    pod = steps[0][0].context.pod
    if all(done or (ASKED.get(step) or step.verdict()).fresh for step, done in steps if step.prepares):
        state.enter(pod, state.Phase.PREPARED)


def check_root() -> None:
    """Raise HostError unless we are root."""
    if os.geteuid() != 0:
        raise HostError(
            "preparing and running a pod needs root: file owners, devices and mounts",
            hint=f"`{_by_root()}`; check, list and images work without",
            reason="not-root",
        )


def _by_root() -> str:
    """The command line for root, the program by its path: sudo does not look into an activated .venv."""
    import shlex

    return shlex.join(["sudo", os.path.abspath(sys.argv[0]), *sys.argv[1:]])


def take(context: Context) -> None:
    """Make the pod ours. The lock is held from here until stage1's last process ends."""
    with WITNESS.watching():
        context.check_lock()
    check_root()
    data_dirs.initialise(context.data)
    HANDOVER.prepare_lock = locks.shared(context.data.prepare_lock)
    # Workers inherit both locks, and must not keep them when this process is killed.
    kernel.tie_forks()
    was_there = context.pod.root.is_dir()
    HANDOVER.lock_fd = state.acquire(context.pod, context.spec.name)
    # Ours to take away again only if the lock is: another run may have made it meanwhile.
    HANDOVER.made_for_lock = None if was_there or os.listdir(context.pod.root) else context.pod.root


def begin(context: Context) -> None:
    """Clear away an old run, the first time; from here on the pod is being prepared.

    Not before doit has understood the whole command line: a mistake in a task's name must cost nothing.
    """
    if HANDOVER.lock_fd is not None and not HANDOVER.begun:
        HANDOVER.begun = True
        lifecycle.begin(context.data, context.pod, context.spec.name, context.progress)


def unwind_when_terminated() -> None:
    """Have SIGTERM end things as they should be ended: with what was begun taken back, and doit's state saved."""
    signal.signal(signal.SIGTERM, _unwind)


def _unwind(*_: object) -> None:
    signal.signal(signal.SIGTERM, signal.SIG_IGN)  # who ends a group of processes, ends us by our parent too
    sys.exit(128 + signal.SIGTERM)


def abandon() -> None:
    """The command line was wrong: a directory that was made for the lock alone goes again."""
    if HANDOVER.made_for_lock is not None and not HANDOVER.begun:
        files.discard(HANDOVER.made_for_lock, data_dirs.of_user().garbage)


def _command() -> str:
    """Which command loads the tasks: "run" and "clean" make the pod theirs, others only look."""
    if HANDOVER.by_command:
        return "run"
    if HANDOVER.only_reading:
        return ""
    from stages.graph import asked

    return asked.command(sys.argv[1:])


def _hold(context: Context) -> None:
    """Make sure that nobody is running what is about to be cleaned away."""
    if context.pod.root.is_dir():
        HANDOVER.lock_fd = state.acquire(context.pod, context.spec.name)
