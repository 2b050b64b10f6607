"""Brings an image from a registry into the store: what is missing is fetched, and everything checked by us."""

from __future__ import annotations

import contextlib
import os
import secrets
from collections.abc import Iterator
from pathlib import Path
from typing import BinaryIO

from stages.base import files
from stages.base.errors import ImageError
from stages.base.progress import Progress
from stages.base.records import NamedTuple
from stages.images import oci, oci_app, oci_import, oci_record, platform, skopeo
from stages.images.arriving import Watch
from stages.images.layouts import Folder, small
from stages.images.oci import Descriptor, Manifest
from stages.images.oci_import import Candidate
from stages.images.pace import Pace
from stages.images.platform import Wanted
from stages.images.reference import Registry
from stages.images.settings import LEAST
from stages.images.store import OCI_PREFIX, ImageStore, naming
from stages.images.translation import Title
from stages.linux import locks

_PREFIX = "pull-"


class Pulled(NamedTuple):
    """What a reference led to: digest (sha256:<hex>) of the manifest or index itself, and the image's id."""

    digest: str
    image_id: str


class Errand(NamedTuple):
    """What is to be pulled. patience: seconds after which a registry that is silent, or nearly so, is given up."""

    reference: Registry
    wanted: Wanted
    patience: float


def pull(store: ImageStore, errand: Errand, progress: Progress) -> Pulled:
    """Ask the registry what the reference means now, and import that unless it is stored.

    Raises ImageError (no such image, not allowed in, refused by the host's policy, no answer, not as its digests and
    sizes say) and HostError (no skopeo, no space). Interrupted anywhere, it leaves nothing that counts.
    """
    reference, wanted, patience = errand
    where = reference.text()
    named = skopeo.raw_manifest(where, patience)
    digest = oci.digest_of(named)
    if reference.digest and digest != reference.digest:
        raise ImageError(f"{where} is not what its digest says", reason="digest")
    exact, manifest_bytes = _instance(errand, named)
    image_id = OCI_PREFIX + oci.digest_of(manifest_bytes).removeprefix("sha256:")
    manifest = oci.manifest(manifest_bytes, where)
    stored = store.heal(image_id)
    config = oci_record.documents(store.data, image_id)[1] if stored else _config(errand, exact, manifest)
    with naming(where):
        wanted.check(oci.config(config, len(manifest.layers), where).platform)
    if not stored:
        _fetch(store, errand, (manifest_bytes, manifest, config), progress)
    return Pulled(digest, image_id)


def sweep(store: ImageStore) -> None:
    """Delete what pulls that were killed left behind.

    Only who holds a folder's lock uses or deletes it, so a pull that begins at this moment has it, or takes another.
    """
    with contextlib.suppress(FileNotFoundError):
        for name in os.listdir(store.data.images.incoming):
            if name.startswith(_PREFIX):
                _discard_dead(store, store.data.images.incoming / name)


def _discard_dead(store: ImageStore, path: Path) -> None:
    try:
        lock = locks.try_lock(path)
    except FileNotFoundError:  # another sweep was first
        return
    if lock is None:
        return
    try:
        files.discard(path, store.data.garbage)
    finally:
        os.close(lock)


def _instance(errand: Errand, data: bytes) -> tuple[str, bytes]:
    """The reference and the bytes of the manifest for the platform."""
    reference, wanted, patience = errand
    where = reference.text()
    if not oci.is_index(data, "", where):
        return f"docker://{reference.repository}@{oci.digest_of(data)}", data
    chosen = platform.pick(oci.index(data, where), wanted.platform, where)
    exact = f"docker://{reference.repository}@{chosen.digest}"
    found = oci.check_bytes(skopeo.raw_manifest(exact, patience), chosen, f"the manifest of {where}")
    if oci.is_index(found, chosen.media_type, where):
        raise ImageError(f"{where} is an index of indexes, which no registry should have", reason="media-type")
    return exact, found


def _config(errand: Errand, exact: str, manifest: Manifest) -> bytes:
    """The bytes of the configuration."""
    found = skopeo.raw_config(exact, errand.wanted.platform, errand.patience)
    return oci.check_bytes(found, manifest.config, f"the configuration of {errand.reference.text()}")


def _fetch(store: ImageStore, errand: Errand, parts: tuple[bytes, Manifest, bytes], progress: Progress) -> None:
    """Let skopeo fetch the missing layers (it asks for the reference as it was written, so that the host's policy
    sees the name), then import them.
    """
    manifest_bytes, manifest, config_bytes = parts
    reference, where = errand.reference, errand.reference.text()
    diff_ids = oci.config(config_bytes, len(manifest.layers), where).diff_ids
    pairs = zip(manifest.layers, diff_ids, strict=True)
    known = {layer.digest for layer, diff_id in pairs if store.blobs.heal(diff_id.replace(":", "-", 1))}
    sweep(store)
    with _folder(store) as (folder, lock):
        blobs = folder / "blobs"
        _pretend(blobs, [layer for layer in manifest.layers if layer.digest in known])
        announced = sum({one.digest: one.size for one in manifest.layers if one.digest not in known}.values())
        progress.begin(f"fetching {where}", announced)
        watch = Watch(folder, where, announced, Pace(LEAST, errand.patience), progress)
        try:
            skopeo.copy(where, folder, errand.wanted.platform, lock, watch.look)
        finally:
            progress.end()
        _compare(folder, parts, where)

        @contextlib.contextmanager
        def opened(number: int) -> Iterator[BinaryIO]:
            if manifest.layers[number].digest in known:
                raise ImageError("a layer was removed meanwhile", hint="run again", reason="moving")
            path = _path(blobs, manifest.layers[number])
            if not path.exists():  # one with `urls`, which skopeo leaves where it is when it writes a layout
                what = f"the registry does not have layer {number + 1}, only where it is on the web"
                hint = f"`skopeo copy {where} docker-archive:FILE` fetches it; write docker-archive:FILE then"
                raise ImageError(what, hint=hint, reason="foreign-layer")
            with open(path, "rb") as file:
                yield file

        title = Title(reference.repository, reference.tag)
        oci_import.add(store, Candidate(manifest_bytes, config_bytes, opened, errand.wanted), title, where, progress)


@contextlib.contextmanager
def _folder(store: ImageStore) -> Iterator[tuple[Path, int]]:
    """A folder for one pull, locked, gone afterwards."""
    incoming = store.data.images.incoming
    files.make_directory(incoming)
    lock = None
    while lock is None:
        path = incoming / f"{_PREFIX}{secrets.token_hex(4)}"
        path.mkdir(mode=0o700)
        with contextlib.suppress(FileNotFoundError):  # a sweep came between the two; it may have the lock, too
            lock = locks.try_lock(path)
    try:
        yield path, lock
    finally:
        files.discard(path, store.data.garbage)
        os.close(lock)


def _pretend(blobs: Path, layers: list[Descriptor]) -> None:
    """Put empty files of the right size where stored layers would be: skopeo takes them as fetched."""
    for layer in layers:
        path = _path(blobs, layer)
        files.make_directory(path.parent)
        with open(path, "wb") as file:
            file.truncate(layer.size)


def _path(blobs: Path, layer: Descriptor) -> Path:
    algorithm, _, digits = layer.digest.partition(":")
    return blobs / algorithm / digits


def _compare(folder: Path, parts: tuple[bytes, Manifest, bytes], where: str) -> None:
    """What was fetched, and let in by the host's policy, must be what was announced.

    In between a tag can move; and a registry may show those who ask another image than those who fetch. The manifest
    is the same byte for byte, but docker's are fetched in OCI's form: then all that is read of them is compared.
    """
    manifest_bytes, manifest, config_bytes = parts
    (listed,) = oci.index(small(Folder(folder / "layout"), "index.json"), "index.json")
    if listed.digest == oci.digest_of(manifest_bytes):
        return
    copied = oci.manifest(_path(folder / "blobs", listed).read_bytes(), where)
    copied_config = _path(folder / "blobs", copied.config).read_bytes()
    if _meaning(copied, copied_config, where) != _meaning(manifest, config_bytes, where):
        raise ImageError(f"{where} was changed while it was fetched", hint="run again", reason="moving")


def _meaning(manifest: Manifest, config_bytes: bytes, where: str) -> tuple[object, ...]:
    """The layers, and all that we read of a configuration but the variant of a processor, which OCI's form drops."""
    config = oci.config(config_bytes, len(manifest.layers), where)
    plain = config._replace(platform=config.platform._replace(variant=""))
    translated = oci_app.manifest(plain, "image", "", lambda path: b"", lambda words: None)
    return [one.digest for one in manifest.layers], config.diff_ids, translated
