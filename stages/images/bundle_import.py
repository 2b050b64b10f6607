"""Takes the images of a bundle into the store: all of them, every byte checked, or none."""

from __future__ import annotations

import contextlib
import hashlib
import os
from collections.abc import Callable, Iterator
from typing import BinaryIO

from stages.base.errors import ImageError
from stages.base.progress import Progress
from stages.images import aci, inventory, oci_import
from stages.images import blobs as blobstore
from stages.images.bundle import Contents
from stages.images.entry import Extent
from stages.images.oci_import import Candidate
from stages.images.store import OCI_PREFIX, ImageStore, is_oci, naming
from stages.linux import locks


def add(store: ImageStore, contents: Contents, where: str, progress: Progress, check: Callable[[], None]) -> None:
    """Import what is not stored. check: called when all is there; what it raises takes everything back.

    Raises ImageError for a blob that is not what its id says, HostError when there is no space.
    """
    before, layers = set(store.ids()), list[str]()
    try:
        # While this is held nobody collects what no pod uses yet.
        with locks.held(store.data.prepare_lock, exclusive=False), naming(where):
            layers.extend(_layers(store, contents, progress))
            for image_id in contents.titles:
                _image(store, image_id, contents, progress)
            check()
    except BaseException:
        _take_back(store, [one for one in contents.titles if one not in before], layers)
        raise


def _layers(store: ImageStore, contents: Contents, progress: Progress) -> Iterator[str]:
    """Store all layers; those that were not there."""
    with store.layers_lock(exclusive=False):
        for blob_id in (one for one in contents.blobs if one.startswith(OCI_PREFIX)):
            if _layer(store, blob_id, contents, progress):
                yield blob_id


def _take_back(store: ImageStore, image_ids: list[str], layers: list[str]) -> None:
    """Remove what was added, unless somebody is preparing a pod, who may use it: then `doit images gc` will."""
    with locks.tried(store.data.prepare_lock) as alone:
        if alone:
            for image_id in set(image_ids).intersection(store.ids()):
                store.remove(image_id)
            store.drop_unused(layers)


def _image(store: ImageStore, image_id: str, contents: Contents, progress: Progress) -> None:
    if is_oci(image_id):
        found = oci_import.add(
            store, Candidate(*contents.documents[image_id], _gone), contents.titles[image_id], image_id[:19], progress
        )
        assert found == image_id, "the id was checked with the documents"
        return
    with store.blobs.lock(image_id):
        if not store.has(image_id):
            with _received(store, image_id, contents, progress) as spool:
                store.keep(spool, aci.read(spool.fileno()), image_id, image_id[:19])
        store.name_it(image_id)


def _layer(store: ImageStore, blob_id: str, contents: Contents, progress: Progress) -> bool:
    """Store one layer; False when it is there."""
    if store.blobs.heal(blob_id):
        return False
    with store.blobs.lock(blob_id):
        if store.blobs.has(blob_id):
            return False
        with _received(store, blob_id, contents, progress) as spool:
            inventory.keep_layer(store.blobs, spool, inventory.read(spool.fileno(), blob_id), blob_id)
    return True


@contextlib.contextmanager
def _received(store: ImageStore, blob_id: str, contents: Contents, progress: Progress) -> Iterator[BinaryIO]:
    """The blob in a file without a name, checked."""
    algorithm, _, digits = blob_id.partition("-")
    digest, place = hashlib.new(algorithm), contents.blobs[blob_id]
    with store.blobs.spool("the bundle") as spool:
        progress.begin(f"importing {blob_id[:19]}", place.length)
        try:
            for piece in _pieces(contents.descriptor, place):
                digest.update(piece)
                spool.write(piece)
                progress.advance(len(piece))
            spool.flush()
        finally:
            progress.end()
        if digest.hexdigest() != digits:
            raise ImageError(f"blob {blob_id[:19]} is not what its digest says", reason="digest")
        yield spool


def _pieces(descriptor: int, place: Extent) -> Iterator[bytes]:
    offset, end = place.offset, place.offset + place.length
    while offset < end:
        piece = os.pread(descriptor, min(blobstore.CHUNK, end - offset), offset)
        if not piece:
            raise ImageError("it became shorter while it was read", reason="truncated")
        yield piece
        offset += len(piece)


def _gone(number: int) -> contextlib.AbstractContextManager[BinaryIO]:
    raise ImageError(f"layer {number + 1} was removed meanwhile", hint="run again", reason="moving")
