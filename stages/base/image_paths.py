"""Every path of the image store, and of the keys that its images are checked with."""

from __future__ import annotations

from pathlib import Path

from stages.base.records import NamedTuple


class ImagePaths(NamedTuple):
    """The image store."""

    root: Path

    @property
    def blobs(self) -> Path:
        return self.root / "blobs"

    def blob(self, image_id: str) -> Path:
        """The uncompressed archive `sha512-<hex>`, or layer `sha256-<hex>`."""
        algorithm, _, digits = image_id.partition("-")
        return self.blobs / algorithm / digits

    @property
    def manifests(self) -> Path:
        return self.root / "manifests"

    def manifest(self, image_id: str) -> Path:
        return self.manifests / image_id

    def oci_manifest(self, image_id: str) -> Path:
        """The manifest of an OCI image, byte for byte."""
        return self.root / "oci" / f"{image_id}.manifest"

    def oci_config(self, image_id: str) -> Path:
        """The configuration of an OCI image, byte for byte."""
        return self.root / "oci" / f"{image_id}.config"

    @property
    def seals(self) -> Path:
        return self.root / "seals"

    def seal(self, image_id: str) -> Path:
        return self.seals / image_id

    @property
    def inventories(self) -> Path:
        return self.root / "inventories"

    def inventory(self, blob_id: str) -> Path:
        """What is in a blob, as its headers said."""
        return self.inventories / blob_id

    @property
    def indexes(self) -> Path:
        """What each image makes by itself, as an index."""
        return self.root / "indexes"

    @property
    def names(self) -> Path:
        return self.root / "names"

    @property
    def sources(self) -> Path:
        return self.root / "sources"

    @property
    def signers(self) -> Path:
        return self.root / "signers"

    def signer(self, image_id: str) -> Path:
        """Whose signatures of the image were checked."""
        return self.signers / image_id

    @property
    def incoming(self) -> Path:
        return self.root / "incoming"


class KeyPaths(NamedTuple):
    """One place for trusted keys, laid out as rkt's (contract K.11)."""

    root: Path

    @property
    def everywhere(self) -> Path:
        """Keys for images of every name."""
        return self.root / "root.d"

    @property
    def prefixes(self) -> Path:
        """Keys for the names below a prefix."""
        return self.root / "prefix.d"

    def folder(self, prefix: str) -> Path:
        """Where the keys of a prefix are; "" for every name. The prefix is an appc identifier without odd parts."""
        return self.prefixes.joinpath(*prefix.split("/")) if prefix else self.everywhere


class ConfigDir(NamedTuple):
    """A directory of this host's configuration."""

    root: Path

    @property
    def images(self) -> Path:
        """What is demanded of images."""
        return self.root / "images.json"

    @property
    def keys(self) -> KeyPaths:
        return KeyPaths(self.root / "trustedkeys")
