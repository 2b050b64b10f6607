"""The index of names: which stored images carry a name. It may be lost: the manifests say the same.

<images>/names/<name>/<id>      empty files; their time is the time of import. A name that is too long for a file is
                                there by its digest: =<hex>
"""

from __future__ import annotations

import contextlib
import os
import urllib.parse
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from stages.base import files
from stages.base.digest import sha256_hex
from stages.base.errors import ImageError
from stages.base.paths import DataDir
from stages.base.records import NamedTuple
from stages.images.manifest import ImageManifest
from stages.linux import host

if TYPE_CHECKING:
    from stages.images.store import ImageStore


_LONGEST = 255  # bytes


class Names(NamedTuple):
    """The index of one data directory."""

    data: DataDir

    def under(self, name: str) -> list[str]:
        """The images that the index has under the name, the newest import first; some may be gone."""
        found: list[tuple[int, str]] = []
        with contextlib.suppress(FileNotFoundError, NotADirectoryError), os.scandir(self._folder(name)) as entries:
            for entry in entries:
                with contextlib.suppress(FileNotFoundError):  # taken out meanwhile
                    found.append((entry.stat().st_mtime_ns, entry.name))
        return [image_id for _, image_id in sorted(found, reverse=True)]

    def lost(self, image_ids: Sequence[str]) -> list[str]:
        """Those of the images that the index has under no name, in the same order."""
        entered = {entry.name for folder in files.listed(self.data.images.names) for entry in files.listed(folder)}
        return [one for one in image_ids if one not in entered]

    def enter(self, name: str, image_id: str, when: int | None = None) -> None:
        """Have the image in the index. when: the time of its import in ns, None for now."""
        entry = self._folder(name) / image_id
        files.make_directory(entry.parent)
        entry.touch(0o644)
        if when is not None:
            os.utime(entry, ns=(when, when))

    def forget(self, image_id: str) -> None:
        """Take the image out, under whatever name it is: of a damaged image nobody knows it."""
        for folder in files.listed(self.data.images.names):
            with contextlib.suppress(NotADirectoryError):
                (folder / image_id).unlink(missing_ok=True)

    def _folder(self, name: str) -> Path:
        quoted = urllib.parse.quote(name, safe="")
        # No file system has room for longer ones; what is quoted has no "=".
        return self.data.images.names / (quoted if len(quoted) <= _LONGEST else f"={sha256_hex(os.fsencode(name))}")


def find(store: ImageStore, name: str, labels: Mapping[str, str]) -> str | None:
    """See ImageStore.find. What the index has lost is looked for in the manifests when it has nothing that fits."""
    wanted = {"os": host.OS, "arch": host.arch(), **labels}
    for image_id in _candidates(store, name):
        if store.has(image_id) and _matches(store.manifest(image_id), wanted, labels):
            return image_id
    return None


def keep(store: ImageStore, image_id: str) -> str:
    """Enter a stored image that the index has lost, with the time of its import; returns its name. ImageError."""
    name = store.manifest(image_id).name
    if store.names.lost([image_id]):
        when = os.stat(store.data.images.manifest(image_id)).st_mtime_ns
        # Who may only read the store finds the image all the same.
        with contextlib.suppress(PermissionError):
            store.names.enter(name, image_id, when)
    return name


def _candidates(store: ImageStore, name: str) -> Iterator[str]:
    yield from store.names.under(name)
    for image_id in store.names.lost(store.ids()):
        # A manifest that cannot be read, or that somebody takes out meanwhile, has no name.
        with contextlib.suppress(ImageError, FileNotFoundError):
            if keep(store, image_id) == name:
                yield image_id


def _matches(manifest: ImageManifest, wanted: Mapping[str, str], asked: Mapping[str, str]) -> bool:
    """Labels asked for must be there; os and arch, when they are only assumed, may be absent."""
    own = dict(manifest.labels)
    return all(own.get(key, None if key in asked else value) == value for key, value in wanted.items())
