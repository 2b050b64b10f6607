"""The lock of a pod: for every image the one that its reference meant, so that a run anywhere is a run of the same.

pods/<name>.lock, beside the spec and committed with it: JSON, sorted, one field a line, without a path of any machine
but those that the spec itself has.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from enum import Enum
from pathlib import Path
from typing import Any

from stages.base import files, strictjson
from stages.base.errors import ImageError
from stages.base.records import NamedTuple
from stages.linux import host

FORMAT = 1
SUFFIX = ".lock"

_PLATFORM = r"[\w.-]+/[\w.-]+(/[\w.-]+)?"
_DIGEST = r"sha512:[0-9a-f]{128}|sha256:[0-9a-f]{64}"
_FIELDS = {"reference", "platform", "digest", "size", "signer", "index_digest", "tree"}


class Hold(Enum):
    """What a lock file counts for."""

    NOTHING = "nothing"  # it is not looked at
    REGISTRIES = "registries"  # a tag means what it says there; local files are there to be changed
    ALL = "all"  # no image will do that is not in it
    AUTO = "auto"  # ALL where CI is set and there is a lock file, else REGISTRIES


class Locked(NamedTuple):
    """One image. reference: as the spec has it. platform: os/architecture[/variant] of the image, "" if it says none.

    digest: sha512:<hex> of an appc image, sha256:<hex> of an OCI image's manifest. size: bytes of its blobs.
    signer: the fingerprint of the key that signed it, "" where none was asked for. index_digest: what the registry had
    under the reference, where that is an index of several platforms. tree: the digests of all images of its tree,
    strongest first, itself included; empty when it is the only one.
    """

    reference: str
    platform: str
    digest: str
    size: int
    signer: str = ""
    index_digest: str = ""
    tree: tuple[str, ...] = ()

    @property
    def image_id(self) -> str:
        """The image, as the store calls it."""
        return self.digest.replace(":", "-", 1)

    @property
    def image_ids(self) -> tuple[str, ...]:
        """All images of its tree, as the store calls them."""
        return tuple(one.replace(":", "-", 1) for one in self.tree or (self.digest,))


class Lock(NamedTuple):
    """What a lock file says, by row of the image task: an app's name, stage1, or the dependencies.

    A reference may be there several times, for several platforms.
    """

    rows: Mapping[str, tuple[Locked, ...]]

    def find(self, row: str, reference: str, platform: str) -> Locked | None:
        """The image of a reference in a row, for a platform ("": this host's)."""
        found = [one for one in self.rows.get(row, ()) if one.reference == reference]
        wanted = _architectures(platform) if found else ()
        fitting = [one for one in found if not one.platform or _architecture(one.platform) in wanted]
        return min(fitting, key=lambda one: _rank(one, wanted), default=None)

    def pinned(self, row: str, reference: str) -> str:
        """The index of platforms that the reference led to, whichever was taken from it; "" for none."""
        return next((one.index_digest for one in self.rows.get(row, ()) if one.reference == reference), "")

    def platforms(self, row: str, reference: str) -> str:
        """For which platforms the reference is there, in words; "" for none."""
        return ", ".join(sorted({one.platform for one in self.rows.get(row, ()) if one.reference == reference}))


def path(spec: Path, name: str) -> Path:
    """The lock file of the pod that the file `spec` describes."""
    return spec.with_name(name + SUFFIX)


def read(file: Path) -> Lock | None:
    """The lock, or None when there is no such file. Raises ImageError for a file that is none."""
    data = files.read_or_none(file)
    return None if data is None else parse(data, file.name)


def parse(data: bytes, where: str) -> Lock:
    """Read the bytes of a lock file; `where` names it in errors. Raises ImageError."""
    try:
        document = strictjson.loads(data)
        if document["lock"] != FORMAT:
            raise ValueError(f"it has format {document['lock']!r}, this podwright knows {FORMAT}")
        return Lock({row: tuple(map(_locked, found)) for row, found in document["images"].items()})
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        said = f"it has no {error}" if isinstance(error, KeyError) else str(error)
        hint = f"`doit lock pod={where.removesuffix(SUFFIX)} --update` writes it anew"
        raise ImageError(f"{where} is no lock file: {said}", hint=hint, reason="bad-lock") from error


def text(lock: Lock) -> bytes:
    """The bytes of the lock file: equal locks give equal bytes."""
    rows = {row: [_document(one) for one in sorted(found)] for row, found in lock.rows.items() if found}
    document = {"lock": FORMAT, "images": rows}
    return json.dumps(document, indent=2, sort_keys=True, ensure_ascii=False).encode() + b"\n"


def _document(one: Locked) -> dict[str, Any]:
    """As written: what is said of every image, and the rest where there is something to say."""
    found = {**one._asdict(), "tree": list(one.tree) if len(one.tree) > 1 else []}
    return {key: value for key, value in found.items() if value or key not in ("index_digest", "tree")}


def _locked(item: Any) -> Locked:
    if unknown := item.keys() - _FIELDS:
        raise ValueError(f"{min(unknown)!r} is no field of an image")
    tree = item.get("tree", ())
    words = {key: item[key] for key in ("reference", "platform", "signer")} | {
        "index_digest": item.get("index_digest", "")
    }
    for key, word in words.items():
        if not isinstance(word, str):
            raise ValueError(f"{key} is no string")
    if words["platform"] and not re.fullmatch(_PLATFORM, words["platform"]):
        raise ValueError(f"{words['platform']!r} is no platform")
    for one in (item["digest"], *tree, *filter(None, (words["index_digest"],))):
        if not isinstance(one, str) or not re.fullmatch(_DIGEST, one):
            raise ValueError(f"{one!r} is no digest")
    size = item["size"]
    if type(size) is not int or not 0 <= size < 1 << 63:
        raise ValueError(f"{size!r} is no size")
    return Locked(digest=item["digest"], size=size, tree=tuple(tree), **words)


def _rank(one: Locked, wanted: tuple[str, ...]) -> int:
    """The host's own architecture before others that it runs as well."""
    return wanted.index(_architecture(one.platform)) if one.platform else len(wanted)


def _architectures(platform: str) -> tuple[str, ...]:
    """What will do for a platform, in appc's words, the best first."""
    return (_architecture(platform),) if platform else tuple(f"{host.OS}/{one}" for one in host.runnable())


def _architecture(text: str) -> str:
    """A platform in appc's words, which do not tell all variants apart."""
    system, _, name = text.partition("/")
    if name in ("amd64", ""):  # the usual one is the same for both
        return text
    from stages.images import platform

    return f"{system}/{platform.appc_arch(platform.parse(text))}"
