"""Which image an entry comes from: the rules one by one."""

from __future__ import annotations

import itertools
import tracemalloc
from typing import Any

import pytest

from stages.base.errors import TreeError
from stages.images.entry import Entry, Extent, Kind
from stages.trees import merge as merging
from stages.trees.merge import Layer, merge, size
from stages.trees.model import Node, Tree


def file(name: bytes, **fields: Any) -> Entry:
    return Entry(name, Kind.FILE, **fields)


def directory(name: bytes, **fields: Any) -> Entry:
    return Entry(name, Kind.DIRECTORY, **fields)


def link(name: bytes, target: bytes) -> Entry:
    return Entry(name, Kind.HARDLINK, target=target)


def layers(*entries: list[Entry]) -> list[Layer]:
    return [Layer(f"/blob{number}", one) for number, one in enumerate(entries)]


def at(tree: Tree, path: bytes) -> Node:
    node = tree.root
    for name in path.split(b"/"):
        node = node.children[name]
    return node


def paths(tree: Tree) -> set[bytes]:
    found: set[bytes] = set()
    pending = [(b"", tree.root)]
    while pending:
        prefix, node = pending.pop()
        for name, child in node.children.items():
            found.add(prefix + name)
            pending.append((prefix + name + b"/", child))
    return found


def test_a_node_has_all_that_its_entry_says() -> None:
    extents = (Extent(0, 1024, 7),)
    entry = Entry(b"a/f", Kind.FILE, 0o4755, 3_000_000_000, 7, -5, 9, extents, xattrs=((b"user.x", b"1"),))
    tree = merge([Layer("/blob", [entry])])
    node = at(tree, b"a/f")
    assert (node.kind, node.mode, node.uid, node.gid, node.mtime_ns, node.size) == (
        Kind.FILE,
        0o4755,
        3_000_000_000,
        7,
        -5,
        9,
    )
    assert (node.extents, node.xattrs, tree.blobs[node.blob]) == (extents, ((b"user.x", b"1"),), "/blob")


def test_the_stronger_file_wins_and_the_weaker_fills_in() -> None:
    tree = merge(layers([file(b"etc/a", size=1)], [file(b"etc/a", size=2), file(b"etc/b", size=3)]))
    assert (at(tree, b"etc/a").size, at(tree, b"etc/b").size) == (1, 3)
    assert tree.blobs[at(tree, b"etc/b").blob] == "/blob1"


@pytest.mark.parametrize("kind", [Kind.FILE, Kind.SYMLINK, Kind.FIFO])
def test_a_stronger_non_directory_hides_what_is_below_it_in_weaker_layers(kind: Kind) -> None:
    weaker = [directory(b"d"), directory(b"d/e"), file(b"d/e/f"), file(b"d/x")]
    assert paths(merge(layers([Entry(b"d", kind)], weaker))) == {b"d"}


def test_a_stronger_directory_takes_the_place_of_a_weaker_file() -> None:
    tree = merge(layers([directory(b"d", mode=0o700)], [file(b"d")]))
    assert (at(tree, b"d").kind, at(tree, b"d").mode) == (Kind.DIRECTORY, 0o700)


def test_an_implied_directory_takes_the_place_of_a_weaker_symlink_which_is_not_followed() -> None:
    weaker = [Entry(b"lib", Kind.SYMLINK, target=b"usr/lib"), directory(b"usr"), directory(b"usr/lib")]
    tree = merge(layers([file(b"lib/x")], weaker))
    assert paths(tree) == {b"lib", b"lib/x", b"usr", b"usr/lib"}
    assert at(tree, b"lib").kind is Kind.DIRECTORY


def test_a_file_between_two_directories_hides_the_weaker_ones_children() -> None:
    tree = merge(layers([file(b"d/top")], [file(b"d")], [directory(b"d", mode=0o700), file(b"d/e/bottom")]))
    assert paths(tree) == {b"d", b"d/top"}
    assert at(tree, b"d").mode == 0o755


def test_directories_below_a_replaced_one_are_closed_to_weaker_layers_too() -> None:
    tree = merge(layers([file(b"d/e/top")], [file(b"d")], [file(b"d/e/bottom")]))
    assert paths(tree) == {b"d", b"d/e", b"d/e/top"}


@pytest.mark.contract("M 32")
def test_the_root_is_the_strongest_one_that_a_layer_lists() -> None:
    tree = merge(layers([file(b"a")], [directory(b"", mode=0o700, uid=5)], [directory(b"", mode=0o711)]))
    assert (tree.root.mode, tree.root.uid) == (0o700, 5)


def test_an_implied_directory_has_the_attributes_of_the_strongest_layer_that_lists_it() -> None:
    tree = merge(layers([file(b"d/a")], [directory(b"d", mode=0o700, mtime_ns=9)], [directory(b"d", mode=0o711)]))
    assert (at(tree, b"d").mode, at(tree, b"d").mtime_ns) == (0o700, 9)


def test_a_directory_that_nobody_lists_is_plain() -> None:
    node = at(merge(layers([file(b"d/a")])), b"d")
    assert (node.mode, node.uid, node.gid, node.mtime_ns, node.xattrs) == (0o755, 0, 0, 0, ())


def test_directories_that_nobody_lists_are_bounded_by_what_they_take() -> None:
    """300 such entries are an archive of 9 kB, and would be a tree of 1.5 GB."""
    deep = [file(b"%05d/" % number + b"a/" * 1995 + b"f") for number in range(300)]
    with pytest.raises(TreeError) as caught:
        merge(layers(deep[:150], deep[150:]))
    assert caught.value.reason == "limit"
    assert len(merge(layers(deep[:9])).root.children) == 9


def test_nothing_is_kept_of_what_lies_below_a_stronger_file() -> None:
    """300 such entries took 1.2 GB, of which no tree came."""
    deep = [file(b"f/%d/" % number + b"a/" * 1990 + b"f") for number in range(50)]
    wanted = frozenset(entry.name for entry in deep)
    tracemalloc.start()
    try:
        tree = merge([*layers([file(b"f")], deep), Layer("/filtered", deep, ancestors=(wanted,))])
        assert tracemalloc.get_traced_memory()[1] < 1 << 23
    finally:
        tracemalloc.stop()
    assert tree.root.children[b"f"].kind is Kind.FILE


def test_directories_that_are_listed_are_bounded_by_the_archive_only(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(merging, "MAX_IMPLIED", 100_000)
    merge(layers([directory(b"%d" % number) for number in range(1000)]))
    with pytest.raises(TreeError):
        merge(layers([file(b"%d/f" % number) for number in range(1000)]))


def test_an_own_whitelist_filters_files_and_spares_directories() -> None:
    entries = [directory(b"d"), file(b"d/a"), file(b"d/b"), directory(b"e")]
    assert paths(merge([Layer("/b", entries, frozenset({b"d/a"}))])) == {b"d", b"d/a", b"e"}


def test_an_ancestors_whitelist_filters_directories_but_for_those_that_are_needed() -> None:
    entries = [directory(b"d", mode=0o700), file(b"d/a"), file(b"d/b"), directory(b"e")]
    tree = merge([Layer("/b", entries, None, (frozenset({b"d/a"}),))])
    assert paths(tree) == {b"d", b"d/a"}
    assert at(tree, b"d").mode == 0o700


@pytest.mark.contract("M 31")
def test_every_whitelist_on_the_way_counts() -> None:
    entries = [file(b"a"), file(b"b"), file(b"c"), file(b"d")]
    empty: frozenset[bytes] = frozenset()
    lists = (frozenset({b"a", b"b", b"d"}), empty, frozenset({b"a", b"c", b"d"}))
    assert paths(merge([Layer("/b", entries, frozenset({b"a", b"b", b"c"}), lists)])) == {b"a"}


def test_whitelists_match_exactly() -> None:
    entries = [directory(b"d"), file(b"d/a"), file(b"x*"), file(b"xy")]
    assert paths(merge([Layer("/b", entries, frozenset({b"d", b"x*"}))])) == {b"d", b"x*"}


def test_an_empty_whitelist_filters_nothing() -> None:
    assert paths(merge([Layer("/b", [file(b"a")], frozenset(), (frozenset(),))])) == {b"a"}


def test_a_filtered_file_hides_nothing() -> None:
    strong = Layer("/0", [file(b"d")], frozenset({b"other"}))
    assert paths(merge([strong, Layer("/1", [file(b"d/a")])])) == {b"d", b"d/a"}


def test_a_kept_directory_entry_goes_before_a_stronger_filtered_one() -> None:
    filtered = Layer("/0", [directory(b"d", mode=0o700)], None, (frozenset({b"x"}),))
    tree = merge([filtered, Layer("/1", [directory(b"d", mode=0o711)])])
    assert at(tree, b"d").mode == 0o711


def test_a_filtered_directory_entry_still_says_how_an_implied_one_looks() -> None:
    implying = Layer("/0", [file(b"d/a")])
    filtered = Layer("/1", [directory(b"d", mode=0o700)], None, (frozenset({b"x"}),))
    assert at(merge([implying, filtered]), b"d").mode == 0o700


def test_a_filtered_entry_says_it_also_of_a_directory_that_replaced_a_file_and_weaker_ones_do_not() -> None:
    def filtered(blob: str, mode: int) -> Layer:
        return Layer(blob, [directory(b"d", mode=mode)], None, (frozenset({b"x"}),))

    implying, replaced = Layer("/0", [file(b"d/a")]), Layer("/2", [file(b"d")])
    assert at(merge([implying, filtered("/1", 0o700), replaced]), b"d").mode == 0o700
    assert at(merge([implying, replaced, filtered("/3", 0o711)]), b"d").mode == 0o755


@pytest.mark.contract("M 33")
@pytest.mark.parametrize("order", list(itertools.permutations(range(3))))
def test_hard_links_are_one_node_in_whatever_order_they_come(order: tuple[int, ...]) -> None:
    entries = [file(b"a", size=5), link(b"b", b"a"), link(b"c", b"b")]
    tree = merge(layers([entries[number] for number in order]))
    assert at(tree, b"a") is at(tree, b"b") is at(tree, b"c")
    assert size(tree) == 5


@pytest.mark.contract("M 33")
def test_links_to_a_filtered_file_share_its_content() -> None:
    entries = [file(b"a", size=5), link(b"b", b"a"), link(b"c", b"a")]
    tree = merge([Layer("/b", entries, frozenset({b"b", b"c"}))])
    assert paths(tree) == {b"b", b"c"}
    assert at(tree, b"b") is at(tree, b"c")
    assert at(tree, b"b").size == 5


def test_links_to_a_file_that_a_stronger_layer_replaces_keep_their_own_content() -> None:
    tree = merge(layers([file(b"a", size=1)], [file(b"a", size=2), link(b"b", b"a"), link(b"c", b"a")]))
    assert at(tree, b"a").size == 1
    assert at(tree, b"b") is at(tree, b"c")
    assert at(tree, b"b").size == 2


@pytest.mark.parametrize(
    "entries",
    [
        [link(b"a", b"nothing")],
        [link(b"a", b"a")],
        [link(b"a", b"b"), link(b"b", b"a")],
        [directory(b"d"), link(b"a", b"d")],
    ],
)
def test_a_hard_link_to_no_file_is_refused(entries: list[Entry]) -> None:
    with pytest.raises(TreeError) as caught:
        merge(layers(entries))
    assert caught.value.reason == "tree-link"


def test_a_link_does_not_find_its_target_in_another_image() -> None:
    with pytest.raises(TreeError):
        merge(layers([link(b"b", b"a")], [file(b"a")]))


def test_one_image_that_two_others_depend_on_is_one_blob() -> None:
    tree = merge([Layer("/a", [file(b"a")]), Layer("/d", [file(b"d")]), Layer("/b", []), Layer("/d", [file(b"d")])])
    assert tree.blobs == ("/a", "/d", "/b")
    assert tree.blobs[at(tree, b"d").blob] == "/d"


def test_a_hundred_thousand_entries_stay_well_under_a_hundred_megabytes() -> None:
    def entries() -> list[Entry]:
        return [
            Entry(b"usr/share/d%d/file-%d" % (number % 1000, number), Kind.FILE, size=3, extents=(Extent(0, 512, 3),))
            for number in range(100_000)
        ]

    tracemalloc.start()
    try:
        tree = merge([Layer("/blob", entries())])
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert size(tree) == 300_000
    assert peak < 100_000_000
