"""The images that are measured: a Debian root as ACI and as OCI layout, and made ones of any size."""

from __future__ import annotations

import gzip
import hashlib
import io
import json
import random
import shutil
import subprocess
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

from benchmarks.sampling import NotHere
from stages.images import build, tar
from stages.images.build import Member
from stages.images.entry import Entry, Extent, Kind
from stages.linux import host

SUITE = "bookworm"


def manifest(name: str, command: Iterable[str] = ("/bin/true",), **more: Any) -> dict[str, Any]:
    """An appc image manifest for this host."""
    labels = [{"name": "os", "value": host.OS}, {"name": "arch", "value": host.arch()}]
    app = {"exec": list(command), "user": "0", "group": "0"}
    return {"acKind": "ImageManifest", "acVersion": "0.8.11", "name": name, "labels": labels, "app": app} | more


def write(path: Path, name: str, members: Iterable[Member], compress: bool = False, **more: Any) -> Path:
    """Build an ACI file."""
    with open(path, "wb") as out:
        build.write_archive(out, manifest(name, **more), members, compress=compress)
    return path


def debian(path: Path) -> Path:
    """The tar archive of a Debian minbase root; made once, for minutes of a benchmark are not for downloads."""
    if path.exists():
        return path
    if shutil.which("mmdebstrap") is None:
        raise NotHere("mmdebstrap is not installed (tools/setup.sh test installs it)")
    new = path.with_suffix(".new.tar")
    subprocess.run(["mmdebstrap", "--quiet", "--variant=minbase", SUITE, str(new)], check=True)
    return new.rename(path)


def members_of(archive: Path) -> Iterator[Member]:
    """The members of a tar archive of a root file system, for an ACI."""
    for entry in tar.read_entries(archive):
        yield Member(entry, lambda: open(archive, "rb"))  # noqa: SIM115 - build closes it


def busybox(program: Path = Path("/bin/busybox")) -> list[Member]:
    """A root file system with the host's static busybox."""
    links = [build.symlink(f"bin/{name}", "busybox") for name in ("sh", "true", "cat", "sleep")]
    return [build.directory("bin"), build.regular("bin/busybox", program.read_bytes(), 0o755), *links]


def stage1_true(path: Path) -> Path:
    """A stage1 image whose programs are all busybox's `true`: it costs next to nothing, and runs no app."""
    names = ("run", "gc", "enter", "stop")
    annotations = [{"name": f"coreos.com/rkt/stage1/{name}", "value": "/true"} for name in names]
    annotations.append({"name": "coreos.com/rkt/stage1/interface-version", "value": "6"})
    program = build.regular("true", Path("/bin/busybox").read_bytes(), 0o755)
    return write(path, "podwright.dev/bench-stage1", [program], annotations=annotations)


def many_files(path: Path, count: int, size: int, seed: int = 0) -> Path:
    """An ACI of `count` entries, a hundred files of `size` bytes to a directory; with busybox, so that it can run."""
    return write(path, f"podwright.dev/bench-{count}-{seed}", [*busybox(), *_files(count, size, seed)])


def plain_tar(path: Path, count: int, size: int) -> None:
    """A plain tar archive of `count` files of `size` bytes, none like another."""
    with open(path, "wb") as out:
        build.write_tar(out, _files(count, size, 0))


def _files(count: int, size: int, seed: int) -> Iterator[Member]:
    noise = random.Random(seed).randbytes(size + count)
    yield build.directory("data")
    for number in range(count):
        folder = f"data/{number // 100:05d}"
        if number % 100 == 0:
            yield build.directory(folder)
        # Every file is another window of the same noise, so that none is like another and none takes memory.
        entry = Entry(f"{folder}/{number:07d}".encode(), Kind.FILE, 0o644, size=size, extents=_whole(number, size))
        yield Member(entry, lambda: io.BytesIO(noise))


def _whole(offset: int, size: int) -> tuple[Extent, ...]:
    return (Extent(0, offset, size),) if size else ()


def oci_layout(folder: Path, layer: Path, diff_id: str) -> Path:
    """An OCI layout with one image, tag `latest`, of one gzip layer that is there already. diff_id: of its content."""
    blobs = folder / "blobs" / "sha256"
    blobs.mkdir(parents=True)
    arch = {"amd64": "amd64", "aarch64": "arm64"}.get(host.arch(), host.arch())
    configuration = {
        "architecture": arch,
        "os": "linux",
        "config": {"Cmd": ["/bin/true"]},
        "rootfs": {"type": "layers", "diff_ids": [f"sha256:{diff_id}"]},
    }
    image = {
        "schemaVersion": 2,
        "mediaType": "application/vnd.oci.image.manifest.v1+json",
        "config": _blob(blobs, "application/vnd.oci.image.config.v1+json", json.dumps(configuration).encode()),
        "layers": [_file_blob(blobs, "application/vnd.oci.image.layer.v1.tar+gzip", layer)],
    }
    head = _blob(blobs, "application/vnd.oci.image.manifest.v1+json", json.dumps(image).encode())
    tag = {"annotations": {"org.opencontainers.image.ref.name": "latest"}}
    index = {"schemaVersion": 2, "manifests": [head | tag]}
    (folder / "index.json").write_text(json.dumps(index))
    (folder / "oci-layout").write_text('{"imageLayoutVersion": "1.0.0"}')
    return folder


def _blob(blobs: Path, kind: str, content: bytes) -> dict[str, Any]:
    digest = hashlib.sha256(content).hexdigest()
    (blobs / digest).write_bytes(content)
    return {"mediaType": kind, "digest": f"sha256:{digest}", "size": len(content)}


def _file_blob(blobs: Path, kind: str, file: Path) -> dict[str, Any]:
    with open(file, "rb") as opened:
        digest = hashlib.file_digest(opened, "sha256").hexdigest()
    (blobs / digest).hardlink_to(file)
    return {"mediaType": kind, "digest": f"sha256:{digest}", "size": file.stat().st_size}


def compressed(tar_file: Path, target: Path) -> str:
    """Write the gzip of a file, as fast as the level that everybody uses allows; the sha256 of what is in it."""
    digest = hashlib.sha256()
    with open(tar_file, "rb") as source, gzip.GzipFile(target, "wb", compresslevel=6, mtime=0) as out:
        while chunk := source.read(1 << 20):
            digest.update(chunk)
            out.write(chunk)
    return digest.hexdigest()
