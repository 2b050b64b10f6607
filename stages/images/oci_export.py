"""A stored OCI image as an oci-archive: its configuration, and its layers uncompressed under a manifest for them."""

from __future__ import annotations

from typing import Any

from stages.base.digest import canonical
from stages.images import build, oci, oci_record
from stages.images.build import Writer
from stages.images.store import ImageStore


def write(store: ImageStore, image_id: str, out: Writer) -> None:
    """Write the archive; the same image gives the same bytes. Raises ImageError when it is not stored.

    What was packed is not kept, so the manifest is another one and with it the id; the tree is the same.
    """
    _, config = oci_record.documents(store.data, image_id)
    diff_ids = [one.replace("-", ":", 1) for one in reversed(store.blob_ids(image_id))]
    blobs = {one: store.blobs.path(one.replace(":", "-", 1)) for one in diff_ids}
    layers = [_descriptor(oci.LAYER, one, blobs[one].stat().st_size) for one in diff_ids]
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
    build.write_tar(out, [*documents, *(build.of_file(_name(one), path) for one, path in blobs.items())])


def _descriptor(media_type: str, digest: str, size: int) -> dict[str, Any]:
    return {"mediaType": media_type, "digest": digest, "size": size}


def _name(digest: str) -> str:
    return "blobs/" + digest.replace(":", "/", 1)
