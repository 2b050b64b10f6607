"""What a pod's directory tells about it, whatever state it is in: never an error for a damaged or half-made one."""

from __future__ import annotations

import contextlib
import os
import time
from pathlib import Path
from typing import Any

from stages.base import files
from stages.base.errors import PodError
from stages.base.paths import PodPaths
from stages.base.records import NamedTuple
from stages.pod import state
from stages.pod.state import State

# Between two looks at a pod that is about to say its pid, in seconds.
_PAUSE = 0.02
# What a spec may say; a ready manifest may say anything.
_MOST_GRACE = 86400.0


class Facts(NamedTuple):
    """state; pid of the running init or None; apps: names; codes: exit code of each app that ended; when the pod got
    its directory, last started and last ended, in seconds since the epoch, None where nobody knows; trees: the ids of
    the trees it uses; networks: (name, address) of those that a running pod is connected to.
    """

    state: State
    pid: int | None
    apps: tuple[str, ...]
    codes: dict[str, int]
    created: float | None
    started: float | None
    ended: float | None
    trees: frozenset[str]
    networks: tuple[tuple[str, str], ...]


def of(pod: PodPaths) -> Facts:
    """Read them."""
    now = state.state(pod)
    codes, ended = _codes(pod)
    ran = now in (State.RUNNING, State.EXITED)
    return Facts(
        state=now,
        pid=_pid(pod) if now is State.RUNNING else None,
        apps=_apps(pod),
        codes=codes,
        # The name is written first of all, and again only when the pod is called otherwise.
        created=_modified(pod.name),
        started=_modified(pod.phase) if ran else None,
        ended=(ended or _modified(pod.phase)) if now is State.EXITED else None,
        trees=_trees(pod),
        networks=_networks(pod) if now is State.RUNNING else (),
    )


def tree_id(path: Path) -> str:
    """The id of a tree that a file of the pod names, or "" where it has none: it becomes a path."""
    found = _text(path)
    return found if found.isascii() and found.replace("-", "").isalnum() else ""


def entered_pid(pod: PodPaths) -> int | None:
    """The process that `enter` takes: the one in `pid`, or the only child of the one in `ppid` (contract B.1, C.5).

    Waits while the pod runs and stage1 has not said it yet; None when the pod does not run. Raises PodError when
    ppid has several children.
    """
    while state.state(pod) is State.RUNNING:
        pid = _number(pod.pid) or _only_child(_number(pod.ppid))
        if pid is not None:
            return pid
        time.sleep(_PAUSE)
    return None


def await_pid(pod: PodPaths, seconds: float) -> None:
    """Wait, at most `seconds`, while the pod runs and stage1 has not said a pid yet."""
    end = time.monotonic() + seconds
    while state.state(pod) is State.RUNNING and _pid(pod) is None and time.monotonic() < end:
        time.sleep(_PAUSE)


def grace(pod: PodPaths) -> float:
    """The seconds that the apps have to end when they are asked to; 0 where that is left to stage1."""
    from stages.pod.manifest import GRACE_ANNOTATION

    with contextlib.suppress(KeyError, TypeError, ValueError):
        named = {one["name"]: one["value"] for one in _document(pod)["annotations"]}
        return min(max(0.0, float(named[GRACE_ANNOTATION])), _MOST_GRACE)
    return 0.0


def _only_child(parent: int | None) -> int | None:
    if parent is None:
        return None
    import psutil

    try:
        children = psutil.Process(parent).children()
    except psutil.NoSuchProcess:
        return None
    if len(children) > 1:
        raise PodError(f"stage1's process {parent} has {len(children)} children: which is the pod's?", reason="pid")
    return int(children[0].pid) if children else None


def _pid(pod: PodPaths) -> int | None:
    """What stage1 wrote: the pid that `enter` takes, or the pid of its parent (contract B.1)."""
    return _number(pod.pid) or _number(pod.ppid)


def _number(path: Path) -> int | None:
    text = _text(path)
    return int(text) if _is_number(text) else None


def _is_number(text: str) -> bool:
    return text.isascii() and text.isdecimal() and len(text) <= 10


def _document(pod: PodPaths) -> Any:
    """The pod manifest, or None."""
    return files.read_value(pod.manifest)


def _apps(pod: PodPaths) -> tuple[str, ...]:
    document = _document(pod)
    with contextlib.suppress(KeyError, TypeError):
        return tuple(str(app["name"]) for app in document["apps"])
    with contextlib.suppress(OSError):
        return tuple(sorted(os.listdir(pod.appsinfo)))
    return ()


def _codes(pod: PodPaths) -> tuple[dict[str, int], float | None]:
    """The exit codes that stage1 wrote, and when the last one was written. The directory is what an app may reach."""
    overlay = pod.overlay_prepared.exists()
    directory = pod.status(tree_id(pod.stage1_tree_id) if overlay else None)
    codes, times = {}, []
    with contextlib.suppress(OSError), os.scandir(directory) as found:
        for item in found:
            if item.is_file(follow_symlinks=False) and _is_number(text := _text(Path(item.path))):
                codes[item.name] = int(text)
                times.append(item.stat(follow_symlinks=False).st_mtime)
    return dict(sorted(codes.items())), max(times, default=None)


def _trees(pod: PodPaths) -> frozenset[str]:
    found = {tree_id(pod.stage1_tree_id)}
    with contextlib.suppress(OSError):
        found |= {tree_id(pod.app_tree_id(app)) for app in os.listdir(pod.appsinfo)}
    return frozenset(found - {""})


def _networks(pod: PodPaths) -> tuple[tuple[str, str], ...]:
    """What stage1 wrote to net-info.json; rkt's stage1 writes the same keys (contract B.1)."""
    with contextlib.suppress(AttributeError, KeyError, TypeError):
        listed = files.read_value(pod.net_info) or ()
        return tuple((str(one["netName"]), str(one.get("ip") or "")) for one in listed)
    return ()


def _modified(path: Path) -> float | None:
    try:
        return os.stat(path, follow_symlinks=False).st_mtime
    except OSError:
        return None


def _text(path: Path) -> str:
    """The text of a small file of ours, or ""."""
    try:
        return (files.read_small(path, 4096) or b"").decode().strip()
    except UnicodeDecodeError:
        return ""
