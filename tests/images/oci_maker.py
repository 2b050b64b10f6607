"""Makes OCI layouts and docker's archives of small layers, right or wrong in the way that a test wants."""

from __future__ import annotations

import gzip
import hashlib
import io
import json
import tarfile
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from stages.images import build, oci
from stages.images.build import Member
from stages.images.compression import _zstd_module

EMPTY_LAYER = bytes(1024)


def layer(members: Iterable[Member]) -> bytes:
    """A layer's uncompressed tar archive."""
    out = io.BytesIO()
    build.write_tar(out, members)
    return out.getvalue()


def digest(data: bytes) -> str:
    return "sha256:" + hashlib.sha256(data).hexdigest()


def pack(data: bytes, kind: str) -> tuple[str, bytes]:
    """Media type and bytes of a layer."""
    if kind == "gzip":
        return f"{oci.LAYER}+gzip", gzip.compress(data, 1, mtime=0)
    if kind == "zstd":
        packed: bytes = _zstd_module().compress(data)
        return f"{oci.LAYER}+zstd", packed
    return oci.LAYER, data


@dataclass
class Image:
    """The parts of an image; every part may be replaced before it is written."""

    layers: Sequence[bytes]
    kind: str = "gzip"
    platform: dict[str, str] = field(default_factory=lambda: {"os": "linux", "architecture": "amd64"})
    process: dict[str, Any] = field(default_factory=dict)
    media_type: str = oci.MANIFEST

    def config(self) -> bytes:
        root = {"type": "layers", "diff_ids": [digest(one) for one in self.layers]}
        return json.dumps({**self.platform, "config": self.process, "rootfs": root}).encode()

    def blobs(self) -> list[tuple[str, bytes]]:
        return [pack(one, self.kind) for one in self.layers]

    def manifest(self, **more: Any) -> bytes:
        config = self.config()
        document = {
            "schemaVersion": 2,
            "mediaType": self.media_type,
            "config": {"mediaType": oci.CONFIG, "digest": digest(config), "size": len(config)},
            "layers": [{"mediaType": kind, "digest": digest(data), "size": len(data)} for kind, data in self.blobs()],
        }
        return json.dumps({**document, **more}).encode()


def descriptor(data: bytes, tag: str = "", **more: Any) -> dict[str, Any]:
    """A descriptor of a manifest, with a tag if there is one."""
    found: dict[str, Any] = {"mediaType": oci.MANIFEST, "digest": digest(data), "size": len(data), **more}
    return found | ({"annotations": {oci.REF_NAME: tag}} if tag else {})


def write_layout(folder: Path, images: dict[str, Image]) -> Path:
    """An OCI layout with an image for every tag."""
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "oci-layout").write_text('{"imageLayoutVersion": "1.0.0"}')
    listed = []
    for tag, image in images.items():
        listed.append(descriptor(image.manifest(), tag))
        for data in (image.manifest(), image.config(), *(data for _, data in image.blobs())):
            put(folder, data)
    (folder / "index.json").write_text(json.dumps({"schemaVersion": 2, "manifests": listed}))
    return folder


def put(folder: Path, data: bytes, name: str = "") -> None:
    """Add a blob, under its own digest or a lying one."""
    path = folder / "blobs" / (name or digest(data)).replace(":", "/")
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(data)


def write_platforms(folder: Path, images: dict[str, Image]) -> bytes:
    """A layout with one entry, x: an index of the images, each for its platform. Returns the index."""
    write_layout(folder, images)
    entries = [descriptor(one.manifest(), platform=one.platform) for one in images.values()]
    index = json.dumps({"schemaVersion": 2, "mediaType": oci.INDEX, "manifests": entries}).encode()
    put(folder, index)
    write_index(folder, {**descriptor(index, "x"), "mediaType": oci.INDEX})
    return index


def write_index(folder: Path, *entries: dict[str, Any]) -> None:
    """Replace index.json."""
    (folder / "index.json").write_text(json.dumps({"schemaVersion": 2, "manifests": list(entries)}))


def archive(folder: Path, path: Path) -> Path:
    """A layout as an oci-archive."""
    with tarfile.open(path, "w") as out:
        for file in sorted(folder.rglob("*")):
            out.add(file, str(file.relative_to(folder)), recursive=False)
    return path


def docker_archive(path: Path, image: Image, *names: str) -> Path:
    """As `docker save` writes it; a layer that is there twice is a link the second time."""
    return docker_archives(path, (image, names))


def docker_archives(path: Path, *images: tuple[Image, Sequence[str]]) -> Path:
    """As `docker save` writes several images, each with its names."""
    listed = []
    first: dict[bytes, str] = {}
    with tarfile.open(path, "w") as out:
        for number, (image, names) in enumerate(images):
            layers = [f"{number}-{place}/layer.tar" for place in range(len(image.layers))]
            listed.append({"Config": f"config-{number}.json", "RepoTags": list(names), "Layers": layers})
            _add(out, f"config-{number}.json", image.config())
            for name, data in zip(layers, image.layers, strict=True):
                if data in first:
                    member = tarfile.TarInfo(name)
                    member.type, member.linkname = tarfile.SYMTYPE, f"../{first[data]}"
                    out.addfile(member)
                    continue
                first[data] = name
                _add(out, name, data)
        _add(out, "manifest.json", json.dumps(listed).encode())
    return path


def tar_of(path: Path, files: dict[str, bytes]) -> Path:
    """An archive of plain files."""
    with tarfile.open(path, "w") as out:
        for name, data in files.items():
            _add(out, name, data)
    return path


def _add(out: tarfile.TarFile, name: str, data: bytes) -> None:
    member = tarfile.TarInfo(name)
    member.size = len(data)
    out.addfile(member, io.BytesIO(data))
