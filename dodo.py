"""podwright: a committed pod spec becomes a running pod.

doit run pod=NAME runs what is out of date of the tasks below, in their order, and the last one becomes the pod.
"""

from pathlib import Path

from doit import get_var

from stages import (
    copy_stage1,
    import_image,
    mount_overlay,
    render_app,
    render_tree,
    start_init,
    write_manifest,
)
from stages.graph import listing, session
from stages.graph.tasks import Row, Rows, row, rows

POD = session.select(get_var("pod"), Path(__file__).parent)
DOIT_CONFIG = session.configuration(POD)


def task_pods() -> Row:
    """the pods of this project (what plain `doit` prints)"""
    return listing.task(Path(__file__).parent)


def task_image() -> Rows:
    """archives -> images in the store"""
    return rows(import_image, POD, "image_rows")


def task_tree() -> Rows:
    """images and their dependencies -> trees in the tree store"""
    return rows(render_tree, POD, "tree_rows", "image_tasks")


def task_stage1() -> Row | None:
    """stage1's tree -> the pod"""
    return row(copy_stage1, POD, after=["tree:stage1"])


def task_app() -> Rows:
    """an app's tree -> the pod"""
    return rows(render_app, POD, "app_names", "tree_tasks")


def task_manifest() -> Row | None:
    """spec and image manifests -> the pod manifest; the pod is prepared"""
    return row(write_manifest, POD, after=["stage1", "app"])


def task_overlay() -> Row | None:
    """trees -> the root file systems of this run"""
    return row(mount_overlay, POD, after=["manifest"])


def task_init() -> Row | None:
    """the prepared pod -> the running pod"""
    return row(start_init, POD, after=["overlay"], saved=session.HANDOVER.plan)
