"""A stored OCI image as an oci-archive: its configuration, and its layers uncompressed under a manifest for them."""

from __future__ import annotations

import os
from typing import Any

from stages.base.digest import canonical
from stages.images import build, oci, oci_record
from stages.images.build import Member, Writer
from stages.images.entry import Entry, Extent, Kind
from stages.images.store import ImageStore


def write(store: ImageStore, image_id: str, out: Writer) -> None:
    """Write the archive; the same image gives the same bytes. Raises ImageError when it is not stored.

    What was packed is not kept, so the manifest is another one and with it the id; the tree is the same.
    """
    _, config = oci_record.documents(store.data, image_id)
    blob_ids = store.blob_ids(image_id)[::-1]
    layers = [_descriptor(oci.LAYER, one.replace("-", ":", 1), _size(store, one)) for one in blob_ids]
    parts = {"config": _descriptor(oci.CONFIG, oci.digest_of(config), len(config)), "layers": layers}
    manifest = canonical({"schemaVersion": 2, "mediaType": oci.MANIFEST, **parts})
    named = store.manifest(image_id)
    version = named.label("version")
    entry = _descriptor(oci.MANIFEST, oci.digest_of(manifest), len(manifest))
    entry["annotations"] = {oci.REF_NAME: f"{named.name}:{version}" if version else named.name}
    documents = [
        build.regular("oci-layout", canonical({"imageLayoutVersion": "1.0.0"})),
        build.regular("index.json", canonical({"schemaVersion": 2, "manifests": [entry]})),
        *(build.regular(_name(oci.digest_of(data)), data) for data in (config, manifest)),
    ]
    build.write_tar(out, [*documents, *(_layer(store, one) for one in dict.fromkeys(blob_ids))])


def _layer(store: ImageStore, blob_id: str) -> Member:
    path, size = store.blobs.path(blob_id), _size(store, blob_id)
    extents = (Extent(0, 0, size),) if size else ()
    entry = Entry(_name(blob_id.replace("-", ":", 1)).encode(), Kind.FILE, 0o644, size=size, extents=extents)
    return Member(entry, build.opener(os.fsencode(path)))


def _size(store: ImageStore, blob_id: str) -> int:
    return store.blobs.path(blob_id).stat().st_size


def _descriptor(media_type: str, digest: str, size: int) -> dict[str, Any]:
    return {"mediaType": media_type, "digest": digest, "size": size}


def _name(digest: str) -> str:
    return "blobs/" + digest.replace(":", "/", 1)
