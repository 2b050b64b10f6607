"""Imports an image from an OCI layout or docker's archive on this host."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from pathlib import Path
from typing import BinaryIO

from stages.base.errors import ImageError
from stages.base.progress import Progress
from stages.images import layouts, oci_import
from stages.images.layouts import Archive, Folder
from stages.images.platform import Wanted
from stages.images.reference import Layout
from stages.images.store import ImageStore, naming
from stages.images.translation import Title


def add(store: ImageStore, reference: Layout, wanted: Wanted, where: str, progress: Progress) -> str:
    """Import the image that the reference means there; returns its id. Raises ImageError, HostError."""
    with naming(where):
        if reference.kind == "oci":
            return _from_layout(store, Folder(reference.path), reference, wanted, where, progress)
        with _opened(reference.path) as file, layouts.archive(file, store.blobs, where, progress) as parts:
            if reference.kind == "oci-archive":
                return _from_layout(store, parts, reference, wanted, where, progress)
            return _from_docker(store, parts, reference, wanted, where, progress)


def title(tag: str, path: Path) -> Title:
    """What an image is called: by its tag, if that is a name as in a registry, else by its file."""
    name, _, version = tag.rpartition(":")
    if name and "/" not in version:
        return Title(name, version)
    return Title(tag) if "/" in tag else Title(path.name.partition(".")[0] or "image", tag)


def _from_layout(
    store: ImageStore, parts: Folder | Archive, reference: Layout, wanted: Wanted, where: str, progress: Progress
) -> str:
    candidate, name = layouts.candidate(parts, reference.tag, wanted)
    return oci_import.add(store, candidate, title(reference.tag or name, reference.path), where, progress)


def _from_docker(
    store: ImageStore, parts: Archive, reference: Layout, wanted: Wanted, where: str, progress: Progress
) -> str:
    candidate, name = layouts.docker_candidate(parts, reference.tag, wanted)
    return oci_import.add(store, candidate, title(name or reference.tag, reference.path), where, progress)


@contextlib.contextmanager
def _opened(path: Path) -> Iterator[BinaryIO]:
    if not path.is_file():
        raise ImageError(f"no file {path.name}", reason="no-file")
    with open(path, "rb") as file:
        yield file
