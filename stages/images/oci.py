"""OCI's JSON documents (image-spec: descriptor, index, manifest, configuration), read strictly into frozen records.

Docker's equivalents of schema 2 are read as well: they differ in media types only. Nothing that is read here is
trusted before: bytes come with the digest they must have, sizes and counts have limits, and a document that could be
taken for two things is refused.
"""

from __future__ import annotations

import hashlib
import re
from typing import Any

from stages.base import strictjson
from stages.base.errors import ImageError
from stages.base.records import NamedTuple

MAX_DOCUMENT = 8 << 20
MAX_LAYERS = 500
MAX_MANIFESTS = 2000

INDEX = "application/vnd.oci.image.index.v1+json"
MANIFEST = "application/vnd.oci.image.manifest.v1+json"
CONFIG = "application/vnd.oci.image.config.v1+json"
LAYER = "application/vnd.oci.image.layer.v1.tar"
INDEXES = frozenset({INDEX, "application/vnd.docker.distribution.manifest.list.v2+json"})
MANIFESTS = frozenset({MANIFEST, "application/vnd.docker.distribution.manifest.v2+json"})
CONFIGS = frozenset({CONFIG, "application/vnd.docker.container.image.v1+json"})
SHARED = "application/vnd.oci.image.layer.nondistributable.v1.tar"
_DOCKER = "application/vnd.docker.image.rootfs.diff.tar"
# Media types of layers, and how each is packed (the values of images.compression.Compression).
_PACKED = {"": "plain", "+gzip": "gzip", "+zstd": "zstd"}
LAYERS = {
    **{base + ending: kind for base in (LAYER, SHARED) for ending, kind in _PACKED.items()},
    _DOCKER: "plain",
    f"{_DOCKER}.gzip": "gzip",
    f"{_DOCKER}.zstd": "zstd",
    "application/vnd.docker.image.rootfs.foreign.diff.tar.gzip": "gzip",
}
REF_NAME = "org.opencontainers.image.ref.name"

_DIGEST = re.compile(r"sha256:[0-9a-f]{64}|sha512:[0-9a-f]{128}")
_DIFF_ID = re.compile(r"sha256:[0-9a-f]{64}")


class Platform(NamedTuple):
    """What an image is made for, in OCI's words."""

    os: str
    architecture: str
    variant: str = ""

    def text(self) -> str:
        """As people write it: os/architecture[/variant]."""
        return "/".join(self if self.variant else self[:2])


class Descriptor(NamedTuple):
    """A reference to bytes: digest is `sha256:<hex>` or `sha512:<hex>`, size in bytes. name: the tag in a layout."""

    media_type: str
    digest: str
    size: int
    platform: Platform | None = None
    name: str = ""


class Manifest(NamedTuple):
    """An image: its configuration and its layers, weakest first."""

    config: Descriptor
    layers: tuple[Descriptor, ...]


class Config(NamedTuple):
    """An image's configuration. diff_ids: `sha256:<hex>` of each uncompressed layer, weakest first.

    process: the `config` object as it stands; its fields are checked where they are translated.
    """

    platform: Platform
    diff_ids: tuple[str, ...]
    process: dict[str, Any]
    created: str


def digest_of(data: bytes) -> str:
    """sha256:<hex> of a document."""
    return "sha256:" + hashlib.sha256(data).hexdigest()


def check_digest(data: bytes, digest: str, what: str) -> None:
    """Raise ImageError unless the bytes are what the digest says."""
    algorithm, _, digits = digest.partition(":")
    if hashlib.new(algorithm, data).hexdigest() != digits:
        raise ImageError(f"{what} is not what its digest {digest[:19]} says", reason="digest")


def check_bytes(data: bytes, wanted: Descriptor, what: str) -> bytes:
    """The bytes, if they have the size and the digest of the descriptor. Raises ImageError."""
    if len(data) != wanted.size:
        raise ImageError(f"{what} has {len(data)} bytes, its descriptor says {wanted.size}", reason="size")
    check_digest(data, wanted.digest, what)
    return data


def is_index(data: bytes, media_type: str, what: str) -> bool:
    """Whether the document is an index rather than a manifest, by its media type and by what is in it.

    media_type: what the reference to it says, or "". Raises ImageError for neither, and for what could be both.
    """
    document = _object(data, what)
    own = _text(document, "mediaType", what)
    if media_type and own and own != media_type:
        raise ImageError(f"{what} calls itself {own!r}, the reference to it says {media_type!r}", reason="media-type")
    has_list, has_layers = "manifests" in document, "layers" in document or "config" in document
    if has_list and has_layers:
        raise ImageError(f"{what} is an index and a manifest at once", reason="ambiguous-manifest")
    said = media_type or own or (INDEX if has_list else MANIFEST)
    if said in INDEXES and has_list:
        return True
    if said in MANIFESTS and has_layers:
        return False
    if document.get("schemaVersion") == 1:
        hint = "it has docker's first format, which is out of use: push the image again with a tool of today"
        raise ImageError(f"{what} is no OCI image", hint=hint, reason="schema-1")
    raise ImageError(f"{what} is neither an index nor a manifest of media type {said!r}", reason="media-type")


def index(data: bytes, what: str) -> tuple[Descriptor, ...]:
    """The entries of an index, or of a layout's index.json, those of other kinds than images left out."""
    listed = _list(_object(data, what), "manifests", MAX_MANIFESTS, what)
    found = [(_descriptor(item, what), item.get("artifactType") or "") for item in listed]
    return tuple(one for one, kind in found if one.media_type in INDEXES | MANIFESTS and kind in ("", *CONFIGS))


def manifest(data: bytes, what: str) -> Manifest:
    """Read a manifest. Raises ImageError."""
    document = _object(data, what)
    layers = tuple(_descriptor(item, what) for item in _list(document, "layers", MAX_LAYERS, what))
    config = _descriptor(document.get("config"), what)
    if config.media_type not in CONFIGS:
        hint = "registries keep other things too, such as charts and signatures"
        message = f"{what} is no image: its configuration is {config.media_type!r}"
        raise ImageError(message, hint=hint, reason="media-type")
    for layer in layers:
        if layer.media_type not in LAYERS:
            raise ImageError(f"{what} has a layer of the unknown media type {layer.media_type!r}", reason="media-type")
    return Manifest(config, layers)


def config(data: bytes, layers: int, what: str) -> Config:
    """Read the configuration of an image with so many layers. Raises ImageError."""
    document = _object(data, what)
    root = document.get("rootfs")
    if not isinstance(root, dict) or root.get("type") != "layers":
        raise ImageError(f"{what}: the configuration has no rootfs of layers", reason="config")
    diff_ids = _list(root, "diff_ids", MAX_LAYERS, what)
    if len(diff_ids) != layers:
        message = f"{what}: the manifest has {layers} layers, the configuration {len(diff_ids)}"
        raise ImageError(message, reason="layer-count")
    if not all(isinstance(one, str) and _DIFF_ID.fullmatch(one) for one in diff_ids):
        raise ImageError(f"{what}: the configuration has a diff id that is no sha256 digest", reason="config")
    process = document.get("config")
    if not isinstance(process, dict | None):
        raise ImageError(f"{what}: the configuration's `config` is no object", reason="config")
    platform = Platform(*(_text(document, key, what) for key in ("os", "architecture", "variant")))
    return Config(platform, tuple(diff_ids), process or {}, _text(document, "created", what))


def is_digest(text: str) -> bool:
    """Whether the text is a whole digest, as sha256:<64 hex digits>."""
    return _DIGEST.fullmatch(text) is not None


def _descriptor(item: Any, what: str) -> Descriptor:
    if not isinstance(item, dict):
        raise ImageError(f"{what} has something in place of a descriptor", reason="descriptor")
    digest, size = item.get("digest"), item.get("size")
    if not isinstance(digest, str) or not is_digest(digest):
        raise ImageError(f"{what} has a descriptor without a sha256 or sha512 digest", reason="digest")
    if not isinstance(size, int) or isinstance(size, bool) or not 0 <= size < 1 << 63:
        raise ImageError(f"{what} has a descriptor without a size", reason="size")
    platform, annotations = item.get("platform"), item.get("annotations")
    named = annotations.get(REF_NAME) if isinstance(annotations, dict) else None
    return Descriptor(
        _text(item, "mediaType", what),
        digest,
        size,
        Platform(*(_text(platform, key, what) for key in ("os", "architecture", "variant")))
        if isinstance(platform, dict)
        else None,
        named if isinstance(named, str) else "",
    )


def _object(data: bytes, what: str) -> dict[str, Any]:
    found = document(data, what)
    if not isinstance(found, dict):
        raise ImageError(f"{what} is not a JSON object", reason="json")
    return found


def document(data: bytes, what: str) -> Any:
    """JSON from anywhere: not too large, no key twice, text that is text. Raises ImageError."""
    if len(data) > MAX_DOCUMENT:
        raise ImageError(f"{what} is larger than {MAX_DOCUMENT} bytes", reason="limit")
    try:
        return strictjson.loads(data, _once)
    except ValueError as error:
        raise ImageError(f"{what} is not good JSON: {error}", reason="json") from error


def _once(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) != len(pairs):
        raise ValueError("a key is there twice")
    return found


def _list(document: dict[str, Any], key: str, most: int, what: str) -> list[Any]:
    found = document.get(key)
    if not isinstance(found, list):
        raise ImageError(f"{what} has no list of {key}", reason="json")
    if len(found) > most:
        raise ImageError(f"{what} lists {len(found)} {key}, more than {most}", reason="limit")
    return found


def _text(document: dict[str, Any], key: str, what: str) -> str:
    found = document.get(key)
    if found is None:
        return ""
    if not isinstance(found, str):
        raise ImageError(f"{what}: {key} is not a string", reason="json")
    return found
