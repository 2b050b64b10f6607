"""The documents of a stored OCI image: kept byte for byte, so that every digest can be checked again."""

from __future__ import annotations

import json
import re

from stages.base import files
from stages.base.errors import ImageError
from stages.base.paths import DataDir
from stages.images import oci

_DIFF_ID = re.compile("sha256:[0-9a-f]{64}")


def layer_ids(data: DataDir, image_id: str) -> tuple[str, ...]:
    """The blob ids of the image's layers, strongest first. Raises ImageError when it is not stored, or damaged."""
    config = documents(data, image_id)[1]
    try:
        found = json.loads(config)["rootfs"]["diff_ids"]
        if not all(map(_DIFF_ID.fullmatch, found)):
            raise ValueError
    except (ValueError, KeyError, TypeError, RecursionError) as error:
        raise ImageError(
            f"the stored configuration of image {image_id[:19]} cannot be read",
            hint="import the image again",
            reason="bad-config",
        ) from error
    return tuple(one.replace(":", "-", 1) for one in reversed(found))


def documents(data: DataDir, image_id: str) -> tuple[bytes, bytes]:
    """Manifest and configuration. Raises ImageError when the image is not stored."""
    paths = (data.images.oci_manifest(image_id), data.images.oci_config(image_id))
    manifest, config = (files.read_or_none(path) for path in paths)
    if manifest is None or config is None:
        raise ImageError(f"image {image_id[:19]} is not in the store", reason="not-stored")
    return manifest, config


def documents_hold(data: DataDir, image_id: str) -> bool:
    """Whether they are what the image's id says."""
    try:
        manifest, config = documents(data, image_id)
        oci.check_digest(manifest, image_id.replace("-", ":", 1), "manifest")
        oci.check_bytes(config, oci.manifest(manifest, "manifest").config, "configuration")
    except ImageError:
        return False
    return True


def keep(data: DataDir, image_id: str, manifest: bytes, config: bytes) -> None:
    """Store the documents. They vouch for nothing until the appc manifest is there."""
    files.make_directory(data.images.oci_manifest(image_id).parent)
    files.publish(data.images.oci_config(image_id), config, 0o644)
    files.publish(data.images.oci_manifest(image_id), manifest, 0o644)


def drop(data: DataDir, image_id: str) -> None:
    """Take the documents out."""
    data.images.oci_manifest(image_id).unlink(missing_ok=True)
    data.images.oci_config(image_id).unlink(missing_ok=True)
