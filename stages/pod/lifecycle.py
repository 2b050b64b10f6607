"""What happens to a pod directory between runs: begun, cleared of an old run, taken away."""

from __future__ import annotations

import os
import stat
from pathlib import Path

from stages.base import files
from stages.base.errors import FULL, PodError
from stages.base.paths import DataDir, PodPaths
from stages.base.progress import Progress
from stages.pod import again, facts, mounts, shifts, stage1, state
from stages.pod.state import Phase

# What preparation made, or needs again. Everything else in the directory is an earlier run's.
OURS = frozenset(
    ("pod", "appsinfo", "stage1", "stage1TreeStoreID", "overlay-prepared", "private-users-prepared")
    + ("records", "doit.db", "doit.db-journal", "doit.db-wal", "doit.db-shm", "phase", "shift", "name", "selinux-level")
    + ("start.json",)
)

_FOLDERS = frozenset(("appsinfo", "stage1", "records", "rootfs"))


def begin(data: DataDir, pod: PodPaths, name: str, progress: Progress) -> None:
    """Make the pod ready to be prepared; the caller holds its lock. An old run is cleared away first."""
    _straighten(data, pod)
    if files.read_small(pod.name) != name.encode():
        files.publish(pod.name, name.encode(), 0o644, durable=False)
    if again.has_run(str(pod.root)):
        collect(data, pod, progress)
    state.enter(pod, Phase.PREPARING)


def _straighten(data: DataDir, pod: PodPaths) -> None:
    """Take away what is no file, or no directory, where we have one: somebody's damage, which nothing could replace."""
    for path in (*(pod.root / name for name in sorted(OURS)), pod.stage1_manifest, pod.stage1_rootfs):
        _straighten_one(data, path, folder=path.name in _FOLDERS)
    for app in files.listed(pod.appsinfo):
        _straighten_one(data, app, folder=True)
        for file in files.listed(app):
            _straighten_one(data, file, folder=False)
    for file in files.listed(pod.records):
        _straighten_one(data, file, folder=False)


def _straighten_one(data: DataDir, path: Path, *, folder: bool) -> None:
    try:
        mode = os.lstat(path).st_mode
    except OSError:
        return
    if not (stat.S_ISDIR(mode) if folder else stat.S_ISREG(mode)):
        files.discard(path, data.garbage)


def collect(data: DataDir, pod: PodPaths, progress: Progress) -> None:
    """Do for an exited run what rkt's gc does (contract C.14, H.5), and keep what preparation made.

    stage1's own gc first, while its files are still there; its failure is told and does not stop us (M 25). Then
    everything that the run wrote: writable layers, volumes, pid, status. Without overlay the apps wrote into their
    rendered trees and could have written into stage1's, so these go too.
    """
    _unregister(pod, progress)
    _stage1_gc(data, pod, progress)
    with os.scandir(pod.root) as found:
        leftovers = [Path(item.path) for item in found if item.name not in OURS]
    if not pod.overlay_prepared.exists():
        leftovers.append(pod.stage1_rootfs)
    for path in leftovers:
        files.discard(path, data.garbage)


def remove(data: DataDir, pod: PodPaths, progress: Progress) -> None:
    """Take the whole pod away; the caller holds its lock."""
    if again.has_run(str(pod.root)):
        again.forget_process(str(pod.root))
        _unregister(pod, progress)
        _stage1_gc(data, pod, progress)
    try:
        state.enter(pod, Phase.DELETING)
    except OSError as error:
        # To remove a pod is how room is made. Until it is renamed it says that it is what it was.
        if error.errno not in FULL:
            raise
    shifts.give_back(data, pod)
    files.discard(pod.root, data.garbage)


def stage1_root(data: DataDir, pod: PodPaths) -> Path:
    """Where stage1's programs can be run from while the pod is not running: its tree in the store."""
    tree_id = facts.tree_id(pod.stage1_tree_id)
    if not tree_id:
        raise PodError("the pod has no stage1 tree", reason="no-stage1")
    return data.tree(tree_id).rootfs


def _unregister(pod: PodPaths, progress: Progress) -> None:
    """Before stage1's gc (contract H.5); a service that is gone has forgotten the pod already."""
    if not pod.mds_registered.exists():
        return
    from stages.pod.metadata import Service

    try:
        Service.of(os.environ).unregister(pod)
    except PodError as error:
        progress.warn(error.sentence)


def gc_command(data: DataDir, pod: PodPaths, local_config: str) -> tuple[str, list[str]]:
    """How stage1's gc is called (contract H.5): what is executed, and its argv. Raises PodError."""
    found, root = stage1.interface(pod), stage1_root(data, pod)
    path = stage1.program(root, found.entrypoint("gc"))
    return stage1.executable(root, path), stage1.gc_arguments(path, pod.root.name, local_config, found.version)


def _config(pod: PodPaths) -> str:
    """The directory of local configuration that the last run was told of."""
    return (files.read_small(pod.local_config) or b"").split(b"\0")[0].decode(errors="surrogateescape")


def _stage1_gc(data: DataDir, pod: PodPaths, progress: Progress) -> None:
    try:
        if (mark := stage1.interface(pod).mark) and (pod.root / mark).is_file():
            return
        program, argv = gc_command(data, pod, _config(pod))
        code = again.run_gc(program, argv, str(pod.root), *mounts.of_stage1(pod))
    except (PodError, OSError) as error:
        progress.warn(f"stage1's gc could not be run: {error}")
        return
    if code:
        progress.warn(f"stage1's gc ended with {code}")
