"""Ranges of user ids for pods with private users: each range has one pod, and the pod keeps it (contract G).

No other pod of the host may have the range, in whatever data directory it is, running or not: its files have these
owners. So the data directories of the host know of each other, by links in one place, and choose one after the other.
"""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterator
from pathlib import Path

from stages.base import files
from stages.base.digest import sha256_hex
from stages.base.errors import FULL, HostError, PodError
from stages.base.host_dir import HostDir
from stages.base.paths import DataDir, PodPaths
from stages.linux import locks

COUNT = 65536
# The top bit of a shifted id stays clear: devpts reads ids as signed (contract G).
_LAST_SLOT = 0x7FFF
_ATTEMPTS = 1000


def held(data: DataDir, pod: PodPaths, host: HostDir) -> tuple[int, int]:
    """The pod's range, (first id, number of ids); taken now if it has none.

    Raises PodError when all are taken, and for a pod that has no directory: who only looks takes nothing. Raises
    HostError when the host's other pods cannot be asked, OSError when the disk is full.
    """
    if not pod.root.is_dir():
        raise PodError("the pod was never begun, so it has no range of user ids", reason="not-begun")
    files.make_directory(data.shifts)
    if (mine := known(data, pod)) is not None:
        return mine
    try:
        files.make_directory(host.data_directories)
        with locks.held(host.ids_lock):
            _make_known(data, host)
            return _choose(data, pod, host)
    except OSError as error:
        if error.errno in FULL:
            raise
        raise HostError(
            f"cannot find out which user ids other pods of this host have: {error.filename}: {error.strerror}",
            hint="PODWRIGHT_HOST_DIR names another place where the data directories of the host know of each other",
            reason="host-directory",
        ) from error


def reserve(data: DataDir, pod: PodPaths, chosen: tuple[int, int], host: HostDir) -> None:
    """Note the range that a spec chose itself, (first id, number of ids), so that nobody gets it by chance.

    A pod without a directory reserves nothing. Where the host's place cannot be written, only this data directory
    knows. Pods whose specs choose the same range have it together. Raises OSError.
    """
    text = f"{chosen[0]}:{chosen[1]}".encode()
    if not pod.root.is_dir() or files.read_small(pod.shift) == text:
        return
    with contextlib.ExitStack() as alone:
        with contextlib.suppress(OSError):
            files.make_directory(host.data_directories)
            alone.enter_context(locks.held(host.ids_lock))
            _make_known(data, host)
        give_back(data, pod)
        files.publish(pod.shift, text)


def known(data: DataDir, pod: PodPaths) -> tuple[int, int] | None:
    """The range that the pod has, if it has one."""
    slot = files.read_small(pod.shift)
    if slot is not None and slot.isdigit() and _owner(data.shifts / slot.decode()) == pod.root.name:
        return int(slot) * COUNT, COUNT
    return None


def give_back(data: DataDir, pod: PodPaths) -> None:
    """The pod is going: its range is free."""
    slot = files.read_small(pod.shift)
    if slot is not None and slot.isdigit() and _owner(data.shifts / slot.decode()) == pod.root.name:
        (data.shifts / slot.decode()).unlink()


def _make_known(data: DataDir, host: HostDir) -> None:
    link = host.data_directories / sha256_hex(os.fsencode(data.root))[:32]
    if _owner(link) is None:
        os.symlink(data.root, link)


def _choose(data: DataDir, pod: PodPaths, host: HostDir) -> tuple[int, int]:
    """Take a range by chance. The caller is alone in this on the host."""
    import random

    from stages.linux import id_ranges

    taken = [*id_ranges.taken(), *_of_pods(data), *_of_neighbours(host)]
    for _ in range(_ATTEMPTS):
        start = random.randint(1, _LAST_SLOT) * COUNT
        if any(start < end and first < start + COUNT for first, end in taken):
            continue
        slot = str(start // COUNT)
        try:
            os.symlink(pod.root.name, data.shifts / slot)
        except FileExistsError:
            continue
        try:
            files.publish(pod.shift, slot.encode())
        except OSError:
            (data.shifts / slot).unlink()  # what the pod does not know it would never give back
            raise
        return start, COUNT
    raise PodError("no range of user ids is free", hint="`doit gc` removes pods that are over", reason="no-shift")


def _of_neighbours(host: HostDir) -> Iterator[tuple[int, int]]:
    """First id and end of the ranges in all data directories; one that is gone, or not mounted now, says nothing."""
    for name in os.listdir(host.data_directories):
        root = _owner(host.data_directories / name)
        if root is not None:
            yield from _of_pods(DataDir(Path(root)))


def _of_pods(data: DataDir) -> Iterator[tuple[int, int]]:
    """First id and end of the ranges of a data directory's pods, those that specs chose themselves too."""
    for slot in _names(data.shifts):
        if slot.isdecimal():
            yield int(slot) * COUNT, (int(slot) + 1) * COUNT
    for name in _names(data.pods):
        # What was reserved, and what was prepared before: files may have these owners still.
        for path in (data.pod(name).shift, data.pod(name).private_users_prepared):
            first, _, count = (files.read_small(path, 64) or b"").decode(errors="replace").partition(":")
            if first.isdecimal() and count.isdecimal():
                yield int(first), int(first) + int(count)


def _names(folder: Path) -> list[str]:
    try:
        return os.listdir(folder)
    except OSError:
        return []


def _owner(link: Path) -> str | None:
    try:
        return os.readlink(link)
    except OSError:
        return None
