"""Which image a local file is: remembered by the file's identity, so that an unmoved file is never read again."""

from __future__ import annotations

import hashlib
import os
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any, BinaryIO

from stages.base import files, stamp
from stages.base.digest import canonical
from stages.base.errors import ImageError
from stages.base.paths import DataDir
from stages.base.records import NamedTuple
from stages.base.verdict import FRESH, Verdict, compare
from stages.images import called
from stages.images.reference import Directory, Layout, of_directory
from stages.images.store import ImageStore

# Seconds to wait for a file that is being written to be left alone for a tick.
_PATIENCE = 5.0


class Source(NamedTuple):
    """What is remembered of a file: its identity when it was read, and the image it held."""

    identity: dict[str, int]
    image_id: str


class Sources(NamedTuple):
    """The files that images of this store came from."""

    data: DataDir
    store: ImageStore

    def image_id(self, path: Path) -> str | None:
        """The image that `path` held when it was imported, without a look at the file."""
        found = self._remembered(path)
        return found.image_id if found else None

    def verdict(self, path: Path) -> Verdict:
        """Fresh when the file is the one that was imported and its image is still stored. Reads no content."""
        found = self._remembered(path)
        if found is None:
            return Verdict.stale(f"{path.name} was not imported yet")
        if not self.store.has(found.image_id):
            return Verdict.stale(f"the image of {path.name} is not in the store any more")
        return Verdict(compare(found.identity, identity(path), path.name)) if self._moved(found, path) else FRESH

    def bring(self, path: Path, where: str, add: Callable[[BinaryIO], str], *, again: bool = False) -> str:
        """Let `add` import the file unless it is unmoved; returns the image id. again: though it is unmoved.

        Raises ImageError, HostError.
        """
        found = self._remembered(path)
        if found and not again and self.store.has(found.image_id) and not self._moved(found, path):
            called.keep(self.store, found.image_id)
            return found.image_id
        with _opened(path, where) as file:
            before = _settled(file.fileno(), where)
            image_id = add(file)
            if stamp.of(os.fstat(file.fileno())) != before:
                raise ImageError(f"{where} was changed while it was being imported", hint="run again", reason="moving")
        self._remember(path, Source(before, image_id))
        return image_id

    def _moved(self, found: Source, path: Path) -> bool:
        return found.identity != identity(path)

    def _file(self, path: Path) -> Path:
        return self.data.images.sources / f"{hashlib.sha256(os.fsencode(path)).hexdigest()}.json"

    def _remembered(self, path: Path) -> Source | None:
        found = files.value(files.read_or_none(self._file(path)))
        known = isinstance(found, dict) and isinstance(found.get("image"), str) and "identity" in found
        return Source(found["identity"], found["image"]) if known else None

    def _remember(self, path: Path, source: Source) -> None:
        files.make_directory(self.data.images.sources)
        document = {"path": str(path), "identity": source.identity, "image": source.image_id}
        files.publish(self._file(path), canonical(document), durable=False)


def identity(path: Path) -> dict[str, int]:
    """What tells one state of a file from another without reading it. Raises ImageError when there is no file."""
    try:
        return stamp.of(os.stat(path))
    except OSError as error:
        raise _missing(path, str(path), error) from error


def state(reference: Layout | Directory, text: str) -> Any:
    """The same of a layout or a folder. Raises ImageError."""
    if isinstance(reference, Directory):
        from stages.images import folder

        return folder.identity(reference.path, text)
    path = reference.path / "index.json" if reference.kind == "oci" else reference.path
    try:
        return stamp.of(os.stat(path))
    except OSError as error:
        raise ImageError(f"{text}: {error.strerror}: {path.name}", reason="no-file") from error


def _settled(descriptor: int, where: str) -> dict[str, int]:
    """The identity of an open file, taken when any later write is sure to move its times.

    Raises ImageError for a file that somebody goes on writing.
    """
    give_up = time.monotonic() + _PATIENCE
    while True:
        status, now = os.fstat(descriptor), time.time_ns()
        # One of the future was written before the clock was set back.
        if status.st_ctime_ns > now or stamp.is_old(status.st_ctime_ns, now):
            return stamp.of(status)
        _pause(give_up, where)


def settled(reference: Layout | Directory, text: str) -> Any:
    """The same of a layout or a folder: its state, when it was what it had been a tick before."""
    give_up, before = time.monotonic() + _PATIENCE, None
    while True:
        found = state(reference, text)
        if found == before:
            return found
        before = found
        _pause(give_up, text)


def _pause(give_up: float, where: str) -> None:
    """Wait for a tick of the clock that stamps files. Raises ImageError when there was time enough for all of them."""
    if time.monotonic() > give_up:
        raise ImageError(f"{where} is being written", hint="run again when that has ended", reason="moving")
    time.sleep(stamp.TICK_NS / 1e9)


def _opened(path: Path, where: str) -> BinaryIO:
    try:
        return files.open_regular(path)
    except OSError as error:
        raise _missing(path, where, error) from error


def _missing(path: Path, where: str, error: OSError) -> ImageError:
    if isinstance(error, FileNotFoundError | NotADirectoryError):
        beside = [one.name for one in files.listed(path.parent) if one.suffix == ".aci"][:5]
        hint = f"there are {', '.join(beside)}" if beside else "paths are relative to the folder of dodo.py"
        return ImageError(f"no image file {where}", hint=hint, reason="no-file")
    hint = of_directory(where.removeprefix("file:")) if path.is_dir() else ""
    return ImageError(f"{where}: {error.strerror}", hint=hint, reason="unreadable")
