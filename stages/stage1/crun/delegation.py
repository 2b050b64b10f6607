"""Where a pod's control groups lie: below that of the unit that started it, where systemd leaves it to the unit.

Then the unit's limits count for the apps, and the journal knows whose words theirs are; at the top of the hierarchies,
where they lie otherwise, nothing tells that an app belongs to the unit.
"""

from __future__ import annotations

import errno
import os
import time

from stages.stage1.crun import cgroups
from stages.stage1.lib import init

# What systemd marks a group with that it leaves to its unit (`Delegate=`).
_MARK = "trusted.delegate"
# Processes of a version 2 group and controllers for groups below it exclude each other, so they get a group too.
_OWN = "/podwright-init"
# Somebody who is just being started may come back; in seconds.
_PATIENCE, _PAUSE = 1.0, 0.002


def settle(layout: cgroups.Layout) -> str:
    """The control group, from the top of every hierarchy, that the pod's is to be made in; "" for the top itself.

    With version 2 the processes of the unit move into a group of their own, so that the apps' can have controllers.
    """
    top, own = layout.tracked
    # The unit's group, or one in it that `DelegateSubgroup=` names.
    for group in (own, own.rpartition("/")[0]) if own else ():
        if _is_delegated(top + group):
            return group if layout.version == 1 or _makes_room(top + group, layout.controllers) else ""
    if own and _speaks_to_journal():
        init.say("`Delegate=yes` in the unit has its limits count for apps, and `journalctl -u` show what they say")
    return ""


def tidy(parent: str, roots: tuple[str, ...]) -> None:
    """Take away what settle() and the runtime made on the way to the pod's group, as far as nobody is in it.

    The unit's own group, and what is above it, is systemd's.
    """
    for root in roots if parent else ():
        above = [] if _is_delegated(root + parent) else _upwards(root, parent)
        for path in (root + parent + _OWN, *above):
            try:
                os.rmdir(path)
            except FileNotFoundError:
                continue
            except OSError:
                break


def _upwards(root: str, group: str) -> list[str]:
    parts = group.split("/")
    return [root + "/".join(parts[:count]) for count in range(len(parts), 1, -1)]


def _is_delegated(directory: str) -> bool:
    try:
        return os.getxattr(directory, _MARK) == b"1"
    except OSError:
        return False


def _makes_room(directory: str, controllers: frozenset[str]) -> bool:
    end = time.monotonic() + _PATIENCE
    while True:
        try:
            os.makedirs(directory + _OWN, 0o755, exist_ok=True)
            _move_all(directory, directory + _OWN)
            held = controllers & set(_read(f"{directory}/cgroup.controllers").split())
            _write(f"{directory}/cgroup.subtree_control", " ".join(f"+{one}" for one in sorted(held)))
        except OSError as error:
            if error.errno != errno.EBUSY or time.monotonic() > end:
                return False
            time.sleep(_PAUSE)
        else:
            return True


def _move_all(source: str, target: str) -> None:
    for process in _read(f"{source}/cgroup.procs").split():
        try:
            _write(f"{target}/cgroup.procs", process)
        except ProcessLookupError:
            continue


def _read(path: str) -> str:
    with open(path, encoding="ascii") as file:
        return file.read()


def _write(path: str, text: str) -> None:
    with open(path, "w", encoding="ascii") as file:
        file.write(text)


def _speaks_to_journal() -> bool:
    """Whether what apps write goes to the journal (systemd.exec(5), JOURNAL_STREAM)."""
    told = os.environ.get("JOURNAL_STREAM", "")
    for stream in (1, 2):
        try:
            status = os.fstat(stream)
        except OSError:
            continue
        if told == f"{status.st_dev}:{status.st_ino}":
            return True
    return False
