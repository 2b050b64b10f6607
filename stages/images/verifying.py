"""The full check of stored images: every blob read once, on all processors, and what is damaged trusted no more."""

from __future__ import annotations

import os
import threading
from collections.abc import Iterable, Sequence

from stages.base.digest import short
from stages.base.progress import Progress
from stages.images.blobs import Blobs
from stages.images.store import ImageStore, is_oci


def size(store: ImageStore, image_ids: Iterable[str]) -> int:
    """The bytes that `verify` reads."""
    return sum(map(store.blobs.size, {one for image_id in image_ids for one in _blob_ids(store, image_id)}))


def verify(store: ImageStore, image_ids: Sequence[str], progress: Progress) -> dict[str, str]:
    """Each image, in the order given, with what is wrong with it, "" for nothing; without those that go meanwhile.

    Tells progress, which has begun, the bytes read. A damaged blob loses its seal, so that the next run that needs it
    brings it again. Ctrl-C ends it within a piece of a blob.
    """
    parts = {image_id: _blob_ids(store, image_id) for image_id in image_ids}
    damaged = _damaged(store.blobs, list(dict.fromkeys(one for ids in parts.values() for one in ids)), progress)
    found = {one: _told(store, one, [blob for blob in ids if blob in damaged]) for one, ids in parts.items()}
    there = set(store.ids())  # asked for last: of one that was removed before, any part may have been missing
    return {image_id: trouble for image_id, trouble in found.items() if image_id in there}


def _told(store: ImageStore, image_id: str, damaged: Sequence[str]) -> str:
    if not _documents_hold(store, image_id):
        return f"its documents are damaged; `doit images rm {short(image_id)}`, then import it again"
    if not damaged:
        return ""
    which = f" in {', '.join(map(short, damaged))}" if is_oci(image_id) else ""
    return f"its bytes are others{which}; a run that needs it imports it again"


def _blob_ids(store: ImageStore, image_id: str) -> tuple[str, ...]:
    return store.blob_ids(image_id) if _documents_hold(store, image_id) else ()


def _documents_hold(store: ImageStore, image_id: str) -> bool:
    if not is_oci(image_id):
        return True
    from stages.images import oci_record

    return oci_record.documents_hold(store.data, image_id)


def _damaged(blobs: Blobs, blob_ids: Sequence[str], progress: Progress) -> set[str]:
    """Those of the blobs that are not what their ids say, or are missing; their seals are gone."""
    from concurrent.futures import ThreadPoolExecutor  # loads logging: others of this module need neither

    stop, telling = threading.Event(), threading.Lock()

    def told(count: int) -> bool:
        with telling:
            progress.advance(count)
        return not stop.is_set()

    def is_whole(blob_id: str) -> bool:
        return stop.is_set() or blobs.rehash(blob_id, told)

    readers = ThreadPoolExecutor(len(os.sched_getaffinity(0)))
    try:
        found = dict(zip(blob_ids, readers.map(is_whole, blob_ids), strict=True))
    finally:
        stop.set()  # nothing to stop, unless this is Ctrl-C or an error
        readers.shutdown(cancel_futures=True)
    damaged = {blob_id for blob_id, whole in found.items() if not whole}
    for blob_id in damaged:
        with blobs.lock(blob_id):
            blobs.unseal(blob_id)
    return damaged
