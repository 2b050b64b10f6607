"""overlay: make empty writable layers for this run, and plan the mounts of stage1's and every app's root.

Reads the trees. Leaves overlay/<tree id>/upper and work, and the plan. Never fresh with overlay, as the mounts end
with each run: they are made at the hand-over, in the mount namespace of the process that becomes stage1. Without
overlay there is nothing to do.
"""

from __future__ import annotations

from typing import Any

from stages.base import files
from stages.base.verdict import FRESH, Verdict
from stages.pod import mounts
from stages.pod.context import STAGE1, Context

OF_THE_RUN = True


def verdict(context: Context) -> Verdict:
    """Every run mounts anew."""
    return Verdict.stale("mounts end with each run") if context.overlay else FRESH


def run(context: Context) -> dict[str, Any]:
    """Make the layers. Value: how many. Raises HostError, OSError."""
    pod = context.pod
    files.discard(pod.overlay, context.data.garbage)
    found = layers(context)
    mounts.fresh_layers(pod, found, context.shift_pair(), context.labels.mount)
    return {"layers": len(found)}


def layers(context: Context) -> tuple[mounts.Layer, ...]:
    """The trees that become root file systems, stage1's first."""
    return tuple(_layer(context, name) for name in (STAGE1, *context.app_names))


def _layer(context: Context, name: str) -> mounts.Layer:
    tree_id, trees = context.recipe(name).tree_id, context.trees
    return mounts.Layer("" if name == STAGE1 else name, tree_id, trees.lower(tree_id), trees.root(tree_id))


def clean(context: Context) -> None:
    """Throw the writable layers away."""
    files.discard(context.pod.overlay, context.data.garbage)
