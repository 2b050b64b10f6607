"""The image store: appc archives by the full sha512 of their uncompressed bytes, OCI images by their manifest digest.

<images>/blobs, seals           see images.blobs: an archive is one blob, an OCI image one for each layer
<images>/oci/<id>.manifest      of an OCI image, byte for byte; likewise <id>.config
<images>/manifests/<image id>   the appc manifest: the archive's, byte for byte, or one made of an OCI configuration;
                                last written, first removed: it vouches for the rest
<images>/names                  see images.called
"""

from __future__ import annotations

import contextlib
import hashlib
import os
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, BinaryIO

from stages.base import files
from stages.base.errors import ImageError
from stages.base.paths import DataDir
from stages.base.progress import Progress
from stages.base.records import NamedTuple
from stages.images import blobs as blobstore
from stages.images import called, indexes
from stages.images import manifest as manifests
from stages.images.blobs import Blobs
from stages.images.manifest import ImageManifest
from stages.linux import locks

if TYPE_CHECKING:
    from stages.images.aci import Layout
    from stages.images.entry import Entry

PREFIX = "sha512-"
OCI_PREFIX = "sha256-"
PREFIXES = (PREFIX, OCI_PREFIX)
SHORTEST_PREFIX = 8
_LAYERS = "layers"  # the lock of all layers
Admission = Callable[[ImageManifest], None]


class StoredLayer(NamedTuple):
    """One blob of an image with what it holds: an appc image's only one, or a layer of an OCI image.

    entries: names relative to the image's root. changes, whiteouts, opaque: see trees.merge.Layer.
    """

    blob: Path
    entries: tuple[Entry, ...]
    whiteouts: frozenset[bytes] = frozenset()
    opaque: frozenset[bytes] = frozenset()
    changes: bool = False


class ImageStore(NamedTuple):
    """The images of one data directory."""

    data: DataDir

    @property
    def blobs(self) -> Blobs:
        """Where the images' bytes are."""
        return Blobs(self.data)

    @property
    def names(self) -> called.Names:
        """Which images carry which name."""
        return called.Names(self.data)

    def has(self, image_id: str) -> bool:
        """Whether the image is stored whole; a look, no content is read."""
        mine = self.known_blobs(image_id)
        return mine is not None and all(map(self.blobs.has, mine))

    def heal(self, image_id: str) -> bool:
        """Whether the image is stored whole after all: a blob that moved is read again, and sealed if it is right."""
        mine = self.known_blobs(image_id)
        return mine is not None and all(map(self.blobs.heal, dict.fromkeys(mine)))

    def rehash(self, image_id: str) -> bool:
        """Read all of the image: is it what its id says?"""
        if not is_oci(image_id):
            return self.blobs.rehash(image_id)
        from stages.images import oci_record

        whole = oci_record.documents_hold(self.data, image_id)
        return whole and all(self.blobs.rehash(one) for one in set(self.blob_ids(image_id)))

    def blob(self, image_id: str) -> Path:
        """The uncompressed archive of an appc image."""
        return self.data.images.blob(image_id)

    def blob_ids(self, image_id: str) -> tuple[str, ...]:
        """The blobs of a stored image, strongest first. Raises ImageError for damaged documents."""
        if not is_oci(image_id):
            return (image_id,)
        from stages.images import oci_record

        return oci_record.layer_ids(self.data, image_id)

    def known_blobs(self, image_id: str) -> tuple[str, ...] | None:
        """The same, but None when the image's documents are not there or cannot be read."""
        try:
            return self.blob_ids(image_id) if self._is_known(image_id) else None
        except ImageError:
            return None

    def size(self, image_id: str) -> int:
        """The bytes of the image's blobs; what is missing or unknown counts as none."""
        return sum(map(self.blobs.size, set(self.known_blobs(image_id) or ())))

    def manifest_bytes(self, image_id: str) -> bytes:
        """The appc manifest. Raises ImageError when the image is not stored."""
        found = files.read_or_none(self.data.images.manifest(image_id))
        if found is None:
            raise ImageError(f"image {image_id[:19]} is not in the store", reason="not-stored")
        return found

    def manifest(self, image_id: str) -> ImageManifest:
        """The manifest, read. Raises ImageError, for a damaged one too."""
        try:
            return manifests.of(files.value(self.manifest_bytes(image_id)))
        except (KeyError, TypeError, AttributeError) as error:
            raise ImageError(
                f"the stored manifest of image {image_id[:19]} cannot be read",
                hint=f"`doit images rm {image_id[:19]}`, then import the image again",
                reason="bad-manifest",
            ) from error

    def layers(self, image_id: str) -> list[StoredLayer]:
        """The image's blobs and what is in them, strongest first (checked at import). Raises ImageError."""
        from stages.images import inventory

        return [
            StoredLayer(self.blobs.path(one), *inventory.stored(self.blobs, one), inventory.is_layer(one))
            for one in self.blob_ids(image_id)
        ]

    def ids(self) -> list[str]:
        """All stored images, sorted."""
        try:
            return sorted(name for name in os.listdir(self.data.images.manifests) if name.startswith(PREFIXES))
        except FileNotFoundError:
            return []

    def appc_id(self, image_id: str) -> str:
        """How a pod manifest names the image: appc's types know sha512 only, so of an OCI manifest it is that."""
        if not is_oci(image_id):
            return image_id
        return PREFIX + hashlib.sha512(files.read_or_none(self.data.images.oci_manifest(image_id)) or b"").hexdigest()

    def resolve(self, text: str) -> str:
        """The one stored image whose id (or appc id) starts with `text`, at least 8 hex digits. Raises ImageError."""
        algorithm, dash, digits = text.replace(":", "-", 1).partition("-")
        if algorithm + dash not in PREFIXES or len(digits) < SHORTEST_PREFIX or set(digits) - set("0123456789abcdef"):
            raise ImageError(
                f"{text!r} is not an image id",
                hint=f"an image id is {PREFIX} and 128 hex digits ({OCI_PREFIX} and 64 of an OCI image), "
                f"or at least the first {SHORTEST_PREFIX} of them",
                reason="bad-id",
            )
        wanted = algorithm + dash + digits
        matches = [one for one in self.ids() if one.startswith(wanted)]
        if not matches and algorithm + dash == PREFIX:
            matches = [one for one in self.ids() if is_oci(one) and self.appc_id(one).startswith(wanted)]
        if not matches:
            raise ImageError(f"no image {text[:26]} in the store", hint="import it first", reason="not-stored")
        if len(matches) > 1:
            raise ImageError(f'ambiguous image ID: "{text}" ({len(matches)} images)', reason="ambiguous")
        return matches[0]

    def find(self, name: str, labels: Mapping[str, str]) -> str | None:
        """The image of that name which carries all the labels; the newest import when there are several.

        os and arch, when not asked for, are this host's if the image has such a label (contract M 41).
        """
        return called.find(self, name, labels)

    def add(self, file: BinaryIO, where: str, progress: Progress, admit: Admission | None = None) -> str:
        """Import an appc archive, plain or compressed, from an open file; returns its image id.

        admit: may raise for its manifest. Raises ImageError (a bad archive), HostError; the store is as it was then.
        """
        from stages.images import aci, intake

        def read(upto: Callable[[int], int]) -> Layout:
            return aci.read(spool.fileno(), upto)

        with self.blobs.spool(where) as spool, naming(where), intake.Beside(read) as headers:
            progress.begin(f"importing {where}", os.fstat(file.fileno()).st_size)
            try:
                image_id = PREFIX + blobstore.receive(file, spool, "sha512", progress, headers)
            finally:
                progress.end()
            with self.blobs.lock(image_id), self.layers_lock(exclusive=False):
                if not self.has(image_id):
                    self.keep(spool, headers.result(), image_id, where, admit)
                elif admit is not None:
                    admit(self.manifest(image_id))
                self.name_it(image_id)
        return image_id

    def remove(self, image_id: str) -> int:
        """Take an image out; returns the bytes given back. Trees made of it stay."""
        with self.blobs.lock(image_id), self.layers_lock(exclusive=True):
            mine = self.known_blobs(image_id) or ()
            self.data.images.signer(image_id).unlink(missing_ok=True)
            self.data.images.manifest(image_id).unlink()
            files.sync_directory(self.data.images.manifests)
            self.names.forget(image_id)
            size = sum(self.blobs.drop(one) for one in sorted(set(mine) - self._used()))
            if is_oci(image_id):
                from stages.images import oci_record

                oci_record.drop(self.data, image_id)
            size += indexes.drop(self.data, image_id)
        return size

    def unused(self) -> list[str]:
        """Blobs that no stored image has: what broken-off imports left, and would take up again."""
        with self.layers_lock(exclusive=True):
            used = self._used()
            return [one for one in self.blobs.ids() if one not in used]

    def drop_unused(self, blob_ids: Sequence[str] | None = None) -> int:
        """Delete those of the blobs (None: of all) that no stored image has; returns the bytes given back."""
        with self.layers_lock(exclusive=True):
            among = self.blobs.ids() if blob_ids is None else blob_ids
            return sum(self.blobs.drop(one) for one in sorted(set(among) - self._used()))

    def export(self, image_id: str, out: BinaryIO) -> None:
        """Write the image as one file: the appc archive as its id says, or an oci-archive. Raises ImageError."""
        if is_oci(image_id):
            from stages.images import oci_export

            oci_export.write(self, image_id, out)
            return
        import shutil

        self.manifest_bytes(image_id)
        with open(self.blob(image_id), "rb") as blob:
            shutil.copyfileobj(blob, out, blobstore.CHUNK)

    def layers_lock(self, *, exclusive: bool) -> contextlib.AbstractContextManager[None]:
        """Held while layers that no image has yet must stay (shared), or while unused ones go (exclusive)."""
        return locks.held(self.data.image_locks / _LAYERS, exclusive=exclusive)

    def sweep_locks(self) -> None:
        """Delete the lock files of what is not stored."""
        locks.sweep(self.data.image_locks, {_LAYERS, *self.ids(), *self.blobs.ids()})

    def name_it(self, image_id: str) -> None:
        """Enter the image into the index of names, or renew its time of import."""
        self.names.enter(self.manifest(image_id).name, image_id)

    def keep(self, spool: BinaryIO, checked: Layout, image_id: str, where: str, admit: Admission | None = None) -> None:
        """Check the archive's manifest, then make it part of the store, the manifest last. checked: its headers."""
        from stages.images import aci, inventory, tar

        manifest_bytes = tar.read_data(spool.fileno(), checked.manifest, aci.MAX_MANIFEST)
        manifest = manifests.parse(manifest_bytes, where)
        if admit is not None:
            admit(manifest)
        self.blobs.keep(spool, image_id)
        inventory.write(self.blobs, image_id, inventory.Inventory(checked.members))
        files.make_directory(self.data.images.manifests)
        files.publish(self.data.images.manifest(image_id), manifest_bytes, 0o644)

    def _is_known(self, image_id: str) -> bool:
        """Whether the store has the image's documents."""
        paths = self.data.images
        found = [paths.manifest(image_id)]
        found += [paths.oci_manifest(image_id), paths.oci_config(image_id)] if is_oci(image_id) else []
        return all(path.exists() for path in found)

    def _used(self) -> set[str]:
        """Blobs that must stay. As long as an image's documents cannot be read, nobody knows which are its own: all."""
        known = [self.known_blobs(image_id) for image_id in self.ids()]
        if None in known:
            return set(self.blobs.ids())
        return {blob for mine in known for blob in mine or ()}


def is_oci(image_id: str) -> bool:
    """Whether the id is that of an OCI image."""
    return image_id.startswith(OCI_PREFIX)


@contextlib.contextmanager
def naming(where: str) -> Iterator[None]:
    """Say of which archive an error speaks."""
    try:
        yield
    except ImageError as error:
        if error.sentence.startswith(where):
            raise
        raise ImageError(f"{where}: {error.sentence}", hint=error.hint, reason=error.reason) from error
