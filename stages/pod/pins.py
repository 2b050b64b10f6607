"""What a pod's lock file makes of its references: which image each has to be, and whether others will do."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from pathlib import Path

from stages.base.errors import ImageError
from stages.base.records import NamedTuple
from stages.images import lockfile
from stages.images.ask import Ask
from stages.images.lockfile import Hold, Lock, Locked
from stages.spec.model import PodSpec

# What switches off what a variable like CI switches on.
_NO = ("", "0", "false", "no")


class Pins(NamedTuple):
    """The lock of one pod, as far as it counts. file: where it is, or would be. strict: no other image will do."""

    pod: str
    file: Path
    lock: Lock | None
    strict: bool

    def check(self, asks: Iterable[tuple[str, Ask]]) -> None:
        """Raise ImageError when images of these rows must be in the lock and are not: all of them at once."""
        if self.strict and self.lock is None:
            hint = f"`doit lock pod={self.pod}` writes it"
            raise ImageError(f"there is no lock file {self.file.name}", hint=hint, reason="not-locked")
        missing = [self._missing(row, ask) for row, ask in asks if self.strict and self._found(row, ask) is None]
        if missing:
            raise self._refusal(", ".join(dict.fromkeys(missing)))

    def held(self, row: str, ask: Ask) -> Ask:
        """The reference with what the lock says of it. Raises ImageError when it says nothing and must."""
        found = self._found(row, ask)
        if found is not None:
            held = ask._replace(image_id=found.image_id, digest=found.index_digest or found.digest)
            return held._replace(strict=self.strict, signer=found.signer, pod=self.pod)
        if self.strict:
            raise self._refusal(self._missing(row, ask))
        return ask._replace(digest=self.lock.pinned(row, ask.text), pod=self.pod) if self.lock else ask

    def tree(self, row: str, ask: Ask) -> tuple[str, ...]:
        """The images that the row's tree has to be made of, strongest first; none where that is not said."""
        found = self._found(row, ask) if self.strict else None
        return found.image_ids if found else ()

    def check_tree(self, row: str, ask: Ask, image_ids: tuple[str, ...]) -> None:
        """Raise ImageError when a row's tree would be made of other images than those that are locked."""
        locked = self.tree(row, ask)
        if locked and image_ids != locked:
            raise ImageError(
                f"the images that {row} depends on are not those of the lock file",
                hint=f"`doit lock pod={self.pod} --update` accepts what they are now",
                reason="not-locked",
            )

    def _found(self, row: str, ask: Ask) -> Locked | None:
        return self.lock.find(row, ask.text, ask.platform) if self.lock else None

    def _missing(self, row: str, ask: Ask) -> str:
        others = self.lock.platforms(row, ask.text) if self.lock else ""
        return f"{ask.text} of {row}" + (f" for this platform (it is for {others})" if others else "")

    def _refusal(self, what: str) -> ImageError:
        hint = f"`doit lock pod={self.pod}` adds what is missing"
        return ImageError(f"not in the lock file {self.file.name}: {what}", hint=hint, reason="not-locked")


def of(spec: PodSpec, hold: Hold, environment: Mapping[str, str]) -> Pins:
    """What counts for a run with this environment. Raises ImageError for a lock file that cannot be read.

    CI makes a lock file binding that is there, and does not ask for one that is not: a project without any has never
    said that it wants to be held to one.
    """
    file = lockfile.path(spec.path, spec.name)
    lock = None if hold is Hold.NOTHING else lockfile.read(file)
    automatic = lock is not None and environment.get("CI", "").lower() not in _NO
    return Pins(spec.name, file, lock, automatic if hold is Hold.AUTO else hold is Hold.ALL)
