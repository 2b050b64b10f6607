"""What was found out about spec files before: a cache that may be missing, damaged or another's, and then is not used.

specs/<key>.json        the plain data of a file that was valid; the key is made of its bytes, the schemas and VERSION
specs/index-<id>.json   for every file of one project, by its stat: which pod it is
"""

from __future__ import annotations

import contextlib
import json
import os
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from stages.base import files
from stages.base.digest import canonical, sha256_hex
from stages.base.records import NamedTuple
from stages.spec import jsonschemas

VERSION = 1  # of what parsing and checking mean; a new one makes every cached answer a stranger's

# A file that changed this shortly before it was looked at may change again without a change of its times.
_RACY_NS = 2_000_000_000
_MOST_FILES = 2048

Stamp = tuple[int, ...]


class Row(NamedTuple):
    """What is known of a file. uid, name: as it says, "" when it cannot be read. problem: one line; None: not asked."""

    stamp: Stamp
    uid: str
    name: str
    problem: str | None = None


def stamp(found: os.stat_result) -> Stamp:
    """What changes when a file does: times, size, device and inode."""
    return (found.st_mtime_ns, found.st_ctime_ns, found.st_size, found.st_dev, found.st_ino)


class Cache:
    """The cache below one folder, or none. Whatever goes wrong with it is as if it were empty."""

    def __init__(self, folder: Path | None, project: Path) -> None:
        self._folder = folder / "specs" if folder else None
        self._base = f"{VERSION} {jsonschemas.digest()}"
        self._index = f"index-{sha256_hex(os.fsencode(project))[:16]}.json"

    def data(self, text: bytes) -> Mapping[str, Any] | None:
        """The plain data of a file with these bytes, if they were valid before."""
        found = self._read(f"{self._key(text)}.json")
        return found if isinstance(found, dict) else None

    def keep_data(self, text: bytes, data: Mapping[str, Any]) -> None:
        """Remember that these bytes are a valid spec."""
        self._prune()
        self._write(f"{self._key(text)}.json", data)

    def rows(self) -> dict[str, Row]:
        """The index: file name to what is known of it."""
        found = self._read(self._index)
        try:
            return {name: Row(tuple(row[0]), *row[1:]) for name, row in found.items()} if found else {}
        except (TypeError, AttributeError, IndexError):
            return {}

    def keep_rows(self, rows: Mapping[str, Row]) -> None:
        """Remember the index, without the files that changed just now: their times may not tell the next change."""
        settled = time.time_ns() - _RACY_NS
        kept = {
            name: [row.stamp, row.uid, row.name, row.problem]
            for name, row in rows.items()
            if max(row.stamp[:2]) < settled
        }
        self._write(self._index, kept)

    def _key(self, text: bytes) -> str:
        return sha256_hex(self._base.encode() + b"\0" + text)

    def _read(self, name: str) -> Any:
        """The value of a cache file that we wrote, whole, in this version; else None."""
        if self._folder is None:
            return None
        try:
            with files.open_regular(self._folder / name) as file:
                state = os.fstat(file.fileno())
                head, _, body = file.read().partition(b"\n")
            if state.st_uid != os.geteuid() or state.st_mode & 0o022 or head != self._head(body):
                return None
            return json.loads(body)
        except (OSError, ValueError, RecursionError):
            return None

    def _write(self, name: str, value: Any) -> None:
        if self._folder is None:
            return
        body = canonical(value)
        with contextlib.suppress(OSError):
            files.make_directory(self._folder, 0o750)
            files.publish(self._folder / name, self._head(body) + b"\n" + body, 0o640, durable=False)

    def _head(self, body: bytes) -> bytes:
        return f"{self._base} {sha256_hex(body)}".encode()

    def _prune(self) -> None:
        """Drop the older half when there are too many."""
        if self._folder is None:
            return
        with contextlib.suppress(OSError):
            found = [entry for entry in os.scandir(self._folder) if entry.is_file(follow_symlinks=False)]
            if len(found) > _MOST_FILES:
                oldest_first = sorted(found, key=lambda one: one.stat(follow_symlinks=False).st_mtime_ns)
                for entry in oldest_first[: len(found) // 2]:
                    os.unlink(entry.path)
