"""Writing down a start in which every step was fresh, for stages/pod/again.py to make it again without asking them."""

from __future__ import annotations

import contextlib
import json
import os
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from stages import mount_overlay
from stages.base import files, place
from stages.base.errors import PodwrightError
from stages.graph import steps
from stages.graph.project import CONFIGURATION
from stages.graph.steps import Step
from stages.graph.witness import Witness
from stages.images.lockfile import Hold
from stages.linux import host
from stages.pod import again, labels, lifecycle, mounts, stage1
from stages.pod.context import STAGE1, Context
from stages.spec.model import HostPath


def keep(witness: Witness, word: str, plan: dict[str, Any], asked: Sequence[Step], *, dodo: bool) -> None:
    """Remember the start that `plan` is about to make, unless it cannot be made again from a record.

    asked: the steps that were asked, and fresh. dodo: doit asked them, with the tasks of dodo.py and no others.
    Whatever fails is no trouble: the next run asks the steps once more.
    """
    context = asked[0].context
    with contextlib.suppress(OSError, PodwrightError):
        if _can_be_repeated(context, plan) and _all(context) <= {_key(step) for step in asked}:
            _code(witness)
            # What is not synced a power failure may leave with its inode and its times, and without its bytes.
            witness.saw(host.BOOT)
            # Options may make it a start of another kind: doit's.
            for name in CONFIGURATION:
                witness.saw(name)
            if dodo:
                _doit(witness)
            _labels(witness, context)
            if witness.settled():
                _write(witness, context, word, {**_deeds(context, plan), "dodo": dodo})


def _all(context: Context) -> set[tuple[str, ...]]:
    """The steps that have to be asked before a pod can be said to be prepared."""
    return {_key(step) for step in steps.every(context) if step.prepares}


def _key(step: Step) -> tuple[str, ...]:
    return (step.verb.__name__, *step.arguments)


def _can_be_repeated(context: Context, plan: dict[str, Any]) -> bool:
    """Not what talks to others, what speaks of each act, and what has to be told apart more finely."""
    here = str(context.project) == os.getcwd() and context.hold is Hold.AUTO
    told = host.boot() != ""  # else another boot does not show
    return here and told and context.overlay and _is_simple(context, plan)


def _is_simple(context: Context, plan: dict[str, Any]) -> bool:
    talks = plan["register"] or any(plan["labels"].values()) or plan["options"]["debug"]
    return not talks and _flavor(context) != stage1.KVM


def _flavor(context: Context) -> str | None:
    return stage1.flavor(context.data.tree(context.recipe(STAGE1).tree_id).rootfs)


def _code(witness: Witness) -> None:
    """The code that has been asked is an input too: all of it that is loaded, and dodo.py."""
    for module in list(sys.modules.values()):
        file = getattr(module, "__file__", None)
        if file and file.startswith(again.CODE + os.sep):
            witness.saw(file)
    witness.saw("dodo.py")


def _doit(witness: Witness) -> None:
    """What makes doit the doit that was asked, for whoever starts the pod without loading it: its plugins."""
    import doit

    witness.saw(os.path.dirname(os.path.dirname(doit.__file__)), listed=True)


def _labels(witness: Witness, context: Context) -> None:
    """No verdict asks for labels; where there were none, a policy may be loaded or installed before the next start."""
    with witness.watching():
        witness.spoiled |= any(labels.held(context.data, context.pod))


def start(context: Context, plan: dict[str, Any]) -> dict[str, Any] | None:
    """What is done from a prepared pod on, as again.make does it; None where it has to be done as the plan says.

    Raises PodwrightError, OSError.
    """
    return _start(context, plan, stage1.interface(context.pod)) if _is_simple(context, plan) else None


def _start(context: Context, plan: dict[str, Any], found: stage1.Interface) -> dict[str, Any]:
    pod, ids = context.pod, tuple(plan["shift"]) if plan["shift"] else None
    options = stage1.Options.of(plan["options"])
    added = stage1.environment({}, 0, plan["labels"])
    del added[stage1.LOCK_FD]
    return {
        "pod": str(pod.root),
        "published": [[str(pod.local_config), options.local_config]] if options.local_config else [],
        "mounts": mounts.mounting(plan["mounts"], ids is not None),
        "ids": ids,
        "python": found.python,
        "lines": [] if _flavor(context) else [stage1.NO_FLAVOR],
        "program": _program(context, plan["program"]),
        "argv": stage1.arguments(plan["program"], options, plan["version"]),
        "added": added,
        "lock variable": stage1.LOCK_FD,
    }


def _deeds(context: Context, plan: dict[str, Any]) -> dict[str, Any]:
    """What the run does, as again.py does it."""
    pod, found = context.pod, stage1.interface(context.pod)
    made = _start(context, plan, found)
    layers = mount_overlay.layers(context)
    planned = [str(pod.mount_plan), mounts.planned(pod, layers, "").decode("utf-8", "surrogateescape")]
    gc, gc_argv = lifecycle.gc_command(context.data, pod, stage1.Options.of(plan["options"]).local_config)
    hosts = [one.source for one in context.spec.volumes if isinstance(one.source, HostPath)]
    return made | {
        "published": [planned, *made["published"]],
        "garbage": str(context.data.garbage),
        "store lock": str(context.data.prepare_lock),
        "kept": sorted(lifecycle.OURS),
        "volumes": [[one.path, one.type.value] for one in hosts],
        "gc": gc,
        "gc argv": gc_argv,
        # Of the run that is over: it was this one, or nothing would be as it was.
        "gc mounts": mounts.mounting(plan["mounts"][:1], made["ids"] is not None),
        "mark": found.mark,
        "furniture": mounts.furnishing(pod, layers, made["ids"]),
    }


def _program(context: Context, path: str) -> str:
    """What is executed for stage1's program; its root in the pod is not mounted yet, where it is to be."""
    root = context.pod.stage1_rootfs
    if not context.overlay:
        return stage1.executable(root, path)
    tree = context.data.tree(context.recipe(STAGE1).tree_id).rootfs
    found = stage1.executable(tree, str(tree / os.path.relpath(path, root)))
    return str(root / os.path.relpath(found, tree))


def _write(witness: Witness, context: Context, word: str, deeds: dict[str, Any]) -> None:
    link = place.start_link(str(context.data.root), str(context.project), word)
    if link is None:
        return
    seen = {
        "files": witness.files,
        "names": witness.names,
        "texts": witness.texts,
        "variables": witness.variables,
        "environment": witness.environment,
    }
    record = {"circumstances": again.circumstances(str(context.project), word), **seen, **deeds}
    path = context.pod.remembered_start
    files.publish(path, json.dumps(record, separators=(",", ":")).encode(), 0o600, durable=False)
    _point(Path(link), path)


def _point(link: Path, path: Path) -> None:
    """Have the link lead to the record; it dangles when the pod is removed, and is made anew with the next."""
    with contextlib.suppress(OSError):
        if os.readlink(link) == str(path):
            return
    files.make_directory(link.parent, 0o700)
    temporary = link.with_name(f".{link.name}.{os.urandom(4).hex()}")
    os.symlink(path, temporary)
    os.rename(temporary, link)
