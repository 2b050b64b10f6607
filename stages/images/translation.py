"""The appc manifest of a stored OCI image: a translation, made again from what is stored when its rules change."""

from __future__ import annotations

import os
from collections.abc import Callable

from stages.base import files
from stages.base.progress import Progress
from stages.base.records import NamedTuple
from stages.images import inventory, oci, oci_app, oci_record, tar
from stages.images import manifest as manifests
from stages.images.contents import Contents
from stages.images.entry import Kind
from stages.images.oci import Config
from stages.images.store import ImageStore

_MAX_ACCOUNTS = 1 << 20


class Title(NamedTuple):
    """What an imported image is called: from the reference. version: a label, "" for none."""

    name: str
    version: str = ""


def write(store: ImageStore, image_id: str, config: Config, title: Title, progress: Progress) -> None:
    """Translate the configuration of an image whose layers are stored; the caller has the image's lock and theirs."""
    appc = oci_app.manifest(config, title.name, title.version, _content(store, config), progress.warn)
    manifests.parse(appc, "its translation")
    path = store.data.images.manifest(image_id)
    files.make_directory(path.parent)
    files.publish(path, appc, 0o644)


def renew(store: ImageStore, image_id: str, progress: Progress) -> None:
    """Translate a stored OCI image once more if that was done by other rules; its name and its version stay.

    Nothing is fetched. Raises ImageError for a configuration that today's rules refuse.
    """
    with store.blobs.lock(image_id), store.layers_lock(exclusive=False):
        if not store.has(image_id) or oci_app.is_current(store.manifest_bytes(image_id)):
            return
        manifest, data = oci_record.documents(store.data, image_id)
        config = oci.config(data, len(oci.manifest(manifest, "its manifest").layers), image_id[:19])
        known, path = store.manifest(image_id), store.data.images.manifest(image_id)
        imported = os.stat(path).st_mtime_ns
        write(store, image_id, config, Title(known.name, known.label("version") or ""), progress)
        os.utime(path, ns=(imported, imported))


def _content(store: ImageStore, config: Config) -> Callable[[bytes], bytes]:
    """Reads a small file of the image, as its layers leave it; b"" when there is none, or it is no plain file."""
    blob_ids = [diff_id.replace(":", "-", 1) for diff_id in reversed(config.diff_ids)]
    whole = Contents(lambda number: inventory.stored(store.blobs, blob_ids[number]), len(blob_ids))

    def read(path: bytes) -> bytes:
        found = whole.find(path)
        if found is None or found.entry.kind is not Kind.FILE or found.entry.size > _MAX_ACCOUNTS:
            return b""
        with open(store.blobs.path(blob_ids[found.layer]), "rb") as file:
            return tar.read_data(file.fileno(), found.entry, _MAX_ACCOUNTS)

    return read
