"""The last steps before the exec, in the process that becomes stage1, in the contract's order (A.9).

Everything here comes after the tasks: the root file systems are mounted by now, in a mount namespace of this process,
and what stage1's root tells or is given is the same with overlay and without.
"""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from stages.base import files
from stages.base.errors import PodwrightError
from stages.base.paths import DataDir, PodPaths
from stages.pod import inside, mounts, stage1, state

if TYPE_CHECKING:
    from stages.pod.metadata import Service

Say = Callable[[str], None]


def ready(plan: Mapping[str, Any], environment: Mapping[str, str], say: Say) -> tuple[str, list[str]]:
    """Carry out the plan up to the exec; returns what to execute, and stage1's argv. say: takes a line for people.

    Raises HostError, PodError, OSError. A failure before the pod counts as running leaves it as it was; a failure
    after that leaves an exited pod.
    """
    pod, options = PodPaths(Path(plan["pod"])), stage1.Options.of(plan["options"])
    debug = say if options.debug else _silent
    debug("setting up stage1")
    mounts.carry_out(plan["mounts"], tuple(plan["shift"]) if plan["shift"] else None)
    _flavor(plan, pod, say)
    if plan["register"]:
        _service(environment).check()
    if options.local_config:
        files.publish(pod.local_config, options.local_config.encode(), durable=False)
    inside.note(pod)
    state.enter(pod, state.Phase.RUN)
    if plan["register"]:
        options = options._replace(mds_token=_service(environment).register(pod, plan["apps"]))
    debug(f"execing {plan['program']} in {pod.root}")
    program = stage1.executable(pod.stage1_rootfs, plan["program"])
    return program, stage1.arguments(plan["program"], options, plan["version"])


def failed(plan: Mapping[str, Any], environment: Mapping[str, str]) -> None:
    """stage1 could not be started: nobody is to ask about this pod."""
    if plan["register"]:
        with contextlib.suppress(PodwrightError):
            _service(environment).unregister(PodPaths(Path(plan["pod"])))


def _flavor(plan: Mapping[str, Any], pod: PodPaths, say: Say) -> None:
    found = stage1.flavor(pod.stage1_rootfs)
    if found is None:
        # rkt goes on without knowing, and so do we: what a flavor means is stage1's own business (M 17).
        say(stage1.NO_FLAVOR)
    if found == stage1.KVM:
        from stages.pod import kvm

        kvm.give_key(DataDir(Path(plan["data"])), pod.stage1_rootfs)


def _service(environment: Mapping[str, str]) -> Service:
    from stages.pod.metadata import Service

    return Service.of(environment)


def _silent(line: str) -> None:
    """Debug lines that nobody asked for."""
