"""The layout of an appc image archive: `manifest` and `rootfs`, and nothing else (contract K.6)."""

from __future__ import annotations

from collections.abc import Callable, Iterable

from stages.base.errors import ImageError
from stages.base.records import NamedTuple
from stages.images import tar
from stages.images.entry import Entry, Kind
from stages.images.placement import place
from stages.images.tarheader import shown

MANIFEST = b"manifest"
ROOTFS = b"rootfs"
MAX_MANIFEST = 16 << 20
# Said of what is no appc image: what it probably is.
_OTHERS = "OCI images are written oci-archive:FILE or docker-archive:FILE, an unpacked root file system dir:DIR"


class Layout(NamedTuple):
    """A checked image: its manifest, and what is in its rootfs.

    members: in archive order, names and hard link targets relative to rootfs (b"" is rootfs itself, which may be
    implied), placed as images.placement.place says: no parent of a member is a link or a file.
    """

    manifest: Entry
    members: tuple[Entry, ...]


def read(descriptor: int, upto: Callable[[int], int] | None = None) -> Layout:
    """The checked headers of the image archive behind `descriptor`. upto: of one that still grows (tar.read_entries).

    Raises ImageError.
    """
    return layout(tar.read_entries(descriptor, upto))


def layout(entries: Iterable[Entry]) -> Layout:
    """Check the entries of an archive against appc's rules.

    `manifest` is a regular file of at most 16 MiB; `rootfs` is a directory (without an entry of its own if it has
    members); the archive's own root may be listed; no name appears twice; hard links stay in rootfs. ImageError
    otherwise, with the first thing that is wrong.
    """
    manifest: Entry | None = None
    members: list[Entry] = []
    for entry in entries:
        name, kind, mode, uid, gid, when, size, extents, target, major, minor, xattrs = entry
        if name[:7] == b"rootfs/":
            if kind is Kind.HARDLINK:
                target = _inside(entry)
            members.append(Entry(name[7:], kind, mode, uid, gid, when, size, extents, target, major, minor, xattrs))
        elif entry.name == ROOTFS:
            members.append(_rootfs(entry))
        elif entry.name == MANIFEST:
            if manifest is not None:
                raise ImageError('the image has "manifest" twice', reason="duplicate")
            manifest = _manifest(entry)
        elif entry.name or entry.kind is not Kind.DIRECTORY:
            message = f'the image has {shown(entry.name)} beside "manifest" and "rootfs"'
            raise ImageError(message, hint=_OTHERS, reason="layout")
    if manifest is None:
        raise ImageError('the image has no "manifest"', reason="layout")
    if not members:
        raise ImageError('the image has no "rootfs"', reason="layout")
    return Layout(manifest, tuple(place(members)))


def _inside(link: Entry) -> bytes:
    if not link.target.startswith(ROOTFS + b"/"):
        message = f"the image's hard link {shown(link.name)} points to {shown(link.target)}, outside of its rootfs"
        raise ImageError(message, reason="hard-link")
    return link.target[len(ROOTFS) + 1 :]


def _rootfs(entry: Entry) -> Entry:
    if entry.kind is not Kind.DIRECTORY:
        raise ImageError(f'"rootfs" in the image is a {entry.kind.value}, not a directory', reason="layout")
    return entry._replace(name=b"", target=b"")


def _manifest(entry: Entry) -> Entry:
    if entry.kind is not Kind.FILE:
        raise ImageError(f'"manifest" in the image is a {entry.kind.value}, not a file', reason="layout")
    if entry.size > MAX_MANIFEST:
        raise ImageError(f'"manifest" in the image is larger than {MAX_MANIFEST} bytes', reason="limit")
    return entry
