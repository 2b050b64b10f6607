"""Which pod a word means: UUID, unique prefix of it, or name; by the project's specs, or by what is on disk."""

from __future__ import annotations

import os
from pathlib import Path

from stages.base import files
from stages.base.errors import PodError, SpecError
from stages.base.paths import DataDir, PodPaths
from stages.base.records import NamedTuple
from stages.spec import names
from stages.spec.catalog import Catalog, begins


class Found(NamedTuple):
    """A pod: its UUID, its name ("" when nobody knows it) and its directory, which may not exist yet."""

    uuid: str
    name: str
    paths: PodPaths

    @property
    def called(self) -> str:
        """What people are told: the name if there is one."""
        return self.name or self.uuid


def one(data: DataDir, project: Path | None, word: str) -> Found:
    """The pod that `word` means. The specs of the project come first, what has only a directory after them.

    Raises SpecError or PodError when it means none, or more than one.
    """
    if not word:
        raise PodError("which pod?", hint="name it: pod=NAME, or pod=UUID; `doit ps` lists them", reason="no-pod")
    if project is None:
        return _only(_by_directory(data, word), word)
    try:
        spec = Catalog(project, data.cache).select(word)
    except SpecError:
        # A pod outlives its spec; what has a directory can still be looked at and removed.
        if known := _by_directory(data, word):
            return _only(known, word)
        raise
    return Found(spec.uid, spec.name, data.pod(spec.uid))


def every(data: DataDir) -> list[Found]:
    """All pods of the data directory, half-made and damaged ones too; what is no pod at all is left out."""
    return [Found(name, _name(data.pod(name)), data.pod(name)) for name in _listed(data) if names.uuid(name) == name]


def namesakes(data: DataDir, pod: Found) -> str:
    """The hint for a pod that is absent: which others have its name, as when its spec had another UUID; "" for none."""
    others = [one.uuid for one in every(data) if one.name and one.name == pod.name and one.uuid != pod.uuid]
    return f"another pod is called {pod.name}, name it by its UUID: {', '.join(others)}" if others else ""


def strangers(data: DataDir) -> list[str]:
    """What else lies in the folder of the pods."""
    return [name for name in _listed(data) if names.uuid(name) != name]


def _listed(data: DataDir) -> list[str]:
    try:
        return sorted(os.listdir(data.pods))
    except FileNotFoundError:
        return []


def _by_directory(data: DataDir, word: str) -> list[Found]:
    known = every(data)
    exact = [pod for pod in known if word in (pod.name, pod.uuid)]
    return exact or [pod for pod in known if begins(pod.uuid, word)]


def _only(found: list[Found], word: str) -> Found:
    if len(found) == 1:
        return found[0]
    if not found:
        raise PodError(f"no pod {word!r}", hint="`doit ps` lists the pods of this host", reason="unknown-pod")
    listed = ", ".join(pod.uuid for pod in found)
    raise PodError(f"{word!r} means {len(found)} pods: {listed}", hint="name one by its UUID", reason="ambiguous")


def _name(pod: PodPaths) -> str:
    try:
        return (files.read_small(pod.name, 4096) or b"").decode()
    except UnicodeDecodeError:
        return ""
