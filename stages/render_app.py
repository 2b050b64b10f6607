"""app: put one app into the pod: its image manifest and the id of its tree; without overlay its rendered tree.

Reads the app's tree id and image. Leaves appsinfo/<app>/ and, without overlay, opt/stage2/<app>/ below stage1's
root, owners shifted for private users (contract A.11). Fresh when it was done for this tree, shift and way, and
without overlay when nothing has run in it.
"""

from __future__ import annotations

from typing import Any

from stages.base import files
from stages.base.digest import short
from stages.base.verdict import Verdict
from stages.pod import records, roots
from stages.pod.context import Context

VERSION = 3


def verdict(context: Context, app: str) -> Verdict:
    """Whether the pod holds this app, whole."""
    found = records.verdict(context.pod, f"app:{app}", _inputs(context, app))
    return found if found.reasons else _outputs(context, app)


def run(context: Context, app: str) -> dict[str, Any]:
    """Put it there. Raises TreeError, ImageError, HostError."""
    pod, recipe = context.pod, context.recipe(app)
    manifest = context.images.manifest_bytes(recipe.image_id)
    records.forget(pod, f"app:{app}")
    files.make_directory(pod.app_info(app), 0o750)
    fingerprint = None
    if context.overlay:
        files.publish(pod.app_tree_id(app), recipe.tree_id.encode(), durable=False)
    else:
        # Its absence tells image gc that no tree is held here (contract A.11, 6).
        pod.app_tree_id(app).unlink(missing_ok=True)
        files.discard(pod.stage2(app), context.data.garbage)
        roots.make_parents(pod.stage1_rootfs, pod.stage2(app))
        fingerprint = roots.write(context, recipe, pod.stage2_rootfs(app))
        files.publish(pod.stage2(app) / "manifest", manifest)
        roots.give(context, pod.stage2(app), pod.stage2(app) / "manifest")
    files.publish(pod.app_manifest(app), manifest, durable=False)
    # For `doit images gc`: where the app's root is its own, there is no tree that names what it is made of.
    held = {"fingerprint": fingerprint, "images": recipe.image_ids}
    records.write(pod, f"app:{app}", _inputs(context, app), **held)
    return {"tree": recipe.tree_id, "did": f"{context.way()} of {short(recipe.tree_id)}"}


def clean(context: Context, app: str) -> None:
    """Take it out of the pod."""
    for path in (context.pod.record(f"app:{app}"), context.pod.app_info(app)):
        files.discard(path, context.data.garbage)


def _inputs(context: Context, app: str) -> dict[str, Any]:
    return {"version": VERSION, **context.placement(app)}


def _outputs(context: Context, app: str) -> Verdict:
    pod, recipe = context.pod, context.recipe(app)
    if files.read_small(pod.app_manifest(app)) != context.images.manifest_bytes(recipe.image_id):
        return Verdict.stale(f"appsinfo/{app}/manifest is missing or another")
    held = files.read_small(pod.app_tree_id(app))
    if held != (recipe.tree_id.encode() if context.overlay else None):
        return Verdict.stale(f"appsinfo/{app}/treeStoreID is missing or another")
    return roots.verdict(context, f"app:{app}", pod.stage2_rootfs(app))
