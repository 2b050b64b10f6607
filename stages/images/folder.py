"""A root file system directory of this host as an image: packed into an appc archive, the same for the same files."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

from stages.base import strictjson
from stages.base.digest import canonical, sha256_hex
from stages.base.errors import ImageError
from stages.base.progress import Progress
from stages.base.stamp import of
from stages.images import build, scan
from stages.images.store import ImageStore, naming
from stages.linux import host
from stages.spec import names

ROOTFS = "rootfs"


def manifest_path(path: Path) -> Path:
    """Where the image manifest of a directory is, if it has one: beside it, as in an unpacked appc image when it is
    called rootfs, else under its own name with .manifest.
    """
    return path.with_name("manifest") if path.name == ROOTFS else path.with_name(path.name + ".manifest")


def identity(path: Path, where: str) -> dict[str, Any]:
    """What tells one state of the directory from another: inodes, no content. Raises ImageError if it is none."""
    if not path.is_dir():
        raise ImageError(f"{where} is no directory", reason="no-file")
    if os.path.lexists(path / "proc/self"):
        raise ImageError(
            f"{where}: /proc is mounted in it",
            hint="umount what is mounted below it; of a running system `mount --bind / DIR` shows the root alone",
            reason="mounted",
        )
    seen: list[Any] = []
    for place, directories, found in os.walk(path):
        directories.sort()
        for name in ["", *sorted(found), *(one for one in directories if os.path.islink(os.path.join(place, one)))]:
            status = os.lstat(os.path.join(place, name) if name else place)
            seen.append([os.path.relpath(place, path), name, status.st_mode, status.st_uid, status.st_gid, of(status)])
    manifest = manifest_path(path)
    return {"files": sha256_hex(canonical(seen)), "manifest": of(os.stat(manifest)) if manifest.exists() else None}


def add(store: ImageStore, path: Path, where: str, progress: Progress) -> str:
    """Pack and import the directory; returns the image id. Raises ImageError, HostError, OSError."""
    with naming(where), store.blobs.spool(where) as archive:
        with scan.opened(path) as root:
            build.write_archive(archive, _manifest(path, where), scan.from_directory(root))
        archive.seek(0)
        return store.add(archive, where, progress)


def _manifest(path: Path, where: str) -> dict[str, Any]:
    """The one beside it; without one the image has a name and this host's labels, and nothing to execute."""
    beside = manifest_path(path)
    if beside.exists():
        try:
            return dict(strictjson.loads(beside.read_bytes()))
        except (ValueError, TypeError) as error:
            raise ImageError(f"{where}: {beside.name} is not JSON: {error}", reason="manifest") from error
        except OSError as error:
            raise ImageError(f"{where}: {beside.name}: {error.strerror}", reason="manifest") from error
    name = path.parent.name if path.name == ROOTFS else path.name
    labels = {"arch": host.arch(), "os": host.OS}
    return {
        "acKind": "ImageManifest",
        "acVersion": "0.8.11",
        "name": names.sanitise_identifier(name or "image"),
        "labels": [{"name": key, "value": value} for key, value in labels.items()],
    }
