"""Which stored image a reference means, and bringing it in: the one place that knows every kind of reference."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, BinaryIO

from stages.base import files
from stages.base.digest import canonical, sha256_hex, short
from stages.base.errors import ImageError
from stages.base.paths import DataDir
from stages.base.progress import Progress
from stages.base.records import NamedTuple
from stages.base.verdict import FRESH, Verdict, compare
from stages.images import called, settings, sources
from stages.images.ask import Ask, is_settled, not_fetched, not_stored
from stages.images.reference import (
    Directory,
    Layout,
    LocalFile,
    Named,
    Reference,
    Registry,
    StoredId,
    Url,
    is_remote,
    parse,
)
from stages.images.sources import Sources
from stages.images.store import OCI_PREFIX, ImageStore
from stages.spec.model import PullPolicy, Signatures

if TYPE_CHECKING:
    from stages.images.guard import Guard
    from stages.images.platform import Wanted


class Finder(NamedTuple):
    """The images that references of one project mean. project: the folder that relative files are in.

    environment: says where this host is configured.
    """

    data: DataDir
    store: ImageStore
    project: Path
    environment: Mapping[str, str] = os.environ

    @property
    def guard(self) -> Guard:
        """Whose signatures count here."""
        from stages.images.guard import Guard

        return Guard.of(self.store, self.environment)

    @property
    def sources(self) -> Sources:
        """Of local archives."""
        return Sources(self.data, self.store)

    def known(self, ask: Ask) -> str | None:
        """The image that the reference meant when it was last brought, without a look outside of the store.

        Raises ImageError for a reference that cannot be read, and for an id or prefix that no image has.
        """
        reference = parse(ask.text, self.project)
        if is_settled(ask, reference):
            return ask.image_id
        match reference:
            case LocalFile(path):
                return self.sources.image_id(path)
            case StoredId(prefix):
                return self.store.resolve(prefix)
            case Named(name, labels):
                return self.store.find(name, dict(labels)) or self._noted(ask, reference)
            case Registry(_, _, digest) if digest and self.store.has(_id(digest)):
                return _id(digest)
            case _:
                return self._noted(ask, reference)

    def is_only_a_name(self, ask: Ask) -> bool:
        """Whether the reference is an appc name, and nothing in the project is called so."""
        return isinstance(parse(ask.text, self.project), Named) and not (self.project / ask.text).exists()

    def verdict(self, ask: Ask) -> Verdict:
        """Fresh when nothing has to be read or fetched. Raises ImageError for a reference that leads nowhere."""
        reference, found = parse(ask.text, self.project), self.known(ask)
        verdict = self._unchanged(ask, reference, found)
        return self._signed(ask, reference, found) if verdict.fresh and found is not None else verdict

    def _unchanged(self, ask: Ask, reference: Reference, found: str | None) -> Verdict:
        if ask.strict and found is not None and found != ask.image_id:
            return Verdict.stale(f"{ask.text} is not the image that is locked", short(ask.image_id), short(found))
        if isinstance(reference, LocalFile) and not is_settled(ask, reference):
            return self.sources.verdict(reference.path)
        if found is None:
            return Verdict.stale(f"{ask.text} was not imported yet")
        if not self.store.has(found):
            return Verdict.stale(f"the image of {ask.text} is not in the store any more")
        if not _is_translated(self.store, found):
            return Verdict.stale(f"the image of {ask.text} was translated by other rules than today's")
        if self._asks_again(ask, reference):
            return Verdict.stale(f"the pull policy of {ask.text} is Always")
        if isinstance(reference, Layout | Directory) and not is_settled(ask, reference):
            note = self._note(ask, reference) or {}
            return Verdict(compare(note.get("identity"), sources.state(reference, ask.text), ask.text)[:3])
        return FRESH

    def bring(self, ask: Ask, progress: Progress) -> str:
        """Import what is not there; returns the image id. Raises ImageError, HostError."""
        reference = parse(ask.text, self.project)
        try:
            found = self._brought(ask, reference, progress)
        except ImageError as error:
            if error.reason != "no-file" or not ask.image_id or not self.store.has(ask.image_id):
                raise
            hint = "`--locked` takes the image that the lock file names, which is in the store"
            raise ImageError(error.sentence, hint=hint, reason=error.reason) from error
        if ask.image_id and found != ask.image_id and (ask.strict or is_remote(reference)):
            raise ImageError(
                f"{ask.text} is {short(found)}, the lock file says {short(ask.image_id)}",
                hint=f"`doit lock pod={ask.pod} --update` accepts what it is now",
                reason="not-locked",
            )
        if not _is_translated(self.store, found):
            from stages.images import translation

            translation.renew(self.store, found, progress)
        return found

    def _brought(self, ask: Ask, reference: Reference, progress: Progress) -> str:
        found: str | None
        match reference:
            case Registry():
                return self._pulled(ask, reference, progress)
            case Url() | Named():
                return self._fetched(ask, reference, progress)
            case _ if is_settled(ask, reference):
                found = ask.image_id if self.store.heal(ask.image_id) else None
            case LocalFile(path):
                known = self.sources.image_id(path)
                again = known is not None and not self._signed(ask, reference, known).fresh
                return self.sources.bring(
                    path, ask.text, lambda file: self._let_in(ask, path, file, progress), again=again
                )
            case Layout():
                return self._local(ask, reference, lambda: self._unpacked(ask, reference, progress))
            case Directory(path):
                from stages.images import folder

                return self._local(ask, reference, lambda: folder.add(self.store, path, ask.text, progress))
            case _:
                found = self.known(ask)
        if found is None:
            raise not_stored(ask.text, self.project)
        if not (verdict := self._signed(ask, reference, found)).fresh:
            raise ImageError(
                f"{ask.text} is in the store, but its {verdict.reasons[0].text()}",
                hint="import it again from its signed file, or `doit trust add` the signer's key",
                reason="unsigned",
            )
        return found

    def _fetched(self, ask: Ask, reference: Url | Named, progress: Progress) -> str:
        """By address or name: from the store, else (or if the policy says so) from the network."""
        found = self.known(ask)
        stays = found is not None and self.store.heal(found) and not self._asks_again(ask, reference)
        if stays and found is not None and self._signed(ask, reference, found).fresh:
            return found
        if ask.pull is PullPolicy.NEVER:
            raise not_stored(ask.text, self.project, ", or not as signed as it must be, and its pull policy is Never")
        from stages.images import remote

        demanded = self._demanded("network", ask)
        try:
            note = remote.bring(
                self.guard, remote.Errand(reference, self._note(ask, reference) or {}, demanded), progress
            )
        except ImageError as error:
            if isinstance(reference, Named) and error.reason in ("not-found", "unreachable"):
                raise not_stored(ask.text, self.project, f", and discovery failed: {error.sentence}") from error
            raise
        self._remember(ask, reference, note)
        return str(note["image"])

    def _let_in(self, ask: Ask, path: Path, file: BinaryIO, progress: Progress) -> str:
        """Import a local archive, with the signature beside it."""
        from stages.images import guard

        delivery = guard.Delivery(ask.text, lambda: guard.beside(path))
        return self.guard.add(file, delivery, self._demanded("local", ask), progress)

    def _signed(self, ask: Ask, reference: Reference, found: str) -> Verdict:
        """Whether a stored image is as well signed as is demanded of the reference. OCI images have skopeo's."""
        if found.startswith(OCI_PREFIX) or not isinstance(reference, Url | Named | LocalFile | StoredId):
            return FRESH
        fetched = isinstance(reference, Url) or (isinstance(reference, Named) and self._note(ask, reference))
        demanded = self._demanded("network" if fetched else "local", ask)
        if demanded is Signatures.OFF:
            return FRESH
        return self.guard.verdict(found, demanded, ask.text, ask.signer if found == ask.image_id else "")

    def _demanded(self, origin: str, ask: Ask) -> Signatures:
        """How well signed an image from there must be. Raises HostError for settings that cannot be understood."""
        return settings.read(self.environment).signatures(origin, ask.signatures)

    def _asks_again(self, ask: Ask, reference: Reference) -> bool:
        """Whether the network is asked although the image is there. A name that never came from there is not."""
        if ask.pull is not PullPolicy.ALWAYS or ask.image_id:
            return False
        if isinstance(reference, Registry):
            return not reference.digest
        return isinstance(reference, Url | Named) and self._note(ask, reference) is not None

    def note(self, ask: Ask) -> dict[str, Any]:
        """What is remembered of the reference beside the image: `digest`, for registries. Empty if nothing is."""
        return self._note(ask, parse(ask.text, self.project)) or {}

    def _pulled(self, ask: Ask, reference: Registry, progress: Progress) -> str:
        found = self.known(ask)
        if found is not None and self.store.heal(found) and not self._asks_again(ask, reference):
            return found
        if ask.pull is PullPolicy.NEVER:
            raise not_fetched(ask.text)
        from stages.images.pull import Errand, pull

        exact = reference._replace(digest=ask.digest) if ask.digest else reference
        try:
            patience = settings.read(self.environment).patience
            made = pull(self.store, Errand(exact, self._wanted(ask), patience), progress)
        except ImageError as error:
            if not ask.digest or error.reason != "not-found":
                raise
            again = f"`doit lock pod={ask.pod} --update` looks what the reference means now"
            hint = f"the lock file names this digest; {again}"
            raise ImageError(error.sentence, hint=hint, reason=error.reason) from error
        self._remember(ask, reference, {"image": made.image_id, "digest": made.digest})
        return made.image_id

    def _unpacked(self, ask: Ask, reference: Layout, progress: Progress) -> str:
        from stages.images import layouts_import

        return layouts_import.add(self.store, reference, self._wanted(ask), ask.text, progress)

    def _local(self, ask: Ask, reference: Layout | Directory, make: Callable[[], str]) -> str:
        before = sources.state(reference, ask.text)
        note = self._note(ask, reference)
        if note and note.get("identity") == before and self.store.has(note["image"]):
            called.keep(self.store, note["image"])
            return str(note["image"])
        before = sources.settled(reference, ask.text)
        image_id = make()
        if sources.state(reference, ask.text) != before:
            raise ImageError(f"{ask.text} was changed while it was being imported", hint="run again", reason="moving")
        self._remember(ask, reference, {"image": image_id, "identity": before})
        return image_id

    def _wanted(self, ask: Ask) -> Wanted:
        from stages.images import platform

        return platform.wanted(ask.platform)

    def _noted(self, ask: Ask, reference: Reference) -> str | None:
        note = self._note(ask, reference)
        if note and ask.digest and isinstance(reference, Registry) and note.get("digest") != ask.digest:
            return None  # what a tag meant before it was locked
        return str(note["image"]) if note else None

    def _file(self, ask: Ask, reference: Reference) -> Path:
        """Where something is remembered of a reference: by what it means, not by how it is written."""
        key = canonical([type(reference).__name__, *map(str, reference), ask.platform])
        return self.data.images.sources / f"{sha256_hex(key)}.json"

    def _note(self, ask: Ask, reference: Reference) -> dict[str, Any] | None:
        note = files.value(files.read_or_none(self._file(ask, reference)))
        return note if isinstance(note, dict) and isinstance(note.get("image"), str) else None

    def _remember(self, ask: Ask, reference: Reference, note: dict[str, Any]) -> None:
        files.make_directory(self.data.images.sources)
        files.publish(self._file(ask, reference), canonical({"reference": ask.text, **note}))


def _id(digest: str) -> str:
    return OCI_PREFIX + digest.removeprefix("sha256:")


def _is_translated(store: ImageStore, image_id: str) -> bool:
    """Whether the manifest is what would be made of the image now; an appc image has its own."""
    if not image_id.startswith(OCI_PREFIX):
        return True
    from stages.images import oci_app

    return oci_app.is_current(store.manifest_bytes(image_id))
