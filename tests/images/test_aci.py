"""The two names of an appc image, and nothing beside them."""

from __future__ import annotations

import pytest

from stages.base.errors import ImageError
from stages.images.aci import MAX_MANIFEST, layout
from stages.images.entry import Entry, Extent, Kind

MANIFEST = Entry(b"manifest", Kind.FILE, 0o644, size=3, extents=(Extent(0, 512, 3),))
ROOTFS = Entry(b"rootfs", Kind.DIRECTORY, 0o755, mtime_ns=5)
FILE = Entry(b"rootfs/a", Kind.FILE, 0o600, 1, 2, 3, 4, (Extent(0, 2048, 4),), xattrs=((b"user.a", b"b"),))


def test_names_and_hard_link_targets_lose_the_prefix_and_nothing_else_changes() -> None:
    hard = Entry(b"rootfs/h", Kind.HARDLINK, target=b"rootfs/a")
    symlink = Entry(b"rootfs/s", Kind.SYMLINK, target=b"rootfs/a")
    found = layout([Entry(b"", Kind.DIRECTORY), ROOTFS, FILE, hard, symlink, MANIFEST])
    assert found.manifest == MANIFEST
    assert found.members == (
        Entry(b"", Kind.DIRECTORY, 0o755, mtime_ns=5),
        Entry(b"a", Kind.FILE, 0o600, 1, 2, 3, 4, (Extent(0, 2048, 4),), xattrs=((b"user.a", b"b"),)),
        Entry(b"h", Kind.HARDLINK, target=b"a"),
        Entry(b"s", Kind.SYMLINK, target=b"rootfs/a"),
    )


def test_rootfs_may_be_implied_by_its_members() -> None:
    assert [entry.name for entry in layout([MANIFEST, FILE]).members] == [b"a"]


REFUSED = {
    "nothing": ([], "layout"),
    "no manifest": ([ROOTFS], "layout"),
    "no rootfs": ([MANIFEST], "layout"),
    "something else": ([MANIFEST, ROOTFS, Entry(b"other", Kind.FILE)], "layout"),
    "something that begins alike": ([MANIFEST, ROOTFS, Entry(b"rootfs2/x", Kind.FILE)], "layout"),
    "below the manifest": ([MANIFEST, ROOTFS, Entry(b"manifest/x", Kind.FILE)], "layout"),
    "root is no directory": ([MANIFEST, ROOTFS, Entry(b"", Kind.FIFO)], "layout"),
    "manifest is a link": ([Entry(b"manifest", Kind.SYMLINK, target=b"/etc/passwd"), ROOTFS], "layout"),
    "manifest is a hard link": ([Entry(b"manifest", Kind.HARDLINK, target=b"rootfs/a"), FILE], "layout"),
    "rootfs is a link": ([MANIFEST, Entry(b"rootfs", Kind.SYMLINK, target=b"/")], "layout"),
    "big manifest": ([Entry(b"manifest", Kind.FILE, size=MAX_MANIFEST + 1), ROOTFS], "limit"),
    "manifest twice": ([MANIFEST, MANIFEST, ROOTFS], "duplicate"),
    "rootfs twice": ([MANIFEST, ROOTFS, ROOTFS], "duplicate"),
    "member twice": ([MANIFEST, FILE, FILE], "duplicate"),
    "hard link to the manifest": ([MANIFEST, Entry(b"rootfs/h", Kind.HARDLINK, target=b"manifest")], "hard-link"),
    "hard link to rootfs": ([MANIFEST, Entry(b"rootfs/h", Kind.HARDLINK, target=b"rootfs")], "hard-link"),
    "below a file": ([MANIFEST, FILE, Entry(b"rootfs/a/b", Kind.FILE)], "below-file"),
}


def test_who_gives_an_archive_of_another_kind_is_told_how_that_is_written() -> None:
    with pytest.raises(ImageError) as caught:
        layout([Entry(b"blobs", Kind.DIRECTORY)])
    assert all(word in caught.value.hint for word in ("oci-archive:", "docker-archive:", "dir:"))


@pytest.mark.contract("M 37")
@pytest.mark.parametrize(("entries", "reason"), REFUSED.values(), ids=REFUSED.keys())
def test_other_layouts_are_refused(entries: list[Entry], reason: str) -> None:
    with pytest.raises(ImageError) as caught:
        layout(entries)
    assert caught.value.reason == reason
