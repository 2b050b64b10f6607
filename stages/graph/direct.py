"""A pod's steps one after the other without doit, for a project whose graph is the one we know: `podwright run`.

doit's load takes longer than all that a changed spec needs. The steps, their order, their verdicts and what is told of
them are doit's; its database, which no verdict asks, is left as it is.
"""

from __future__ import annotations

import hashlib
import sys
import time
from pathlib import Path
from typing import Any

from stages.base import files
from stages.base.errors import PodwrightError, refused
from stages.graph import session, steps
from stages.graph.steps import Step
from stages.graph.terminal import done
from stages.images.lockfile import Hold

# sha256 of the dodo.py that has our tasks and no others. A project with tasks, or options, of its own is doit's.
DODO = "d583e70ba00e77068521e3d0647b0ccef3e5a43a50f358bc5f520d6ec2eb0341"
# doit's exit codes for a task that failed, and for one that ended in an exception.
FAILED, BROKEN = 1, 2


def is_ours(project: Path) -> bool:
    """Whether doit would find in this folder the tasks of steps.py, and be told nothing else about them."""
    options = files.read_or_none(project / "pyproject.toml") or b""
    dodo = files.read_or_none(project / "dodo.py") or b""
    plain = b"tool.doit" not in options and not (project / "doit.cfg").exists()
    return plain and hashlib.sha256(dodo).hexdigest() == DODO


def run(word: str, project: Path, hold: Hold) -> int | None:
    """Prepare the pod that `word` means and become it. An exit code when that failed, and has been told.

    None: doit has to say what is wrong, with the word, the spec or the host; nothing was done.
    """
    try:
        context = session.chosen(word, project, hold=hold)
        session.take(context)
        session.begin(context)
    except (PodwrightError, OSError):
        session.HANDOVER.forget()
        return None
    session.HANDOVER.by_command = True
    session.unwind_when_terminated()
    values: dict[str, Any] = {}
    for step in steps.every(context):
        if not session.verdict(step).fresh:
            try:
                values = _do(step)
            except PodwrightError as error:
                return _failed(step, error)
            except OSError as error:
                return _failed(step, refused(error))
            except Exception:
                import traceback

                traceback.print_exc()
                return BROKEN
    session.remember(word, values, dodo=False)
    session.HANDOVER.plan(values)
    return session.HANDOVER.perform()


def _do(step: Step) -> dict[str, Any]:
    began = time.monotonic()
    values = step.run()
    if values.get("did"):
        print(done(step.name, values["did"], time.monotonic() - began), file=sys.__stderr__)
    return values


def _failed(step: Step, error: PodwrightError) -> int:
    print(f"{step.name}: {error.text()}", file=sys.__stderr__)
    return FAILED
