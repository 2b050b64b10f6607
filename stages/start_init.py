"""init: hand this process over to stage1's `run` entrypoint.

Reads the prepared pod. Leaves the plan of the hand-over: program, options, mounts. Never fresh: it is what a run
is for. The exec itself comes when doit has saved its state.
"""

from __future__ import annotations

from typing import Any

from stages.base.verdict import Verdict
from stages.pod import mounts, stage1, volumes
from stages.pod.context import Context

OF_THE_RUN = True


def verdict(context: Context) -> Verdict:
    """A pod is started every time."""
    return Verdict.stale("a run starts the pod")


def run(context: Context) -> dict[str, Any]:
    """Value: the plan. Raises PodError for a host volume that is not there, or a stage1 without a `run` entrypoint."""
    pod = context.pod
    volumes.check(context.spec.volumes)
    found = stage1.interface(pod)
    return {
        "data": str(context.data.root),
        "pod": str(pod.root),
        "program": stage1.program(pod.stage1_rootfs, found.entrypoint("run")),
        "options": context.options()._asdict(),
        "version": found.version,
        "mounts": mounts.read_plan(pod) if context.overlay else [],
        "shift": context.shift_pair(),
        "labels": context.labels._asdict(),
        "register": context.spec.stage0.mds_register,
        "apps": context.app_names,
    }
