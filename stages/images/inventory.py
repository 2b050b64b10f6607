"""What is in a stored blob, as its headers said: kept beside it, so that a render does not read them again.

<images>/inventories/<blob id>   a digest of the code that read the headers and one of what follows, then the entries

Headers are read once more wherever that file is missing, damaged or of other code: it may be lost at any time. It
never speaks of another blob, because the blob's id is the digest of its bytes.
"""

from __future__ import annotations

import contextlib
import functools
import hashlib
import marshal
import struct
import sys
from collections.abc import Callable, Iterable, Iterator
from itertools import islice
from pathlib import Path
from typing import Any, BinaryIO

from stages.base import files
from stages.base.records import NamedTuple
from stages.images.blobs import Blobs
from stages.images.entry import Entry, Extent, Kind

# A layer's id is the diff id, which OCI has as sha256; appc's archives have sha512.
_LAYER = "sha256-"
# The modules that say what is in an archive. To recall what they said takes none of them but entry.
_CODE = ("acl", "aci", "bounds", "entry", "inventory", "layer", "pax", "placement", "sparse", "tar", "tarheader")
_HEAD = 2 * hashlib.sha256().digest_size
_LENGTH = struct.Struct("<I")
_AT_ONCE = 1024  # entries, so that only these are there twice
_KINDS = tuple(Kind)
_NUMBERS = {kind: number for number, kind in enumerate(_KINDS)}


class Inventory(NamedTuple):
    """What a blob adds to a tree, checked and placed; names are relative to the image's root.

    whiteouts, opaque: what a layer takes away from those below it (images.layer).
    """

    entries: tuple[Entry, ...]
    whiteouts: frozenset[bytes] = frozenset()
    opaque: frozenset[bytes] = frozenset()


def is_layer(blob_id: str) -> bool:
    """Whether the blob is a change to what is below it."""
    return blob_id.startswith(_LAYER)


def stored(blobs: Blobs, blob_id: str) -> Inventory:
    """What is in a stored blob. Raises ImageError, and OSError when there is none."""
    found = _recalled(blobs.data.images.inventory(blob_id))
    if found is None:
        with open(blobs.path(blob_id), "rb") as file:
            found = read(file.fileno(), blob_id)
        with blobs.lock(blob_id):
            if blobs.has(blob_id):
                write(blobs, blob_id, found)
    return found


def keep_layer(blobs: Blobs, spool: BinaryIO, found: Inventory, blob_id: str) -> None:
    """Make a spool, whose digest was checked, the layer of this id. The caller holds the lock."""
    blobs.keep(spool, blob_id)
    write(blobs, blob_id, found)


def write(blobs: Blobs, blob_id: str, found: Inventory) -> None:
    """Keep what was read of a stored blob; where that cannot be, it is read again. The caller holds the lock."""
    if not _code():
        return
    path = blobs.data.images.inventory(blob_id)
    whole = hashlib.sha256()
    with contextlib.suppress(OSError):
        files.make_directory(path.parent)
        with files.writing(path, durable=False) as file:
            file.write(bytes(_HEAD))
            for part in _packed(found):
                data = marshal.dumps(part)
                data = _LENGTH.pack(len(data)) + data
                whole.update(data)
                file.write(data)
            file.seek(0)
            file.write(_code() + whole.digest())


def read(descriptor: int, blob_id: str, upto: Callable[[int], int] | None = None) -> Inventory:
    """What is in an archive that is to be, or is, this blob. upto: of one that still grows. Raises ImageError."""
    from stages.images import aci, layer, tar

    if not is_layer(blob_id):
        return Inventory(aci.read(descriptor, upto).members)
    made = layer.changes(tar.read_entries(descriptor, upto))
    return Inventory(made.members, made.whiteouts, made.opaque)


def _recalled(path: Path) -> Inventory | None:
    try:
        with open(path, "rb") as file:
            head = file.read(_HEAD)
            if head != _code() + hashlib.file_digest(file, "sha256").digest():
                return None
            file.seek(_HEAD)
            whiteouts, opaque = _part(file)
            return Inventory(tuple(_unpacked(file)), whiteouts, opaque)
    except OSError:
        return None


def _part(file: BinaryIO) -> Any:
    (length,) = _LENGTH.unpack(file.read(_LENGTH.size))
    return marshal.loads(file.read(length))


def _packed(found: Inventory) -> Iterator[Any]:
    """What a file has, one thing after the other: whiteouts and opaque directories, then entries, then none."""
    yield found.whiteouts, found.opaque
    waiting = iter(found.entries)
    while part := [_plain(one) for one in islice(waiting, _AT_ONCE)]:
        yield part
    yield []


def _plain(one: Entry) -> tuple[Any, ...]:
    extents = [(extent.logical, extent.offset, extent.length) for extent in one.extents]
    kind = _NUMBERS[one.kind]
    return (
        one.name, kind, one.mode, one.uid, one.gid, one.mtime_ns, one.size, extents, one.target, one.major, one.minor,
        one.xattrs,
    )  # fmt: skip


def _unpacked(file: BinaryIO) -> Iterator[Entry]:
    while part := _part(file):
        yield from _entries(part)


def _entries(part: Iterable[Any]) -> Iterator[Entry]:
    for name, kind, mode, uid, gid, when, size, extents, target, major, minor, xattrs in part:
        places = tuple([Extent(*extent) for extent in extents])
        yield Entry(name, _KINDS[kind], mode, uid, gid, when, size, places, target, major, minor, xattrs)


@functools.cache
def _code() -> bytes:
    """A digest of the code that says what is in an archive, and of the Python that writes it down; b"" without it."""
    whole = hashlib.sha256(f"{sys.version} {marshal.version}".encode())
    try:
        for name in _CODE:
            whole.update(Path(__file__).with_name(f"{name}.py").read_bytes())
    except OSError:  # the modules are in no files
        return b""
    return whole.digest()
