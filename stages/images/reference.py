"""What the word after `image:` means: a file, a layout, something in a registry, an id in the store, or a name."""

from __future__ import annotations

import re
from pathlib import Path

from stages.base.errors import ImageError
from stages.base.records import NamedTuple
from stages.images.store import PREFIXES

_SUFFIX = ".aci"
_LAYOUTS = ("oci", "oci-archive", "docker-archive")
_PART = r"[a-z0-9]+(?:(?:\.|_|__|-+)[a-z0-9]+)*"
_HOST = r"(?:[A-Za-z0-9](?:[A-Za-z0-9.-]*[A-Za-z0-9])?|\[[0-9A-Fa-f:]+\])(?::[0-9]{1,5})?"
_REGISTRY = (
    rf"(?P<repository>(?:{_HOST}/)?{_PART}(?:/{_PART})*)"
    r"(?::(?P<tag>\w[\w.-]{0,127}))?(?:@(?P<digest>sha256:[0-9a-f]{64}))?"
)
_HINT = "write ./FILE.aci, docker://HOST/NAME:TAG, oci:DIR:TAG, sha512-..., or NAME:VERSION"


class LocalFile(NamedTuple):
    """An appc archive on this host."""

    path: Path


class Layout(NamedTuple):
    """OCI images on this host. kind: oci (a directory), oci-archive or docker-archive; tag: "" for the only one."""

    kind: str
    path: Path
    tag: str


class Directory(NamedTuple):
    """A root file system on this host."""

    path: Path


class Registry(NamedTuple):
    """An image in a registry. repository: with the host; tag, digest (sha256:<hex>): "" where there is none."""

    repository: str
    tag: str
    digest: str

    def text(self) -> str:
        """As skopeo takes it: with a digest or with a tag, not with both."""
        return f"docker://{self.repository}@{self.digest}" if self.digest else f"docker://{self.repository}:{self.tag}"


class Url(NamedTuple):
    """An appc archive that is fetched over https; without TLS only from hosts that the configuration names."""

    url: str


class StoredId(NamedTuple):
    """An image in the store, by its id or the beginning of it."""

    prefix: str


class Named(NamedTuple):
    """An appc image by name and labels: in the store, else by discovery."""

    name: str
    labels: tuple[tuple[str, str], ...]


Reference = LocalFile | Layout | Directory | Registry | Url | StoredId | Named


def parse(text: str, project: Path) -> Reference:
    """Read a reference. Relative files are the project's (the folder of dodo.py). Raises ImageError.

    `file:PATH`, `/…`, `./…`, `../…` and whatever ends in .aci is a file; `oci:`, `oci-archive:`, `docker-archive:`
    (PATH[:TAG]), `docker://` are as skopeo has them; `dir:` is a root file system; `sha512-…`, `sha256-…` an id; the
    rest is an appc name: `NAME[:VERSION][,LABEL=VALUE…]` (contract F.8; that a file of a name's spelling shadows the
    name is M 46).
    """
    if "\0" in text:
        raise ImageError(f"{text!r} is not an image reference", hint=_HINT, reason="bad-reference")
    scheme, colon, rest = text.partition(":")
    if colon and scheme in _LAYOUTS:
        path, _, tag = rest.partition(":")
        return Layout(scheme, project / _some(path, text), tag)
    match scheme if colon else "":
        case "dir":
            return Directory(project / _some(rest, text))
        case "docker":
            return _registry(rest, text)
        case "https" | "http":
            return _url(text)
        case "file":
            return LocalFile(project / _some(rest, text))
    if text.startswith(("/", "./", "../")) or text.endswith(_SUFFIX):
        return LocalFile(project / text)
    if text.startswith(PREFIXES):
        return StoredId(text)
    return _named(text)


def is_remote(reference: Reference) -> bool:
    """Whether the image comes from the network."""
    return isinstance(reference, Registry | Url)


def of_directory(path: str) -> str:
    """What is said to who wrote the path of a directory for a reference."""
    return f"a root file system is written dir:{path}, an OCI layout oci:{path}"


def in_registry(text: str) -> str:
    """The reference to the image of a registry that podman and docker mean by `text`, or ""."""
    found = not text.startswith(PREFIXES) and re.fullmatch(_REGISTRY, text, re.ASCII)
    return f"docker://{text}" if found else ""


def in_engine(text: str) -> str:
    """The command that writes the image which podman or docker itself has under `text` into a file, or ""."""
    for prefix, program in (("docker-daemon:", "docker"), ("containers-storage:", "podman"), ("localhost/", "podman")):
        name = text.removeprefix(prefix)
        if name not in (text, ""):
            return f"{program} save -o FILE {text if prefix.endswith('/') else name}"
    return ""


def _url(text: str) -> Url:
    if re.fullmatch(rf"https?://{_HOST}/[!-~]+", text, re.ASCII) is None or "#" in text:
        hint = "write https://HOST/PATH.aci, without a password and with %20 for a blank"
        raise ImageError(f"{text!r} is not the address of an image", hint=hint, reason="bad-reference")
    return Url(text)


def _some(path: str, text: str) -> str:
    if not path:
        raise ImageError(f"{text!r} names no file", hint=_HINT, reason="bad-reference")
    return path


def _registry(rest: str, text: str) -> Registry:
    found = re.fullmatch(_REGISTRY, rest.removeprefix("//"), re.ASCII) if rest.startswith("//") else None
    if found is None:
        hint = "write docker://HOST/NAME[:TAG][@sha256:DIGEST], the name in lower case"
        raise ImageError(f"{text!r} is not an image in a registry", hint=hint, reason="bad-reference")
    digest = found["digest"] or ""
    return Registry(found["repository"], found["tag"] or ("" if digest else "latest"), digest)


def _named(text: str) -> Named:
    first, *pairs = text.split(",")
    name, colon, version = first.partition(":")
    labels: dict[str, str] = {"version": version} if colon else {}
    for pair in pairs:
        label, equals, value = pair.partition("=")
        if not equals or not label or label in labels:
            raise ImageError(
                f"{text!r}: {pair!r} is not a label",
                hint="write NAME[:VERSION][,LABEL=VALUE...], or ./PATH for a file",
                reason="bad-reference",
            )
        labels[label] = value
    if not name or (colon and not version) or not text.isprintable():
        raise ImageError(f"{text!r} is not an image reference", hint=_HINT, reason="bad-reference")
    return Named(name, tuple(sorted(labels.items())))
