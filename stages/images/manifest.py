"""The image manifest: appc's document, validated once at import, as a frozen record."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from stages.base import strictjson
from stages.base.errors import ImageError
from stages.base.records import NamedTuple
from stages.linux import host

# Where an OCI image's manifest keeps its Entrypoint, as JSON.
ENTRYPOINT = "appc.io/docker/entrypoint"


class Dependency(NamedTuple):
    """One entry of `dependencies` (appc spec, image manifest): a name, and what narrows it down."""

    name: str
    image_id: str
    labels: tuple[tuple[str, str], ...]


class ImageManifest(NamedTuple):
    """What the rest of the program reads of a manifest.

    app: the `app` section as the document has it, or None. whitelist: cleaned paths below the image's root, no
    slash at either end; empty means no filter.
    """

    name: str
    labels: tuple[tuple[str, str], ...]
    app: Mapping[str, Any] | None
    annotations: tuple[tuple[str, str], ...]
    dependencies: tuple[Dependency, ...]
    whitelist: frozenset[bytes]

    def label(self, name: str) -> str | None:
        """The value of a label, or None."""
        return dict(self.labels).get(name)

    def annotation(self, name: str) -> str | None:
        """The value of an annotation, or None."""
        return dict(self.annotations).get(name)


def parse(data: bytes, where: str) -> ImageManifest:
    """Validate and read a manifest; `where` names the archive in errors. Raises ImageError."""
    from stages.spec import document

    try:
        value = strictjson.loads(data)
    except ValueError as error:
        raise ImageError(f"{where}: the manifest is not JSON: {error}", reason="manifest") from error
    if problems := document.check("image-manifest", value, where):
        raise ImageError(f"{where}: bad image manifest: {'; '.join(problems[:5])}", reason="manifest")
    return of(value)


def of(value: Mapping[str, Any]) -> ImageManifest:
    """A record of a document that was validated before (one that the store holds)."""
    return ImageManifest(
        name=value["name"],
        labels=_pairs(value.get("labels")),
        app=value.get("app"),
        annotations=_pairs(value.get("annotations")),
        dependencies=tuple(
            Dependency(item["imageName"], item.get("imageID") or "", _pairs(item.get("labels")))
            for item in value.get("dependencies") or ()
        ),
        whitelist=frozenset(_cleaned(path) for path in value.get("pathWhitelist") or ()),
    )


def check_platform(manifest: ImageManifest, where: str, *, said: bool = True) -> None:
    """The image must say that it is for this host (contract A.11, and what A.11 leaves out). Raises ImageError.

    said: whether it has to say so at all; of stage1's image (A.13) nobody ever asked it.
    """
    system, architecture = manifest.label("os"), manifest.label("arch")
    for name, value in (("os", system), ("arch", architecture)):
        if value is None and said:
            raise ImageError(
                f"{where}: missing {name} label in the image manifest",
                hint=f"an image that can be run has the labels os and arch, here {host.OS} and {host.arch()}",
                reason=f"missing-{name}",
            )
    if system not in (None, host.OS):
        raise ImageError(f'{where}: bad os "{system}" (must be one of: [{host.OS}])', reason="bad-os")
    if architecture is None:
        return
    if architecture not in host.ARCHITECTURES:
        known = " ".join(host.ARCHITECTURES)
        raise ImageError(
            f'{where}: bad arch "{architecture}" for {system} (must be one of: [{known}])', reason="bad-arch"
        )
    if architecture not in host.runnable():
        raise ImageError(
            f"{where}: the image is for {architecture}, this host is {host.arch()}",
            hint="use an image for this architecture",
            reason="foreign-arch",
        )


def _pairs(items: Any) -> tuple[tuple[str, str], ...]:
    return tuple((item["name"], item["value"]) for item in items or ())


def _cleaned(path: str) -> bytes:
    """A whitelist entry as entry names are written: no empty and no dot parts (contract E.2)."""
    parts: list[bytes] = []
    for part in path.encode("utf-8", "surrogateescape").split(b"/"):
        if part == b"..":
            del parts[-1:]
        elif part not in (b"", b"."):
            parts.append(part)
    return b"/".join(parts)
