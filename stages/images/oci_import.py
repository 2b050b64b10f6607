"""Takes an OCI image into the store: every layer decompressed, checked and kept under its diff id, then the documents.

A layer that is stored already is not even opened. Killed anywhere, what was finished is taken up by the next import.
"""

from __future__ import annotations

import hashlib
import io
import os
from collections.abc import Callable
from contextlib import AbstractContextManager
from typing import BinaryIO, cast

from stages.base.digest import canonical
from stages.base.errors import ImageError, PodwrightError
from stages.base.progress import Progress
from stages.base.records import NamedTuple
from stages.images import blobs as blobstore
from stages.images import compression, intake, inventory, oci, oci_app, oci_record, translation
from stages.images import manifest as manifests
from stages.images.inventory import Inventory
from stages.images.oci import Config, Descriptor, Platform
from stages.images.platform import Wanted
from stages.images.store import OCI_PREFIX, ImageStore, naming
from stages.images.translation import Title

_ATTEMPTS = 5


class Candidate(NamedTuple):
    """An OCI image that is not in the store yet.

    manifest: its bytes, which are the image's identity; None where there is none (docker's archives): one is made of
    the layers then. open_layer: the bytes of a layer by its number (0 is the weakest), as a seekable file. wanted: the
    platform that it is to be for.
    """

    manifest: bytes | None
    config: bytes
    open_layer: Callable[[int], AbstractContextManager[BinaryIO]]
    wanted: Wanted = Wanted(Platform("", ""))


def add(store: ImageStore, candidate: Candidate, title: Title, where: str, progress: Progress) -> str:
    """Import the image; returns its id. `where` names it in errors.

    Raises ImageError for whatever is not as its digest, size or media type says, and for bad layers; HostError when
    there is no space. The store has no more images then than before.
    """
    with naming(where):
        parts = _checked(candidate, where)
        config = oci.config(candidate.config, len(parts) if parts is not None else _counted(candidate), where)
        candidate.wanted.check(config.platform)
        # What the configuration says is looked at before anything is stored; accounts need the layers.
        appc = oci_app.manifest(config, title.name, title.version, lambda path: b"", lambda words: None)
        manifests.parse(appc, "its translation")
        for _ in range(_ATTEMPTS):
            if image_id := _once(store, candidate, config, parts, title, progress):
                return image_id
    raise ImageError(f"{where}: its layers are removed as fast as they are imported", reason="moving")


def _once(
    store: ImageStore,
    candidate: Candidate,
    config: Config,
    parts: tuple[Descriptor, ...] | None,
    title: Title,
    progress: Progress,
) -> str:
    """Store the layers, then the documents; the image's id, "" when a layer was taken out meanwhile."""
    added = _bring_all(store, candidate, config, parts, progress)
    try:
        manifest = candidate.manifest or _made_up(store, candidate.config, config)
        image_id = OCI_PREFIX + hashlib.sha256(manifest).hexdigest()
        whole = _publish(store, image_id, (manifest, candidate.config), config, title, progress)
    except PodwrightError:
        store.drop_unused(added)
        raise
    return image_id if whole else ""


def _checked(candidate: Candidate, where: str) -> tuple[Descriptor, ...] | None:
    """The layers' descriptors, when there is a manifest and the configuration is the one that it names."""
    if candidate.manifest is None:
        return None
    if oci.is_index(candidate.manifest, "", where):
        raise ImageError(f"{where} is an index, not an image", reason="media-type")
    manifest = oci.manifest(candidate.manifest, where)
    oci.check_bytes(candidate.config, manifest.config, "the configuration")
    return manifest.layers


def _counted(candidate: Candidate) -> int:
    """Without a manifest the configuration's own word counts; a layer that is missing is found when it is opened."""
    import json

    try:
        return len(json.loads(candidate.config)["rootfs"]["diff_ids"])
    except (ValueError, KeyError, TypeError, RecursionError):
        return 0


def _bring_all(
    store: ImageStore, candidate: Candidate, config: Config, parts: tuple[Descriptor, ...] | None, progress: Progress
) -> list[str]:
    """Store all layers; the ids of those that were not there. When one is refused, they go again."""
    added: list[str] = []
    numbered = zip(config.diff_ids, parts or [None] * len(config.diff_ids), strict=True)
    try:
        with store.layers_lock(exclusive=False):
            for number, (diff_id, part) in enumerate(numbered):
                brought = _bring(store, candidate, number, diff_id, part, progress)
                added += [diff_id.replace(":", "-", 1)] if brought else []
    except PodwrightError:
        store.drop_unused(added)
        raise
    return added


def _bring(
    store: ImageStore, candidate: Candidate, number: int, diff_id: str, part: Descriptor | None, progress: Progress
) -> bool:
    """Store one layer; False when it is there."""
    blob_id = diff_id.replace(":", "-", 1)
    if store.blobs.heal(blob_id):
        return False
    what = f"layer {number + 1}"
    with store.blobs.lock(blob_id), store.blobs.spool(what) as spool, candidate.open_layer(number) as file:
        if store.blobs.has(blob_id):
            return False
        size = file.seek(0, 2)
        packed = _Packed(file, part, what)
        progress.begin(f"importing {what} ({diff_id[7:19]})", size)
        try:
            found = _received(packed, spool, blob_id, what, progress)
        finally:
            progress.end()
        inventory.keep_layer(store.blobs, spool, found, blob_id)
        return True


def _received(packed: _Packed, spool: BinaryIO, blob_id: str, what: str, progress: Progress) -> Inventory:
    """Decompress a layer into the spool; returns what is in it. Raises ImageError for one that is not this blob."""

    def read(upto: Callable[[int], int]) -> Inventory:
        return inventory.read(spool.fileno(), blob_id, upto)

    with intake.Beside(read) as headers:
        try:
            packed.check_packing()
            digest = blobstore.receive(cast(BinaryIO, packed), spool, "sha256", progress, headers)
        except ImageError:
            packed.check()  # what was damaged on the way is called so, whatever it looks like inside
            raise
        packed.check()
        if f"sha256-{digest}" != blob_id:
            raise ImageError(f"{what} is not what its diff id sha256:{blob_id[7:19]} says", reason="diff-id")
        return headers.result()


class _Packed(io.RawIOBase):
    """A layer as it was transferred, digested while it is read. part: what the manifest says of it, if there is one."""

    def __init__(self, file: BinaryIO, part: Descriptor | None, what: str) -> None:
        self._file, self._part, self._what = file, part, what
        self._position = self._digested = 0
        self._digest = hashlib.new(part.digest.partition(":")[0]) if part else None
        size = file.seek(0, 2)
        if part is not None and size != part.size:
            raise ImageError(f"{what} has {size} bytes, the manifest says {part.size}", reason="size")
        file.seek(0)

    def readable(self) -> bool:
        return True

    def seekable(self) -> bool:
        return True

    def tell(self) -> int:
        return self._position

    def seek(self, offset: int, whence: int = os.SEEK_SET) -> int:
        self._position = self._file.seek(offset, whence)
        return self._position

    def readinto(self, buffer: object) -> int:
        view = memoryview(buffer)  # type: ignore[arg-type]
        data = self._file.read(len(view))
        view[: len(data)] = data
        if self._digest is not None:
            assert self._position <= self._digested, "the layer is not read from its beginning"
            self._digest.update(data[self._digested - self._position :])
        self._position += len(data)
        self._digested = max(self._digested, self._position)
        return len(data)

    def check(self) -> None:
        """Read what is left; ImageError unless all of it is what the manifest's digest says."""
        if self._part is None or self._digest is None:
            return
        self.seek(self._digested)
        while self.read(blobstore.CHUNK):
            pass
        if self._digest.hexdigest() != self._part.digest.partition(":")[2]:
            raise ImageError(f"{self._what} is not what its digest {self._part.digest[:19]} says", reason="digest")

    def check_packing(self) -> None:
        """ImageError unless it is packed as its media type says."""
        kind = compression.detect(self.read(compression.HEAD)).value
        self.seek(0)
        if self._part is not None and kind != oci.LAYERS[self._part.media_type]:
            message = f"{self._what} is {kind}, its media type says {self._part.media_type}"
            raise ImageError(message, reason="media-type")


def _made_up(store: ImageStore, config_bytes: bytes, config: Config) -> bytes:
    """A manifest of uncompressed layers: the same for the same image, whoever packed it."""
    sizes = [store.blobs.path(one.replace(":", "-", 1)).stat().st_size for one in config.diff_ids]
    return canonical(
        {
            "schemaVersion": 2,
            "mediaType": oci.MANIFEST,
            "config": {
                "mediaType": oci.CONFIG,
                "digest": oci.digest_of(config_bytes),
                "size": len(config_bytes),
            },
            "layers": [
                {"mediaType": oci.LAYER, "digest": one, "size": size}
                for one, size in zip(config.diff_ids, sizes, strict=True)
            ],
        }
    )


def _publish(
    store: ImageStore,
    image_id: str,
    documents: tuple[bytes, bytes],
    config: Config,
    title: Title,
    progress: Progress,
) -> bool:
    """Make the image part of the store; False when a layer was taken out meanwhile."""
    with store.blobs.lock(image_id), store.layers_lock(exclusive=False):
        if not all(store.blobs.has(one.replace(":", "-", 1)) for one in config.diff_ids):
            return False
        if not store.has(image_id):
            oci_record.keep(store.data, image_id, *documents)
            try:
                translation.write(store, image_id, config, title, progress)
            except PodwrightError:
                oci_record.drop(store.data, image_id)
                raise
        store.name_it(image_id)
        return True
