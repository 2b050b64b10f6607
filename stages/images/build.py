"""Builds image archives reproducibly: the same members and manifest give the same bytes, whatever made them."""

from __future__ import annotations

import gzip
import io
import os
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import Any, BinaryIO, Protocol, cast

from stages.base.digest import canonical
from stages.base.errors import ImageError
from stages.base.records import NamedTuple
from stages.images import tarwriter
from stages.images.entry import Entry, Extent, Kind
from stages.images.tarheader import BLOCK, shown

_COPY = 1 << 20


class Member(NamedTuple):
    """One member to be: its metadata, and its bytes.

    entry: as read_entries would give it; of a FILE, each extent's `offset` is the place in what `data` gives.
    data: the bytes themselves, or what opens them (a seekable binary file, closed after use).
    """

    entry: Entry
    data: bytes | Callable[[], BinaryIO] = b""


class Writer(Protocol):
    """What an archive is written to: any binary file, which need not be seekable."""

    def write(self, data: bytes, /) -> object: ...


def regular(name: str | bytes, data: bytes, mode: int = 0o644, **metadata: Any) -> Member:
    """A file of root that holds `data`; metadata: further fields of Entry (uid, gid, mtime_ns, xattrs)."""
    extents = (Extent(0, 0, len(data)),) if data else ()
    return Member(Entry(os.fsencode(name), Kind.FILE, mode, size=len(data), extents=extents, **metadata), data)


def of_file(name: str, path: Path) -> Member:
    """A file of root with the bytes of the one at `path`, which is opened when it is its turn, and is no link then."""
    size = path.stat().st_size
    extents = (Extent(0, 0, size),) if size else ()

    def open_it() -> BinaryIO:
        return os.fdopen(os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_CLOEXEC), "rb")

    return Member(Entry(os.fsencode(name), Kind.FILE, 0o644, size=size, extents=extents), open_it)


def directory(name: str | bytes, mode: int = 0o755, **metadata: Any) -> Member:
    """A directory; metadata as for regular."""
    return Member(Entry(os.fsencode(name), Kind.DIRECTORY, mode, **metadata))


def symlink(name: str | bytes, target: str | bytes, **metadata: Any) -> Member:
    """A symlink; metadata as for regular."""
    return Member(Entry(os.fsencode(name), Kind.SYMLINK, 0o777, target=os.fsencode(target), **metadata))


def write_archive(
    out: Writer,
    manifest: Mapping[str, Any],
    members: Iterable[Member],
    *,
    mtime_ns: int = 0,
    compress: bool = False,
) -> None:
    """Write an appc image (contract K.6): `manifest`, `rootfs`, and the members below it.

    members: named from the root of the image's file system (b"" is that root, and is made 0755 if absent), hard
    link targets too. mtime_ns: of what no member says: the manifest and the root. compress: gzip, with nothing in
    its header that changes from run to run. ImageError for two members of one name.
    """
    inside = {b"": directory(b"", mtime_ns=mtime_ns)}
    listed = [_below_rootfs(member) for member in _unique(members, inside)]
    head = regular(b"manifest", canonical(dict(manifest)), mtime_ns=mtime_ns)
    if not compress:
        _write(out, [head, *listed])
        return
    with gzip.GzipFile(filename="", mode="wb", compresslevel=6, fileobj=cast(BinaryIO, out), mtime=0) as packed:
        _write(packed, [head, *listed])


def write_tar(out: Writer, members: Iterable[Member]) -> None:
    """Write a plain tar archive of the members under their own names, such as a layer; else as write_archive."""
    _write(out, _unique(members, {}))


def _unique(members: Iterable[Member], defaults: Mapping[bytes, Member]) -> list[Member]:
    """Sorted by path, parents first, and hard links last, so that their targets are there whoever unpacks."""
    named: dict[bytes, Member] = {}
    for member in members:
        if named.setdefault(member.entry.name, member) is not member:
            raise ImageError(f"two members are called {shown(member.entry.name)}", reason="duplicate")
    ordered = {**defaults, **named}.values()
    return sorted(ordered, key=lambda m: (m.entry.kind is Kind.HARDLINK, m.entry.name.split(b"/")))


def _below_rootfs(member: Member) -> Member:
    entry = member.entry
    name = b"rootfs/" + entry.name if entry.name else b"rootfs"
    target = b"rootfs/" + entry.target if entry.kind is Kind.HARDLINK else entry.target
    return Member(entry._replace(name=name, target=target), member.data)


def _write(out: Writer, members: Iterable[Member]) -> None:
    for member in members:
        out.write(tarwriter.header(member.entry))
        if member.entry.extents:
            _write_data(out, member)
    out.write(bytes(2 * BLOCK))


def _write_data(out: Writer, member: Member) -> None:
    with io.BytesIO(member.data) if isinstance(member.data, bytes) else member.data() as source:
        for extent in member.entry.extents:
            _copy(source, out, extent, member.entry.name)
    out.write(tarwriter.padding(sum(extent.length for extent in member.entry.extents)))


def _copy(source: BinaryIO, out: Writer, extent: Extent, name: bytes) -> None:
    source.seek(extent.offset)
    left = extent.length
    while left:
        piece = source.read(min(left, _COPY))
        if not piece:
            raise ImageError(f"{shown(name)} became shorter while it was read", reason="changed")
        out.write(piece)
        left -= len(piece)
