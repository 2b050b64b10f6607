"""OCI layouts and docker's archives on this host: where their parts are, and which image in them is meant."""

from __future__ import annotations

import contextlib
import os
import posixpath
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, BinaryIO, Protocol, cast

from stages.base.errors import ImageError
from stages.base.progress import Progress
from stages.base.records import NamedTuple
from stages.images import blobs as blobstore
from stages.images import compression, oci, platform, tar
from stages.images.blobs import Blobs
from stages.images.entry import Entry, Kind
from stages.images.oci import Descriptor, Platform
from stages.images.oci_import import Candidate
from stages.images.platform import Wanted
from stages.images.window import Window

_DEPTH = 5  # indexes in indexes; the digests make a real circle impossible, this a long way round
_HOPS = 10
# The file without which an archive is none, and how such archives are written in a reference.
_FIRST = {b"oci-layout": "oci-archive", b"manifest.json": "docker-archive"}


class Parts(Protocol):
    """A layout's files by their names."""

    def open(self, name: str) -> contextlib.AbstractContextManager[BinaryIO]:
        """The file, seekable. Raises ImageError when it is missing or no file."""
        ...


class Folder(NamedTuple):
    """The files of a layout that is a directory."""

    root: Path

    @contextlib.contextmanager
    def open(self, name: str) -> Iterator[BinaryIO]:
        path = self.root / name
        if not path.is_file():
            raise ImageError(f"{name} is missing in {self.root.name}", reason="missing-part")
        with open(path, "rb") as file:
            yield file


class Archive(NamedTuple):
    """The files of a layout that is a tar archive, by their places in it."""

    descriptor: int
    members: dict[bytes, Entry]

    @contextlib.contextmanager
    def open(self, name: str) -> Iterator[BinaryIO]:
        entry = self._found(os.fsencode(name))
        extent = entry.extents[0] if entry.extents else None
        if entry.size and (len(entry.extents) != 1 or extent is None or extent.length != entry.size):
            raise ImageError(f"{name} in the archive is a sparse file", reason="missing-part")
        yield cast(BinaryIO, Window(self.descriptor, extent.offset if extent else 0, entry.size))

    def _found(self, name: bytes) -> Entry:
        """The member, through links: docker's archives have a layer that is there twice as a link."""
        for _ in range(_HOPS):
            entry = self.members.get(name)
            if entry is None or entry.kind is Kind.FILE:
                break
            if entry.kind is Kind.HARDLINK:
                name = entry.target
            else:
                name = posixpath.normpath(posixpath.join(posixpath.dirname(name), entry.target))
        if entry is None or entry.kind is not Kind.FILE:
            hint = self._other(name)
            raise ImageError(f"{os.fsdecode(name)} is missing in the archive", hint=hint, reason="missing-part")
        return entry

    def _other(self, name: bytes) -> str:
        """The hint for an archive without the file that such ones begin with: which other kind it may be, or ""."""
        if name not in _FIRST:
            return ""
        other = next((scheme for first, scheme in _FIRST.items() if first in self.members), "")
        if other:
            return f"did you mean {other}:FILE?"
        return "a root file system alone, as of `docker export`, is unpacked into a directory and written dir:DIR"


@contextlib.contextmanager
def archive(file: BinaryIO, blobs: Blobs, where: str, progress: Progress) -> Iterator[Archive]:
    """The members of an archive; a packed one is unpacked to a file without a name first. Raises ImageError."""
    kind = compression.detect(file.read(compression.HEAD))
    file.seek(0)
    with contextlib.ExitStack() as stack:
        if kind is not compression.Compression.PLAIN:
            spool = stack.enter_context(blobs.spool(where))
            progress.begin(f"unpacking {where}", os.fstat(file.fileno()).st_size)
            try:
                blobstore.receive(file, spool, "sha256", progress)
            finally:
                progress.end()
            file = spool
        members = {entry.name: entry for entry in tar.read_entries(file.fileno())}
        yield Archive(file.fileno(), members)


def small(parts: Parts, name: str, limit: int = oci.MAX_DOCUMENT) -> bytes:
    """All bytes of a document. Raises ImageError when it is missing or too large."""
    with parts.open(name) as file:
        data = file.read(limit + 1)
    if len(data) > limit:
        raise ImageError(f"{name} is larger than {limit} bytes", reason="limit")
    return data


def choose(parts: Parts, tag: str, wanted: Platform) -> Descriptor:
    """Which manifest of an OCI layout is meant: by tag ("": the only one), then by platform. Raises ImageError."""
    _check_version(small(parts, "oci-layout"))
    listed = oci.index(small(parts, "index.json"), "index.json")
    entries = _tagged(listed, tag)
    chosen = platform.pick(entries, wanted, "the layout") if len(entries) > 1 else entries[0]
    for _ in range(_DEPTH):
        data = oci.check_bytes(small(parts, _blob(chosen)), chosen, "the manifest")
        if not oci.is_index(data, chosen.media_type, "the manifest"):
            return chosen
        chosen = platform.pick(oci.index(data, "the index"), wanted, "the index")
    raise ImageError(f"the indexes are nested more than {_DEPTH} deep", reason="limit")


def candidate(parts: Parts, tag: str, wanted: Wanted) -> tuple[Candidate, str]:
    """The image of an OCI layout that is meant, to import, and its name there, or "". Raises ImageError."""
    chosen = choose(parts, tag, wanted.platform)
    data = oci.check_bytes(small(parts, _blob(chosen)), chosen, "the manifest")
    manifest = oci.manifest(data, "the manifest")
    config = small(parts, _blob(manifest.config))
    return Candidate(data, config, lambda number: parts.open(_blob(manifest.layers[number])), wanted), chosen.name


def docker_candidate(parts: Parts, reference: str, wanted: Wanted) -> tuple[Candidate, str]:
    """The image of docker's archive that has the name ("": the only one), and its first name, or "". ImageError."""
    image = _docker_image(small(parts, "manifest.json"), reference)
    layers, tags = image["Layers"] or [], image.get("RepoTags") or []
    config = small(parts, image["Config"])
    made = Candidate(None, config, lambda number: parts.open(_numbered(layers, number)), wanted)
    return made, tags[0] if tags else ""


def _numbered(layers: Sequence[str], number: int) -> str:
    if number >= len(layers):
        raise ImageError(f"the archive has {len(layers)} layers, the configuration more", reason="layer-count")
    return layers[number]


def _tagged(listed: Sequence[Descriptor], tag: str) -> Sequence[Descriptor]:
    found = [one for one in listed if one.name == tag or one.digest == tag] if tag else listed
    names = sorted({one.name for one in listed if one.name})
    if found and (tag or len(found) == 1 or len({one.name for one in found}) == 1):
        return found
    what = f"no image {tag!r} in it" if tag else "it has several images" if listed else "it has no image"
    raise ImageError(what, hint=f"add one of these: :{', :'.join(names)}" if names else "", reason="no-tag")


def _check_version(data: bytes) -> None:
    found = oci.document(data, "oci-layout")
    version = found.get("imageLayoutVersion") if isinstance(found, dict) else None
    if not isinstance(version, str) or not version.startswith("1."):
        raise ImageError(f"it is an OCI layout of version {version!r}, not 1", reason="layout")


def _docker_image(data: bytes, reference: str) -> dict[str, Any]:
    listed = oci.document(data, "manifest.json")
    try:
        for one in listed:
            lists = [one["Layers"] or [], one.get("RepoTags") or []]
            if not all(isinstance(found, list) for found in (listed, *lists)):
                raise TypeError("something is no list")
            if not all(isinstance(text, str) for text in (one["Config"], *lists[0], *lists[1])):
                raise TypeError("a name is no string")
    except (KeyError, TypeError, AttributeError) as error:
        raise ImageError(f"manifest.json is not as docker writes it: {error}", reason="json") from error
    found: list[dict[str, Any]] = [one for one in listed if not reference or reference in _names(one)]
    if len(found) != 1:
        names = sorted(name for one in listed for name in one.get("RepoTags") or [])
        what = f"no image {reference!r} in it" if reference else f"it has {len(found)} images"
        raise ImageError(what, hint=f"add one of these: :{', :'.join(names)}" if names else "", reason="no-tag")
    return found[0]


def _names(image: dict[str, Any]) -> set[str]:
    """What the image may be called: its names, without the default host, and without the default tag."""
    names = set(image.get("RepoTags") or [])
    names |= {name.removeprefix("docker.io/").removeprefix("library/") for name in names}
    return names | {name.removesuffix(":latest") for name in names}


def _blob(descriptor: Descriptor) -> str:
    return "blobs/" + descriptor.digest.replace(":", "/", 1)
