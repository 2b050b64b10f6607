"""stage1: put stage1 into the pod: its manifest and the id of its tree; without overlay its root as well.

Reads stage1's tree id and image. Leaves stage1/manifest, stage1TreeStoreID and, without overlay, stage1/rootfs with
the owners shifted for private users (contract A.13). Fresh when it was done for this tree, shift and way.
"""

from __future__ import annotations

from typing import Any

from stages.base import files
from stages.base.digest import short
from stages.base.verdict import Verdict
from stages.pod import records, roots
from stages.pod.context import STAGE1, Context

VERSION = 2
TASK = "stage1"


def verdict(context: Context) -> Verdict:
    """Whether the pod holds this stage1, whole."""
    found = records.verdict(context.pod, TASK, _inputs(context))
    return found if found.reasons else _outputs(context)


def run(context: Context) -> dict[str, Any]:
    """Put it there. Raises TreeError, ImageError, HostError."""
    pod, recipe = context.pod, context.recipe(STAGE1)
    records.forget(pod, TASK)
    pod.stage1.mkdir(exist_ok=True, mode=0o750)
    files.publish(pod.stage1_manifest, context.images.manifest_bytes(recipe.image_id), durable=False)
    # With another root below, or none, what the apps had in there is gone too: their tasks come after and see it.
    files.discard(pod.stage1_rootfs, context.data.garbage)
    fingerprint = None
    if not context.overlay:
        fingerprint = roots.write(context, recipe, pod.stage1_rootfs, home="opt/stage2")
    files.publish(pod.stage1_tree_id, recipe.tree_id.encode(), durable=False)
    records.write(pod, TASK, _inputs(context), fingerprint=fingerprint, images=recipe.image_ids)  # as in render_app
    return {"tree": recipe.tree_id, "did": f"{context.way()} of {short(recipe.tree_id)}"}


def clean(context: Context) -> None:
    """Take it out of the pod."""
    for path in (context.pod.record(TASK), context.pod.stage1, context.pod.stage1_tree_id):
        files.discard(path, context.data.garbage)


def _inputs(context: Context) -> dict[str, Any]:
    return {"version": VERSION, **context.placement(STAGE1)}


def _outputs(context: Context) -> Verdict:
    pod, recipe = context.pod, context.recipe(STAGE1)
    if files.read_small(pod.stage1_tree_id) != recipe.tree_id.encode():
        return Verdict.stale("stage1TreeStoreID is missing or another")
    if files.read_small(pod.stage1_manifest) != context.images.manifest_bytes(recipe.image_id):
        return Verdict.stale("stage1's manifest is missing or another")
    return roots.verdict(context, TASK, pod.stage1_rootfs)
