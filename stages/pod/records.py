"""What a step went by when it last did its work in this pod: the inputs, so that a change can be named."""

from __future__ import annotations

from typing import Any

from stages.base import files
from stages.base.digest import canonical
from stages.base.paths import PodPaths
from stages.base.verdict import Verdict, compare


def read(pod: PodPaths, task: str) -> dict[str, Any] | None:
    """The record of a task, or None when there is none that can be read."""
    document = files.read_value(pod.record(task))
    return document if isinstance(document, dict) and isinstance(document.get("inputs"), dict) else None


def verdict(pod: PodPaths, task: str, inputs: dict[str, Any]) -> Verdict:
    """Fresh when the task's work was done for just these inputs."""
    record = read(pod, task)
    if record is None:
        return Verdict.stale("not done yet in this pod")
    return Verdict(compare(record["inputs"], inputs))


def write(pod: PodPaths, task: str, inputs: dict[str, Any], **more: Any) -> None:
    """Say that the work is done: the last thing a step does. A crash may lose it, and it is done again."""
    pod.records.mkdir(exist_ok=True, mode=0o750)
    files.publish(pod.record(task), canonical({"inputs": inputs, **more}), durable=False)


def forget(pod: PodPaths, task: str) -> None:
    """Say that the work is not done any more: the first thing a step does."""
    pod.record(task).unlink(missing_ok=True)
