"""What a run with overlay mounts: the writable layers made ready, the mounts as a plan, and the plan carried out.

The plan is made while the tasks run; the mounts are made afterwards, in the process that becomes stage1, in a mount
namespace of its own. So no failed step and no dead pod leaves a mount on the host, and workers may prepare.
"""

from __future__ import annotations

import json
import os
import stat
from pathlib import Path
from typing import Any

from stages.base import files
from stages.base.digest import canonical
from stages.base.errors import PodError
from stages.base.paths import PodPaths
from stages.base.records import NamedTuple
from stages.linux import acts, selinux
from stages.linux.acts import Act
from stages.linux.overlay import Overlay
from stages.trees import forms
from stages.trees.forms import Lower

_DIRECTORY = 0o750
_FURNITURE = ("opt", "opt/stage2", "rkt", "rkt/status")
# First id and number of ids of the pod's user namespace; None without one.
Ids = tuple[int, int] | None
# Owner, group and mode.
Attributes = tuple[int, int, int]


class Layer(NamedTuple):
    """A tree that becomes a root file system of the pod: stage1's (app == "") or an app's."""

    app: str
    tree_id: str
    lower: Lower
    root: Attributes


def fresh_layers(pod: PodPaths, layers: tuple[Layer, ...], ids: Ids, label: str) -> None:
    """Make empty writable layers for a run, and the plan (contract A.12, A.14, A.16); stage1's comes first."""
    acts.do(furnishing(pod, layers, ids))
    for layer in layers:
        for path in (pod.upper(layer.tree_id, layer.app), pod.work(layer.tree_id, layer.app)):
            selinux.set_file_label(path, label)
    files.publish(pod.mount_plan, planned(pod, layers, label), durable=False)


def planned(pod: PodPaths, layers: tuple[Layer, ...], label: str) -> bytes:
    """The mounts of a run, as the file says them."""
    plan = []
    for layer in layers:
        upper, work = pod.upper(layer.tree_id, layer.app), pod.work(layer.tree_id, layer.app)
        target = pod.stage2_rootfs(layer.app) if layer.app else pod.stage1_rootfs
        overlay = Overlay(layer.lower.path, str(upper), str(work), str(target), label)
        plan.append({"lower": layer.lower._asdict(), "overlay": overlay._asdict()})
    return canonical(plan)


def furnishing(pod: PodPaths, layers: tuple[Layer, ...], ids: Ids) -> list[Act]:
    """The acts that make the writable layers.

    What stage1 finds below its root beyond its own image is made in its upper directory, before anything is mounted:
    the apps' directories and manifests, and rkt/status, so that it can be read there when nothing is mounted any
    more. No name of an image is followed for it.
    """
    made = [acts.directory(str(pod.overlay), _DIRECTORY)]
    for layer in layers:
        upper, work = pod.upper(layer.tree_id, layer.app), pod.work(layer.tree_id, layer.app)
        above = [*_directories(pod.overlay, upper.parent), *_directories(pod.overlay, work)]
        made += [act for act in above if act not in made]
        made.append(_made(upper, layer.root, ids))
    made.append(acts.directory(str(pod.stage1_rootfs), 0o755))
    first = layers[0]
    upper, lower = pod.upper(first.tree_id), Path(first.lower.path)
    made += [_made(upper / name, _attributes(lower / name), ids) for name in _FURNITURE]
    for layer in layers[1:]:
        home = upper / "opt" / "stage2" / layer.app
        # stage1's own: a pod with private users goes through here on the way to its apps.
        made.append(_made(home, (0, 0, _DIRECTORY), ids))
        made.append(acts.copy(str(pod.app_manifest(layer.app)), str(home / "manifest"), _shifted((0, 0), ids)))
        made.append(_made(home / "rootfs", layer.root, ids))
    return made


def read_plan(pod: PodPaths) -> list[dict[str, Any]]:
    """The plan of this run, as JSON values. Raises PodError when nobody made one."""
    data = files.read_small(pod.mount_plan)
    if data is None:
        hint = "`doit run pod=NAME`, without -s, does what comes before"
        raise PodError("the mounts of this run are not planned", hint=hint, reason="no-plan")
    plan: list[dict[str, Any]] = json.loads(data)
    return plan


def carry_out(plan: list[dict[str, Any]], ids: Ids) -> None:
    """Leave the host's mount namespace and mount the plan, which without overlay is empty. Raises HostError,
    OSError.

    What stage1 itself mounts in the pod's directory must not be on the host either: whoever deletes the pod would
    go through it into the host's own files. Without root nobody can mount anything, nor leave.
    """
    if not plan and os.geteuid() != 0:
        return
    acts.mount_privately(mounting(plan, ids is not None), ids)


def of_stage1(pod: PodPaths) -> tuple[list[Act], Ids]:
    """The acts that mount stage1's root of the run that is over, as the run had it, and the pod's ids.

    None without overlay: it is there anyway; and none where what the run left cannot be read any more.
    """
    try:
        ids = [int(one) for one in (files.read_small(pod.private_users_prepared) or b"").split(b":") if one]
        shift = (ids[0], ids[1]) if len(ids) == 2 else None
        return mounting(read_plan(pod)[:1], shift is not None), shift
    except (PodError, OSError, ValueError, RecursionError, KeyError, TypeError):
        return [], None


def mounting(plan: list[dict[str, Any]], shifted: bool) -> list[Act]:
    """The acts that mount the plan.

    A tree that has to be mounted or shifted gets a place of its own beside the work directory: two apps may have one
    tree, so its own directory in the store cannot be the place.
    """
    made: list[Act] = []
    for entry in plan:
        lower, overlay = Lower(**entry["lower"]), Overlay(**entry["overlay"])
        if lower.image or shifted:
            place = f"{overlay.work}.lower"
            made.append(acts.directory(place, 0o755))
            made += forms.mounting(lower, place, shifted)
            overlay = overlay._replace(lower=place)
        made.append(acts.overlay(overlay.options(), overlay.target))
    return made


def _attributes(path: Path) -> Attributes:
    """Those of the directory at `path`, or what a directory has that nobody made."""
    try:
        status = os.stat(path, follow_symlinks=False)
    except OSError:
        return 0, 0, 0o755
    if not stat.S_ISDIR(status.st_mode):
        return 0, 0, 0o755
    return status.st_uid, status.st_gid, stat.S_IMODE(status.st_mode)


def _made(path: Path, attributes: Attributes, ids: Ids) -> Act:
    """A directory with these attributes, shifted."""
    uid, gid, mode = attributes
    return acts.directory(str(path), mode, _shifted((uid, gid), ids))


def _shifted(owner: tuple[int, int], ids: Ids) -> tuple[int, int]:
    base = ids[0] if ids else 0
    return owner[0] + base, owner[1] + base


def _directories(above: Path, path: Path) -> list[Act]:
    """`path` and what is between it and `above`, which exists."""
    if path == above:
        return []
    return [*_directories(above, path.parent), acts.directory(str(path), _DIRECTORY)]
