"""Platforms: OCI's names for them against appc's, and which entry of a multi-platform index is meant."""

from __future__ import annotations

from collections.abc import Sequence

from stages.base.errors import ImageError
from stages.base.records import NamedTuple
from stages.images.oci import Descriptor, Platform
from stages.linux import host

# OCI names architectures as Go does; appc's table (contract K.2) is another one.
_APPC = {
    ("amd64", ""): "amd64",
    ("386", ""): "i386",
    ("arm64", ""): "aarch64",
    ("arm64be", ""): "aarch64_be",
    ("arm", "v6"): "armv6l",
    ("arm", "v7"): "armv7l",
    ("arm", ""): "armv7l",
    ("armbe", ""): "armv7b",
    ("ppc64", ""): "ppc64",
    ("ppc64le", ""): "ppc64le",
    ("s390x", ""): "s390x",
}
_OF_HOST = {appc: names for names, appc in reversed(_APPC.items()) if names != ("arm", "")}
# Of each the later ones are lesser.
_VARIANTS = {"arm": ("v8", "v7", "v6", "v5"), "arm64": ("v8",)}


def appc_arch(platform: Platform) -> str:
    """appc's name of an architecture; OCI's own where appc has none, which no host runs."""
    pair = (platform.architecture, platform.variant)
    return _APPC.get(pair) or _APPC.get((platform.architecture, "")) or platform.architecture


def of_host() -> Platform:
    """This machine."""
    return Platform(host.OS, *_OF_HOST.get(host.arch(), (host.arch(), "")))


def of_labels(system: str | None, architecture: str | None) -> str:
    """What an appc image says it is for, in OCI's words; "" where it does not say both."""
    if not system or not architecture:
        return ""
    return Platform(system, *_OF_HOST.get(architecture, (architecture, ""))).text()


def parse(text: str) -> Platform:
    """Read os/architecture[/variant]. Raises ImageError."""
    parts = text.split("/")
    if len(parts) not in (2, 3) or not all(parts):
        raise ImageError(f"{text!r} is not a platform", hint="write linux/amd64 or linux/arm/v7", reason="platform")
    return Platform(*parts)


class Wanted(NamedTuple):
    """The platform that an image is to be for. named: somebody said so; else it is this machine's."""

    platform: Platform
    named: bool = False

    def check(self, found: Platform) -> None:
        """Whether an image that came without a choice is for a platform that was named, or a lesser one of its kind.

        Whether this machine can run it is asked elsewhere. Raises ImageError.
        """
        if self.named and not _same(found, self.platform):
            raise ImageError(
                f"the image is for {found.text()}, {self.platform.text()} was asked for",
                hint="the spec says so: `platform` of the app",
                reason="no-platform",
            )


def wanted(text: str) -> Wanted:
    """What a spec names, or "" for this machine. Raises ImageError."""
    return Wanted(parse(text), named=True) if text else Wanted(of_host())


def pick(entries: Sequence[Descriptor], wanted: Platform, what: str) -> Descriptor:
    """The entry for the wanted platform; where there is none, the only one that names no platform.

    Raises ImageError, which lists the platforms that there are.
    """
    fitting = [one for one in entries if one.platform is not None and _same(one.platform, wanted)]
    for variant in _variants(wanted):
        for one in fitting:
            if one.platform is not None and one.platform.variant == variant:
                return one
    unnamed = [one for one in entries if one.platform is None]
    if len(unnamed) == 1:
        return unnamed[0]
    known = sorted({one.platform.text() for one in entries if one.platform and one.platform.os != "unknown"})
    raise ImageError(
        f"{what} has no image for {wanted.text()}",
        hint=f"it has {', '.join(known)}" if known else "",
        reason="no-platform",
    )


def _same(found: Platform, wanted: Platform) -> bool:
    return (found.os, found.architecture) == (wanted.os, wanted.architecture)


def _variants(wanted: Platform) -> tuple[str, ...]:
    """Which variants will do, the best first: as skopeo has it, which chooses once more when it fetches.

    A processor runs what was made for lesser ones of its kind, and what says no variant is for all of them.
    """
    known = _VARIANTS.get(wanted.architecture, ())
    if not wanted.variant:
        return ("", *known)
    return (*(known[known.index(wanted.variant) :] if wanted.variant in known else (wanted.variant,)), "")
