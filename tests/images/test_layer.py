"""What a layer adds and takes away."""

from __future__ import annotations

import pytest

from stages.base.errors import ImageError
from stages.images.entry import Entry, Kind
from stages.images.layer import changes


def file(name: bytes, **fields: object) -> Entry:
    return Entry(name, Kind.FILE, **fields)  # type: ignore[arg-type]


def link(name: bytes, target: bytes) -> Entry:
    return Entry(name, Kind.HARDLINK, target=target)


def test_whiteouts_are_sorted_out() -> None:
    made = changes([file(b"a/.wh.b"), file(b".wh.c"), file(b"d/.wh..wh..opq"), file(b".wh..wh..opq"), file(b"e")])
    assert made.whiteouts == {b"a/b", b"c"}
    assert made.opaque == {b"d", b""}
    assert [one.name for one in made.members] == [b"e"]


def test_aufs_own_files_are_left_out() -> None:
    made = changes(
        [file(b".wh..wh.aufs"), Entry(b".wh..wh.plnk", Kind.DIRECTORY), file(b".wh..wh.plnk/1.2"), file(b"a")]
    )
    assert ([one.name for one in made.members], made.whiteouts, made.opaque) == ([b"a"], frozenset(), frozenset())


def test_the_later_of_two_entries_holds() -> None:
    made = changes(
        [file(b"a", mode=1), Entry(b"d", Kind.DIRECTORY, 1), Entry(b"d", Kind.DIRECTORY, 2), file(b"a", mode=2)]
    )
    assert {one.name: one.mode for one in made.members} == {b"a": 2, b"d": 2}


def test_a_hard_link_may_lead_to_a_lower_layer() -> None:
    (made,) = changes([link(b"a", b"b")]).members
    assert made.target == b"b"


def test_a_whiteout_means_the_lower_layers_and_no_link_of_its_own() -> None:
    """umoci writes such layers, for a directory that became a symlink."""
    made = changes([Entry(b"lib", Kind.SYMLINK, target=b"etc"), file(b"lib/.wh.passwd")])
    assert made.whiteouts == {b"lib/passwd"}


@pytest.mark.parametrize(
    ("entries", "reason"),
    [
        ([file(b"a/.wh.")], "whiteout"),
        ([file(b"a/.wh..")], "whiteout"),
        ([file(b".wh...")], "whiteout"),
        ([Entry(b".wh.a", Kind.DIRECTORY)], "whiteout"),
        ([file(b".wh.a/b")], "whiteout"),
        ([file(b"")], "layout"),
        ([Entry(b"", Kind.SYMLINK, target=b"a")], "layout"),
        ([link(b"", b"a")], "layout"),
        ([file(b"a"), Entry(b"a", Kind.SYMLINK, target=b"b")], "duplicate"),
        ([file(b"a"), link(b"b", b"a"), file(b"a")], "duplicate"),
        ([file(b"a"), file(b"a/b")], "below-file"),
    ],
)
def test_refused(entries: list[Entry], reason: str) -> None:
    with pytest.raises(ImageError) as caught:
        changes(entries)
    assert caught.value.reason == reason
