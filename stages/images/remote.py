"""Brings appc archives from the network: by address, or by their name through discovery; signed as is demanded."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from stages.base.errors import ImageError
from stages.base.progress import Progress
from stages.base.records import NamedTuple
from stages.images import discovery, openpgp, transfer
from stages.images.guard import SUFFIX, Delivery, Guard, unsigned
from stages.images.manifest import ImageManifest
from stages.images.reference import Named, Url
from stages.images.transfer import Fetched
from stages.images.web import Web
from stages.spec import names
from stages.spec.model import Signatures

_NEXT_PLACE = ("not-found", "unreachable")
_LATER = 202  # the signature is made while the archive is fetched (contract L.1 rkt_fetch)


class Errand(NamedTuple):
    """What is to be brought. before: what is remembered of the last time; demanded: of its signature."""

    reference: Url | Named
    before: Mapping[str, Any]
    demanded: Signatures


def bring(guard: Guard, errand: Errand, progress: Progress) -> dict[str, Any]:
    """What to remember of the reference: `image`, its id, and what the server said. Raises ImageError, HostError."""
    web = Web.of(guard.settings)
    if isinstance(errand.reference, Url):
        return _from(web, guard, errand, errand.reference.url, progress)
    name = errand.reference.name
    if not names.is_identifier(name) or "." not in name.partition("/")[0]:
        raise ImageError(f"{name} begins with no host to ask", reason="not-found")
    refused: ImageError | None = None
    for url in discovery.archives(web, name, dict(errand.reference.labels)):
        try:
            return _from(web, guard, errand, url, progress)
        except ImageError as error:
            if error.reason not in _NEXT_PLACE:
                raise
            refused = refused or error
    assert refused is not None, "discovery returns at least one address"
    raise refused


def _from(web: Web, guard: Guard, errand: Errand, url: str, progress: Progress) -> dict[str, Any]:
    before = _usable(guard, errand, url)
    if before.is_current():
        return dict(errand.before)
    signature = _Signature(web, url)
    if errand.demanded is Signatures.REQUIRE and not before.conditions():
        signature.look()  # rather than fetch a large file that will be refused
    with guard.store.blobs.spool(url) as spool:
        new, said = transfer.fetch(web, url, spool, before, progress)
        image_id = (
            str(errand.before["image"])
            if not new
            else guard.add(
                spool, Delivery(url, signature.get, True, _condition(errand.reference)), errand.demanded, progress
            )
        )
    return {"image": image_id, **said._asdict()}


def _usable(guard: Guard, errand: Errand, url: str) -> Fetched:
    """What was said before of an image that is still good; else nothing, so that the archive comes again."""
    before = Fetched.of(errand.before)
    image_id = str(errand.before.get("image", ""))
    good = before.url == url and guard.store.heal(image_id)
    return before if good and guard.verdict(image_id, errand.demanded, url).fresh else Fetched("")


def _condition(reference: Url | Named) -> Any:
    """An image that was asked for by name must be of that name, and have the labels asked for (contract K.10)."""

    def admit(manifest: ImageManifest) -> None:
        assert isinstance(reference, Named)
        if manifest.name != reference.name:
            raise ImageError(
                f"discovery of {reference.name} led to an image of the name {manifest.name}", reason="name"
            )
        for label, value in reference.labels:
            found = manifest.label(label)
            if found != value:
                said = f'is "{found}"' if found is not None else "is not there"
                raise ImageError(f'label {label} of {reference.name} {said}, "{value}" was asked for', reason="label")

    return admit if isinstance(reference, Named) else None


class _Signature:
    """The signature of the archive at an address, fetched once."""

    def __init__(self, web: Web, url: str) -> None:
        self._web, self._url = web, url
        address, question, query = url.partition("?")
        self._place = f"{address}{SUFFIX}{question}{query}"
        self._found: bytes | None = None

    def look(self) -> None:
        """Raises ImageError when there is no signature, and will be none."""
        try:
            status, found = self._web.small(self._place, openpgp.MAX_FILE)
        except ImageError as error:
            if error.reason == "not-found":
                raise unsigned(self._url) from error
            raise
        self._found = None if status == _LATER else found

    def get(self) -> bytes | None:
        """The signature's bytes."""
        if self._found is None:
            self.look()
        return self._found
