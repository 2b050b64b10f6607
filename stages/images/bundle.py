"""A bundle: one pod in one tar archive of our own format, for a machine without network (docs/bundle.md).

bundle.json            what is in it: format, pod, images
pods/<pod>.yaml, .lock the spec and the lock file, byte for byte
pod-manifest.json      the ready pod manifest, of a spec that names one
oci/<id>.manifest, .config   of every OCI image, byte for byte
blobs/sha512/<hex>     every appc archive; blobs/sha256/<hex> every layer, uncompressed, once

What vouches for what: an appc image's id is the digest of its blob; an OCI image's id that of its manifest, which has
the digest of the configuration, which has those of the layers.
"""

from __future__ import annotations

import os
import re
from collections.abc import Iterable, Mapping
from typing import Any

from stages.base import strictjson
from stages.base.digest import canonical
from stages.base.errors import ImageError
from stages.base.records import NamedTuple
from stages.images import build, oci, oci_record, tar
from stages.images.build import Writer
from stages.images.entry import Entry, Extent, Kind
from stages.images.store import ImageStore, is_oci
from stages.images.tarheader import shown
from stages.images.translation import Title

FORMAT = 1
MAX_TEXT = 8 << 20
MAX_MEMBERS = 100_000

_LIST, _READY = "bundle.json", "pod-manifest.json"
_POD = re.compile(r"[a-z0-9]([a-z0-9.-]{0,251}[a-z0-9])?")
_ID = re.compile(r"sha512-[0-9a-f]{128}|sha256-[0-9a-f]{64}")
# No part is hidden, none leads up, and nothing that ends so is ever run.
_PLACE = re.compile(r"([A-Za-z0-9_][A-Za-z0-9_.-]{0,200}/){0,16}[A-Za-z0-9_][A-Za-z0-9_.-]{0,200}\.json")


class Papers(NamedTuple):
    """What a bundle says of its pod. ready: the ready pod manifest, b"" without one; place: where the spec has it."""

    pod: str
    spec: bytes
    lock: bytes
    place: str = ""
    ready: bytes = b""


class Contents(NamedTuple):
    """A bundle that was looked into: complete, with nothing beside, its documents what their digests say.

    titles: what each image is called ("" for appc images, which say it themselves). documents: manifest and
    configuration of each OCI image. blobs: the places of the blobs, which nobody has read, in the file `descriptor`.
    """

    papers: Papers
    titles: Mapping[str, Title]
    documents: Mapping[str, tuple[bytes, bytes]]
    blobs: Mapping[str, Extent]
    descriptor: int


def check_place(place: str) -> None:
    """Raise ImageError for the path of a ready pod manifest that no bundle may write to a project."""
    if not _PLACE.fullmatch(place):
        hint = "below the project, without hidden parts, its name ending in .json"
        raise ImageError(f"a bundle carries no pod manifest {place!r}", hint=hint, reason="bad-bundle")


def write(store: ImageStore, papers: Papers, image_ids: Iterable[str], out: Writer) -> None:
    """Write the bundle; the same pod and images give the same bytes. Raises ImageError for what is not stored."""
    chosen = sorted(set(image_ids))
    titles = {one: _title(store, one)._asdict() if is_oci(one) else {} for one in chosen}
    head = {"bundle": FORMAT, "pod": papers.pod, "images": titles}
    texts = {f"pods/{papers.pod}.yaml": papers.spec, f"pods/{papers.pod}.lock": papers.lock}
    if papers.place:
        head["podManifest"], texts[_READY] = papers.place, papers.ready
    for image_id in filter(is_oci, chosen):
        texts |= dict(zip(_document_names(image_id), oci_record.documents(store.data, image_id), strict=True))
    blob_ids = sorted({blob for image_id in chosen for blob in store.blob_ids(image_id)})
    members = [build.regular(name, data) for name, data in {**texts, _LIST: canonical(head)}.items()]
    build.write_tar(out, [*members, *(build.of_file(_blob_name(one), store.blobs.path(one)) for one in blob_ids)])


def read(descriptor: int) -> Contents:
    """Look into the bundle behind `descriptor`, a regular file, without reading blobs. Raises ImageError."""
    members = _Members(descriptor)
    pod, place, titles = _head(members.take(_LIST))
    spec, lock = members.take(f"pods/{pod}.yaml"), members.take(f"pods/{pod}.lock")
    papers = Papers(pod, spec, lock, place, members.take(_READY) if place else b"")
    documents = {one: _documents(one, members) for one in titles if is_oci(one)}
    wanted = [one for one in titles if not is_oci(one)]
    for manifest, config in documents.values():
        layers = len(oci.manifest(manifest, "a manifest").layers)
        wanted += [one.replace(":", "-", 1) for one in oci.config(config, layers, "a configuration").diff_ids]
    blobs = {one: members.place(_blob_name(one)) for one in dict.fromkeys(wanted)}
    members.done()
    return Contents(papers, titles, documents, blobs, descriptor)


class _Members:
    """The members of a bundle's archive, each to be asked for once."""

    def __init__(self, descriptor: int) -> None:
        self._descriptor = descriptor
        self._left: dict[bytes, Entry] = {}
        for entry in tar.read_entries(descriptor):
            if entry.kind is not Kind.FILE or sum(one.length for one in entry.extents) != entry.size:
                raise _bad(f"{shown(entry.name)} is no plain file")
            if entry.name in self._left:
                raise _bad(f"it has {shown(entry.name)} twice")
            if len(self._left) == MAX_MEMBERS:
                raise _bad(f"it has more than {MAX_MEMBERS} members")
            self._left[entry.name] = entry

    def take(self, name: str) -> bytes:
        """The bytes of a document."""
        return tar.read_data(self._descriptor, self._entry(name), MAX_TEXT)

    def place(self, name: str) -> Extent:
        """Where in the file a blob is."""
        entry = self._entry(name)
        return entry.extents[0] if entry.extents else Extent(0, 0, 0)

    def done(self) -> None:
        """Raise ImageError when something was not asked for."""
        if self._left:
            raise _bad(f"{shown(min(self._left))} belongs to nothing that it lists")

    def _entry(self, name: str) -> Entry:
        entry = self._left.pop(os.fsencode(name), None)
        if entry is None:
            raise _bad(f"it has no {name}")
        return entry


def _head(data: bytes) -> tuple[str, str, dict[str, Title]]:
    """The pod, the place of its ready manifest, and the images. Raises ImageError."""
    try:
        head = strictjson.loads(data)
        if head["bundle"] != FORMAT:
            raise _bad(f"it has format {head['bundle']!r}, this podwright knows {FORMAT}")
        pod, place = head["pod"], head.get("podManifest", "")
        titles = {one: _called(one, said) for one, said in head["images"].items()}
        if not _POD.fullmatch(pod) or head.keys() - {"bundle", "pod", "podManifest", "images"}:
            raise _bad("its list is not as bundles have it")
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise _bad("its list is not as bundles have it") from error
    if place != "":
        check_place(str(place))
    return pod, place, titles


def _called(image_id: str, said: Mapping[str, Any]) -> Title:
    """What an image is called. Raises ValueError, TypeError."""
    if not _ID.fullmatch(image_id):
        raise ValueError(image_id)
    if not is_oci(image_id) and said == {}:
        return Title("")
    title = Title(**said)
    if not is_oci(image_id) or not isinstance(title.name, str) or not isinstance(title.version, str):
        raise TypeError(image_id)
    return title


def _documents(image_id: str, members: _Members) -> tuple[bytes, bytes]:
    """Manifest and configuration, checked against the image's id."""
    manifest, config = map(members.take, _document_names(image_id))
    oci.check_digest(manifest, image_id.replace("-", ":", 1), "a manifest")
    oci.check_bytes(config, oci.manifest(manifest, "a manifest").config, "a configuration")
    return manifest, config


def _title(store: ImageStore, image_id: str) -> Title:
    manifest = store.manifest(image_id)
    return Title(manifest.name, manifest.label("version") or "")


def _document_names(image_id: str) -> tuple[str, str]:
    return f"oci/{image_id}.manifest", f"oci/{image_id}.config"


def _blob_name(blob_id: str) -> str:
    return "blobs/" + blob_id.replace("-", "/", 1)


def _bad(what: str) -> ImageError:
    return ImageError(f"this is no bundle: {what}", reason="bad-bundle")
