"""A question for an image: the reference, and all that decides which image it means and whether it will do."""

from __future__ import annotations

import os
from pathlib import Path

from stages.base.errors import ImageError
from stages.base.records import NamedTuple
from stages.images.reference import (
    Directory,
    Layout,
    LocalFile,
    Reference,
    in_engine,
    in_registry,
    is_remote,
    of_directory,
)
from stages.spec.model import PullPolicy, Signatures


class Ask(NamedTuple):
    """A reference and how to take it. platform: os/architecture[/variant], "" for this host's.

    image_id: the image that a lock file says it is, "" without one; digest: what the lock says the registry has there,
    known where the image is not: it may be an index, and locked for other platforms. strict: no other image will do;
    else that holds for what comes from the network only, as local files are there to be changed. signatures: what the
    spec demands of appc images; signer: the key that the lock says signed it, "" without one. pod: whose lock it is.
    """

    text: str
    pull: PullPolicy = PullPolicy.IF_NOT_PRESENT
    platform: str = ""
    image_id: str = ""
    digest: str = ""
    strict: bool = False
    signatures: Signatures | None = None
    signer: str = ""
    pod: str = ""


def is_settled(ask: Ask, reference: Reference) -> bool:
    """Whether the lock alone says which image it is: of registries, and of files that this machine does not have."""
    if not ask.image_id or is_remote(reference):
        return bool(ask.image_id)
    if isinstance(reference, LocalFile | Layout | Directory):
        return ask.strict and not os.path.exists(reference.path)
    return ask.strict


def not_stored(text: str, project: Path, more: str = "") -> ImageError:
    """What is said of an image that is not there; the hint, by what else the word may have been meant to be."""
    hint = "`doit images import ./FILE` brings one in"
    if (project / text).is_dir():
        hint = of_directory(text)
    elif (project / text).exists():
        hint = f"a file is written ./{text}; of OCI images oci-archive:{text} or docker-archive:{text}"
    elif engine := in_engine(text):
        hint = f"images that podman or docker has come by a file: `{engine}`, and then docker-archive:FILE"
    elif text.startswith(("sha256:", "sha512:")):
        hint = f"an id is written {text.replace(':', '-', 1)}; `doit images` lists those that are there"
    elif registry := in_registry(text):
        hint += f"; of a registry it is written {registry}"
    return ImageError(f"no image {text!r} in the store{more}", hint=hint, reason="not-stored")


def not_fetched(text: str) -> ImageError:
    """What is said of an image of a registry that is not there, where none is asked."""
    return ImageError(
        f"{text} is not in the store, and its pull policy is Never",
        hint="imagePullPolicy: IfNotPresent fetches it",
        reason="not-stored",
    )
