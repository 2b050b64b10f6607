"""Lets appc images in by their signatures: what is demanded, whether it was met, and the import that sees to it.

<images>/signers/<image id> remembers whose signatures of an image were good; an empty list, that they were looked for.
Only bytes that a trusted key has signed are unpacked; whether the key counts for the image's name is asked when the
name is known, before the image is part of the store. Signatures are of the file as it is delivered, packed or not.
"""

from __future__ import annotations

import contextlib
import os
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import BinaryIO

from stages.base import files
from stages.base.digest import canonical
from stages.base.errors import ImageError
from stages.base.progress import Progress
from stages.base.records import NamedTuple
from stages.base.verdict import FRESH, Verdict
from stages.images import blobs, keys, openpgp, settings
from stages.images.keys import Keystore
from stages.images.manifest import ImageManifest
from stages.images.openpgp import Key
from stages.images.settings import Settings
from stages.images.store import Admission, ImageStore
from stages.spec.model import Signatures

SUFFIX = ".asc"
_REMEMBERED = 16
_NO_PREFIX = "bundle"  # a name that no prefix of a key is likely to be of


class Delivery(NamedTuple):
    """An archive as it came. where: for messages. signature: gets the bytes of the signature file, None without one.

    private: nobody else can write to the file. admit: a further condition on the manifest.
    """

    where: str
    signature: Callable[[], bytes | None]
    private: bool = False
    admit: Admission | None = None


class Guard(NamedTuple):
    """The signatures of one store's images, and the keys and rules of this host."""

    store: ImageStore
    keystore: Keystore
    settings: Settings

    @classmethod
    def of(cls, store: ImageStore, environment: Mapping[str, str]) -> Guard:
        """As this host is configured. Raises HostError for a configuration that cannot be understood."""
        return cls(store, Keystore.of(store.data, environment), settings.read(environment))

    def signers(self, image_id: str) -> tuple[str, ...] | None:
        """The fingerprints of the keys whose signature was good, newest first; None if none was ever looked for."""
        found = files.value(files.read_or_none(self.store.data.images.signer(image_id)))
        listed = found.get("signers") if isinstance(found, dict) else None
        return tuple(map(str, listed)) if isinstance(listed, list) else None

    def signer(self, image_id: str, vouched: str = "") -> str:
        """The signer that counts for the image's name now, or ""; `vouched`: one that a lock file names."""
        known = [*(self.signers(image_id) or ()), *([vouched] if vouched else [])]
        if not known:
            return ""
        trusted = self.keystore.trusted(self.store.manifest(image_id).name)
        return next((one for one in known if one in trusted), "")

    def verdict(self, image_id: str, demanded: Signatures, where: str, vouched: str = "") -> Verdict:
        """Fresh when the stored image is as well signed as is demanded. Reads no key."""
        if demanded is Signatures.OFF or self.signer(image_id, vouched):
            return FRESH
        known = self.signers(image_id)
        if demanded is Signatures.WARN and known is not None:
            return FRESH
        old = "not looked at" if known is None else f"by {', '.join(known)}, not trusted" if known else "none"
        return Verdict.stale(f"signature of {where}", old, demanded.value)

    def add(self, file: BinaryIO, delivery: Delivery, demanded: Signatures, progress: Progress) -> str:
        """Import an archive if it is as well signed as is demanded; returns the image id.

        Raises ImageError and HostError; the store is as it was then.
        """
        if demanded is Signatures.OFF:
            return self.store.add(file, delivery.where, progress, delivery.admit)
        with self._private(file, delivery) as own:
            check = _Check(self.keystore, own, delivery, demanded, progress)
            check.bytes()
            image_id = self.store.add(own, delivery.where, progress, check.name)
        self._remember(image_id, check.signer)
        return image_id

    @contextlib.contextmanager
    def whole(self, file: BinaryIO, delivery: Delivery, progress: Progress) -> Iterator[BinaryIO]:
        """A local file that holds images, a bundle; where the host demands signatures, checked as a whole.

        The key must be one for images of every name. Raises ImageError.
        """
        demanded = self.settings.signatures("local", None)
        if demanded is Signatures.OFF:
            yield file
            return
        with self._private(file, delivery) as own:
            check = _Check(self.keystore, own, delivery, demanded, progress)
            check.bytes()
            check.every_name()
            own.seek(0)
            yield own

    @contextlib.contextmanager
    def _private(self, file: BinaryIO, delivery: Delivery) -> Iterator[BinaryIO]:
        """The file, or a copy, that cannot change between the check and the import."""
        if delivery.private:
            yield file
            return
        import shutil

        with self.store.blobs.spool(delivery.where) as copy:
            shutil.copyfileobj(file, copy, blobs.CHUNK)
            copy.flush()
            copy.seek(0)
            yield copy

    def _remember(self, image_id: str, signer: str) -> None:
        before = [one for one in self.signers(image_id) or () if one != signer]
        found = [*([signer] if signer else []), *before][:_REMEMBERED]
        files.make_directory(self.store.data.images.signers)
        files.publish(self.store.data.images.signer(image_id), canonical({"signers": found}))


class _Check:
    """One archive's way in. signer: the fingerprint of the key that signed it, "" for none that counts."""

    def __init__(
        self, keystore: Keystore, file: BinaryIO, delivery: Delivery, demanded: Signatures, progress: Progress
    ) -> None:
        self.signer = ""
        self._keystore, self._file, self._delivery = keystore, file, delivery
        self._demanded, self._progress = demanded, progress
        self._packets = b""
        self._key: Key | None = None

    def bytes(self) -> None:
        """Some trusted key must have signed all bytes of the file."""
        where = self._delivery.where
        with self._tolerant():
            found = self._delivery.signature()
            if found is None:
                raise unsigned(where)
            self._packets = openpgp.signature(found, f"the signature of {where}")
            known = {one.fingerprint: one for one in map(keys.load, self._keystore.every().values())}
            signer = self._signed_by(list(known.values()))
            self.signer, self._key = signer, known[signer]

    def name(self, manifest: ImageManifest) -> None:
        """The key must count for the image's name, in the form that it has for that name."""
        if self._delivery.admit is not None:
            self._delivery.admit(manifest)
        if not self.signer:
            return
        with self._tolerant():
            trusted = self._keystore.trusted(manifest.name)
            if self.signer not in trusted:
                raise ImageError(
                    f"{self._delivery.where} is {manifest.name}, and signed by {self.signer}, "
                    "which is not trusted for that name",
                    hint=f"`doit trust add --prefix {manifest.name} FILE`, if the key may sign such images",
                    reason="unknown-key",
                )
            key = keys.load(trusted[self.signer])
            if key != self._key:
                self._signed_by([key])

    def every_name(self) -> None:
        """The key must count whatever the images are called."""
        with self._tolerant():
            if self.signer and self.signer not in self._keystore.trusted(_NO_PREFIX):
                raise ImageError(
                    f"{self._delivery.where} is signed by {self.signer}, which is not trusted for every name",
                    hint="`doit trust add --root FILE`, if the key may sign bundles",
                    reason="unknown-key",
                )

    def _signed_by(self, known: list[Key]) -> str:
        from stages.images import signature

        return signature.signer(self._file, self._packets, known, self._delivery.where)

    @contextlib.contextmanager
    def _tolerant(self) -> Iterator[None]:
        """What is only to be warned of is told, and the image has no signer then."""
        try:
            yield
        except ImageError as error:
            if self._demanded is not Signatures.WARN:
                raise
            self.signer = ""
            self._progress.warn(error.sentence)


def beside(path: os.PathLike[str]) -> bytes | None:
    """The bytes of the signature file of a local archive, FILE.asc (contract F.8); None without one. OSError."""
    try:
        with files.open_regular(Path(f"{os.fspath(path)}{SUFFIX}")) as file:
            return file.read(openpgp.MAX_FILE + 1)
    except (FileNotFoundError, NotADirectoryError):
        return None


def unsigned(where: str) -> ImageError:
    """What is said of an image that comes without a signature."""
    return ImageError(
        f"{where} is not signed: there is no {where}{SUFFIX}",
        hint=f"`gpg --armor --detach-sign FILE` writes FILE{SUFFIX}; `stage0: {{signatures: off}}` does without it, "
        "where the host's images.json does not demand one",
        reason="unsigned",
    )
