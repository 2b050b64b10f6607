"""The built-in stage1 images: built from the programs in this package when they are asked for by a single word."""

from __future__ import annotations

import hashlib
import os
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

from stages import stage1
from stages.base import files, stamp
from stages.base.digest import canonical
from stages.base.errors import ImageError
from stages.base.paths import DataDir
from stages.base.progress import Progress
from stages.base.records import NamedTuple
from stages.base.verdict import FRESH, Verdict
from stages.images.store import ImageStore
from stages.linux import host

if TYPE_CHECKING:
    from stages.images.build import Member

# What the images say as their version; raise it with a change that their users see.
VERSION = "1.0.0"
_PROGRAMS = Path(stage1.__file__).parent


class Flavors(NamedTuple):
    """The flavors, and which image each became when its programs were last looked at."""

    data: DataDir
    store: ImageStore

    def is_flavor(self, word: str) -> bool:
        """Whether the word is a flavor's name rather than an image reference."""
        return word in stage1.WORDS

    def verdict(self, word: str) -> Verdict:
        """Fresh when the image was built from the programs as they are, and is still stored."""
        remembered = self._remembered(word)
        if remembered is None:
            return Verdict.stale(f"stage1 {word} was not built yet")
        # A file that was only touched, or checked out again, is the same program.
        if remembered["stamps"] != _stamps() and remembered["sources"] != (now := sources()):
            return Verdict.stale(f"the programs of stage1 {word}", remembered["sources"][:12], now[:12])
        if not self.store.has(remembered["image"]):
            return Verdict.stale(f"the image of stage1 {word} is not in the store any more")
        return FRESH

    def image_id(self, word: str) -> str:
        """The image that was last built. Raises ImageError when none was."""
        remembered = self._remembered(word)
        if remembered is None:
            raise ImageError(f"stage1 {word} was not built yet", reason="not-stored")
        return str(remembered["image"])

    def bring(self, word: str, progress: Progress) -> str:
        """Build and import the image unless that was done; returns its id."""
        if self.verdict(word).fresh:
            return self.image_id(word)
        import tempfile

        from stages.images import build
        from stages.stage1 import flavors

        now, stamps = sources(), _stamps()
        with tempfile.TemporaryFile() as archive:
            build.write_archive(archive, flavors.manifest(word, VERSION, host.arch()), _members(word))
            archive.seek(0)
            image_id = self.store.add(archive, f"stage1 {word}", progress)
        files.make_directory(self.data.images.sources)
        files.publish(self._file(word), canonical({"sources": now, "stamps": stamps, "image": image_id}), durable=False)
        return image_id

    def _file(self, word: str) -> Path:
        return self.data.images.sources / f"stage1-{word}.json"

    def _remembered(self, word: str) -> dict[str, Any] | None:
        found = files.value(files.read_or_none(self._file(word)))
        known = isinstance(found, dict) and all(isinstance(found.get(key), str) for key in ("sources", "image"))
        return {"stamps": None, **found} if known else None


def sources() -> str:
    """A digest of all program files, and of the Python that their bytecode is for."""
    digest = hashlib.sha256(f"{VERSION} {sys.implementation.cache_tag}".encode())
    for name in _program_files():
        digest.update(f"\0{name}\0".encode())
        digest.update((_PROGRAMS / name).read_bytes())
    return digest.hexdigest()


def _stamps() -> dict[str, Any]:
    """What tells without reading that no program file changed."""
    return {name: stamp.at(_PROGRAMS / name) for name in _program_files()}


def _program_files() -> list[str]:
    """Names below this package's stage1. What Python keeps beside them is not looked at."""
    found = []
    for folder, inside, names in os.walk(_PROGRAMS):
        inside[:] = [name for name in inside if name != "__pycache__"]
        found += [os.path.join(folder, name) for name in names if name.endswith((".py", ".sh"))]
    above = len(os.path.join(_PROGRAMS, ""))
    return sorted(path[above:] for path in found)


def _members(word: str) -> Iterator[Member]:
    from stages.images import build
    from stages.stage1 import flavors

    for path, kind, mode, content in flavors.members(word):
        name = os.fsencode(path)
        if isinstance(content, str):
            yield build.symlink(name, os.fsencode(content))
        elif kind == "directory":
            yield build.directory(name, mode)
        else:
            yield build.regular(name, content, mode)
