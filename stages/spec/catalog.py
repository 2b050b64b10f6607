"""The specs of a project: which file is the pod that a person means, and which files there are.

Selecting one looks at the others with a stat each, and reads none that it has seen before. What it hands out always
comes from the chosen file's bytes of now.
"""

from __future__ import annotations

import contextlib
import os
import re
from collections.abc import Mapping
from functools import cached_property
from pathlib import Path
from typing import Any

from stages.base.errors import SpecError
from stages.base.records import NamedTuple
from stages.spec import ahead, names, parse
from stages.spec.cache import Cache, Row, stamp
from stages.spec.model import PodSpec

FOLDER = "pods"
SUFFIXES = (".yaml", ".yml")
SHORTEST_PREFIX = 4  # hex digits of a UUID

_PREFIX = r"[0-9a-f-]+"


class Entry(NamedTuple):
    """One spec file. name, uid: as the file says, "" where it does not. problem: one line, or None for a good one."""

    name: str
    uid: str
    path: Path
    problem: str | None = None


class Catalog:
    """The files pods/*.yaml and pods/*.yml below `project`; `cache`: a folder for what is found out, or None."""

    def __init__(self, project: Path, cache: Path | None = None) -> None:
        self._folder = project / FOLDER
        self._project = project
        self._cache_folder = cache

    @cached_property
    def _cache(self) -> Cache:
        return Cache(self._cache_folder, self._project)

    def select(self, word: str) -> PodSpec:
        """The pod that `word` means: a UUID, else a pod's name, else the beginning of one UUID (4 hex digits or more).

        Raises SpecError: unknown-pod, ambiguous-pod, duplicate-pod, unreadable; SpecProblems when the chosen file has
        faults. Faults of other files do not matter.
        """
        rows = self._rows(self._cache.rows())
        spec = self._chosen(word, rows)
        if spec is None:  # a file was not what the index said: believe only the files
            spec = self._chosen(word, self._rows({}))
        if spec is None:
            raise SpecError(f"the specs change while they are read, {word!r} cannot be told", reason="unknown-pod")
        return spec

    def entries(self) -> list[Entry]:
        """Every spec file, in the order of their names, good or not."""
        rows = self._rows(self._cache.rows())
        asked = {file: self._asked(file, row) for file, row in rows.items()}
        if asked != rows:
            self._cache.keep_rows(asked)
        return [
            Entry(row.name, row.uid, self._folder / file, row.problem or _twin(file, row, rows))
            for file, row in asked.items()
        ]

    def paths(self) -> list[Path]:
        """The spec files, in the order of their names."""
        return [self._folder / name for name, _ in self._files()]

    def _chosen(self, word: str, rows: Mapping[str, Row]) -> PodSpec | None:
        """The pod, or None when the file that the index named turned out to be another pod's."""
        file = self._match(word, rows)
        row = rows[file]
        for other, twin in rows.items():
            if other != file and _same(row, twin):
                # Said of the files as they are now, not as they were indexed.
                fresh = {one: self._identify(one, rows[one].stamp) for one in (file, other)}
                if problem := _twin(file, fresh[file], fresh):
                    hint = "every pod has a name and a uid of its own; `cat /proc/sys/kernel/random/uuid` gives a uid"
                    raise SpecError(f"{self._shown(file)}: {problem}", hint=hint, reason="duplicate-pod")
                return None
        spec = self._load(file)
        return spec if (spec.uid, spec.name) == (row.uid, row.name) else None

    def _match(self, word: str, rows: Mapping[str, Row]) -> str:
        uid = names.uuid(word)
        for wanted in (
            [file for file, row in rows.items() if uid and row.uid == uid],
            [file for file, row in rows.items() if word and row.name == word],
        ):
            if wanted:
                return wanted[0]
        found = [file for file, row in rows.items() if begins(row.uid, word)]
        if len({rows[file].uid for file in found}) > 1:
            pods = ", ".join(f"{rows[file].name} ({rows[file].uid})" for file in found)
            raise SpecError(f"{word!r} is the beginning of several UUIDs: {pods}", reason="ambiguous-pod")
        if not found:
            self._unknown(word, rows)
        return found[0]

    def _unknown(self, word: str, rows: Mapping[str, Row]) -> None:
        """Raise what is to be said about a word that means no pod."""
        unreadable = [file for file, row in rows.items() if not row.uid or not row.name]
        for file in unreadable:
            if word in self._words(file):
                self._load(file)
        import difflib

        known = [row.name for row in rows.values() if row.name]
        close = difflib.get_close_matches(word, known, n=1, cutoff=0.5)
        hint = f"did you mean {close[0]!r}?" if close else "the pods are: " + (", ".join(sorted(known)[:8]) or "none")
        if inside := [file for file, row in rows.items() if row.name and word in self._words(file)]:
            hint = f"the pod in {self._shown(inside[0])} is {rows[inside[0]].name!r}"
        elif passed := self._passed_over(word, rows):
            hint = f"{passed}; {hint}"
        if 0 < len(word) < SHORTEST_PREFIX and re.fullmatch(_PREFIX, word.lower()):
            hint = f"the beginning of a UUID needs {SHORTEST_PREFIX} digits; {hint}"
        if unreadable:
            hint += f"; `doit check` says why {', '.join(unreadable[:3])} cannot be read"
        said = f"no pod {word!r} in {parse.shown(self._folder)}" if word else "which pod?"
        raise SpecError(said, hint=hint, reason="unknown-pod")

    def _words(self, file: str) -> tuple[str, str, str]:
        """How somebody may call a file who takes it for the pod."""
        return Path(file).stem, file, self._shown(file)

    def _passed_over(self, word: str, rows: Mapping[str, Row]) -> str:
        """What is said of a file that was meant to be the spec and is not taken for one; "" if there is none."""
        with contextlib.suppress(OSError):
            for file in sorted(os.listdir(self._folder)):
                stem, suffix = os.path.splitext(file)
                if stem != word or file in rows or suffix.lower() not in (*SUFFIXES, ".json"):
                    continue
                why = "leads to no file" if suffix in SUFFIXES else f"does not end in {' or '.join(SUFFIXES)}"
                return f"{self._shown(file)} {why}"
        return ""

    def _load(self, file: str) -> PodSpec:
        """The spec in a file, by the bytes that it has now. Raises SpecProblems, SpecError when it has gone."""
        path = self._folder / file
        try:
            text = path.read_bytes()
        except OSError as error:
            raise SpecError(f"cannot read {parse.shown(path)}: {error.strerror}", reason="unreadable") from error
        data = self._cache.data(text)
        if data is None:
            data = ahead.data(text) or parse.validated(text, path)
            self._cache.keep_data(text, data)
        return parse.parse(data, path)

    def _files(self) -> list[tuple[str, os.stat_result]]:
        try:
            entries = list(os.scandir(self._folder))
        except (FileNotFoundError, NotADirectoryError):
            return []
        found = [(entry.name, state) for entry in entries if (state := _spec_state(entry))]
        return sorted(found)

    def _rows(self, known: Mapping[str, Row]) -> dict[str, Row]:
        """What every file is: known from before when its stat is the same, else read."""
        rows = {}
        for name, found in self._files():
            row = known.get(name)
            rows[name] = row if row and row.stamp == stamp(found) else self._identify(name, stamp(found))
        if rows != known:
            self._cache.keep_rows(rows)
        return rows

    def _identify(self, file: str, at: tuple[int, ...]) -> Row:
        """Which pod a file is, whether or not the rest of it is right."""
        try:
            text = (self._folder / file).read_bytes()
        except OSError:
            return Row(at, "", "")
        data: Any = self._cache.data(text) or ahead.data(text)
        if data is None:
            from stages.spec import yaml

            try:
                data = yaml.load(text, file).data
            except SpecError:
                return Row(at, "", "")
        metadata = data.get("metadata") if isinstance(data, dict) else None
        uid, name = (metadata.get("uid"), metadata.get("name")) if isinstance(metadata, dict) else ("", "")
        return Row(at, names.uuid(str(uid)) or "", name if isinstance(name, str) else "")

    def _asked(self, file: str, row: Row) -> Row:
        """The row with its problem, "" for none."""
        if row.problem is not None:
            return row
        try:
            spec = parse.load(self._folder / file)
        except SpecError as error:
            return Row(row.stamp, row.uid, row.name, error.sentence)
        except OSError as error:
            return Row(row.stamp, row.uid, row.name, f"cannot be read: {error.strerror}")
        return Row(row.stamp, spec.uid, spec.name, "")

    def _shown(self, file: str) -> str:
        return parse.shown(self._folder / file)


def _spec_state(entry: os.DirEntry[str]) -> os.stat_result | None:
    """The stat of a spec file; None for what is none, or is gone by now."""
    if entry.name.startswith(".") or not entry.name.endswith(SUFFIXES):
        return None
    try:
        return entry.stat() if entry.is_file() else None
    except OSError:  # a link that leads to itself, or through a folder that is not ours to look into
        return None


def begins(uid: str, word: str) -> bool:
    """Whether `word` is the beginning of a UUID, with its dashes or without."""
    lowered = word.lower()
    if len(lowered.replace("-", "")) < SHORTEST_PREFIX:
        return False
    return uid.startswith(lowered) or ("-" not in lowered and uid.replace("-", "").startswith(lowered))


def _same(row: Row, twin: Row) -> bool:
    """Whether two files claim one UUID or one name; that both lack it is no claim."""
    return bool((row.uid and twin.uid == row.uid) or (row.name and twin.name == row.name))


def _twin(file: str, row: Row, rows: Mapping[str, Row]) -> str | None:
    """What to say of a file whose UUID or name another has too; None when nobody has."""
    for other, twin in rows.items():
        if other != file and row.uid and twin.uid == row.uid:
            return f"the UUID {row.uid} is also that of {other}"
        if other != file and row.name and twin.name == row.name:
            return f"the name {row.name} is also that of {other}"
    return None
