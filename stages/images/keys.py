"""Whose signatures count, and for which images: rkt's keystore (contract K.11), in several places at once.

<place>/root.d/<fingerprint>             an armoured public key, for images of every name
<place>/prefix.d/<prefix>/<fingerprint>  one for the names below a prefix, compared by their parts (M 44)

An empty file takes away what was found under its fingerprint before it. Order: root.d of every place, then prefix.d of
every place, shorter prefixes first; places: the packager's, the administrator's, and
`<data>`, which `doit trust` writes.
"""

from __future__ import annotations

import os
import re
import stat
from collections.abc import Iterator, Mapping
from pathlib import Path

from stages.base import files
from stages.base.errors import ImageError
from stages.base.image_paths import KeyPaths
from stages.base.paths import DataDir, configuration
from stages.base.records import NamedTuple
from stages.images import openpgp
from stages.images.openpgp import Key
from stages.spec import names

_FINGERPRINT = r"[0-9a-f]{40}|[0-9a-f]{64}"
_MOST_KEYS = 4096


class Trusted(NamedTuple):
    """A file of the keystore. prefix: "" for every name; own: whether `doit trust` may take it away."""

    prefix: str
    fingerprint: str
    path: Path
    masks: bool
    own: bool


class Keystore(NamedTuple):
    """The keys in several places, the strongest last, which is the one that is written."""

    places: tuple[KeyPaths, ...]

    @classmethod
    def of(cls, data: DataDir, environment: Mapping[str, str]) -> Keystore:
        """The keys of this host and data directory."""
        return cls((*(one.keys for one in configuration(environment)), data.keys))

    def trusted(self, name: str) -> dict[str, Path]:
        """The keys that count for a name, by fingerprint. Reads no key. Raises ImageError for an odd name."""
        parts = checked_prefix(name).split("/")
        prefixes = ["/".join(parts[:count]) for count in range(1, len(parts) + 1)]
        found: dict[str, Path] = {}
        for one in self._files(["", *prefixes]):
            if one.masks:
                found.pop(one.fingerprint, None)
            else:
                found[one.fingerprint] = one.path
        return found

    def every(self) -> dict[str, Path]:
        """All keys that count for some name, by fingerprint."""
        last = {(one.prefix, one.fingerprint): one for one in self.listing()}
        return {one.fingerprint: one.path for one in last.values() if not one.masks}

    def listing(self) -> list[Trusted]:
        """All files of the keystore, in the order in which they count."""
        found = [one for place in self.places for one in _in_folder(place, "", place == self.places[-1])]
        for place in self.places:
            found += [one for prefix in _prefixes(place) for one in _in_folder(place, prefix, place == self.places[-1])]
        return found

    def add(self, key: Key, armoured: bytes, prefix: str) -> Path:
        """Trust the key for the names below the prefix, "" for every name; returns the file. Raises ImageError."""
        folder = self.places[-1].folder(checked_prefix(prefix))
        files.make_directory(folder)
        files.publish(folder / key.fingerprint, armoured, 0o644)
        return folder / key.fingerprint

    def remove(self, fingerprint: str, prefix: str) -> bool:
        """Trust the key no more under the prefix. A file of another place is masked by an empty one of ours.

        Returns whether it had to be masked. Raises ImageError when there is no such key.
        """
        levels = [one for one in self.listing() if (one.prefix, one.fingerprint) == (prefix, fingerprint)]
        if not levels or levels[-1].masks:
            where = f"for {prefix}" if prefix else "for every name"
            raise ImageError(
                f"no key {fingerprint} is trusted {where}", hint="`doit trust` lists them", reason="no-key"
            )
        mine = self.places[-1].folder(checked_prefix(prefix)) / fingerprint
        mine.unlink(missing_ok=True)
        others = [one for one in levels if not one.own]
        if not others or others[-1].masks:
            return False
        files.make_directory(mine.parent)
        files.publish(mine, b"", 0o644)
        return True

    def _files(self, prefixes: list[str]) -> Iterator[Trusted]:
        """The files under the prefixes, in the order in which they count."""
        for level in (prefixes[:1], prefixes[1:]):
            for place in self.places:
                for prefix in level:
                    yield from _in_folder(place, prefix, place == self.places[-1])


def load(path: Path) -> Key:
    """The key in a file of the keystore. Raises ImageError for one that is none, or that others may write."""
    data = _safely_read(path)
    key = openpgp.key(data, f"the trusted key {path}")
    if key.fingerprint != path.name:
        raise ImageError(
            f"the trusted key {path} has the fingerprint {key.fingerprint}",
            hint="a key's file has its fingerprint as name; `doit trust add` sees to it",
            reason="fingerprint",
        )
    return key


def checked_prefix(prefix: str) -> str:
    """The prefix, if it is one: an appc identifier whose parts are neither empty nor dots. Raises ImageError."""
    if prefix and not (names.is_identifier(prefix) and all(part.strip(".") for part in prefix.split("/"))):
        raise ImageError(
            f"{prefix!r} is not the beginning of an image name",
            hint="write it without https://, as example.com/team",
            reason="bad-prefix",
        )
    return prefix


def _safely_read(path: Path) -> bytes:
    found = files.read_small(path, openpgp.MAX_FILE)
    if found is None:
        raise ImageError(f"the trusted key {path} cannot be read", reason="bad-openpgp")
    status = os.stat(path)
    if status.st_uid not in (0, os.geteuid()) or status.st_mode & 0o022:
        hint = f"chown root {path}; chmod 644 {path}"
        raise ImageError(f"the trusted key {path} may be written by others", hint=hint, reason="unsafe-key")
    return found


def _in_folder(place: KeyPaths, prefix: str, own: bool) -> Iterator[Trusted]:
    try:
        entries = sorted(os.scandir(place.folder(prefix)), key=lambda one: one.name)
    except (FileNotFoundError, NotADirectoryError):
        return
    for entry in entries:
        if re.fullmatch(_FINGERPRINT, entry.name) is None:
            continue
        status = entry.stat(follow_symlinks=False)
        if stat.S_ISREG(status.st_mode):
            yield Trusted(prefix, entry.name, Path(entry.path), status.st_size == 0, own)


def _prefixes(place: KeyPaths) -> list[str]:
    """All prefixes with keys in a place, shorter ones before longer ones that begin with them."""
    found: list[str] = []
    for folder, _, inside in os.walk(place.prefixes):
        if inside and folder != str(place.prefixes):
            found.append(Path(folder).relative_to(place.prefixes).as_posix())
        if len(found) > _MOST_KEYS:
            raise ImageError(f"{place.prefixes} has too many prefixes", reason="limit")
    return sorted(found)
