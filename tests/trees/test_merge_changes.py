"""Layers of changes: whiteouts, opaque directories and hard links across layers (image-spec, layer)."""

from __future__ import annotations

import pytest

from stages.base.errors import TreeError
from stages.images.entry import Entry, Kind
from stages.images.layer import changes
from stages.trees import hardlinks
from stages.trees import merge as merge_module
from stages.trees.merge import Layer, merge
from stages.trees.model import Node, Tree
from tests.trees.test_merge import at, directory, file, link, paths


def stacked(*layers: list[Entry]) -> Tree:
    """The tree of layers, weakest first as an image lists them."""
    made = []
    for number, entries in enumerate(layers):
        found = changes(entries)
        made.append(Layer(f"/blob{number}", found.members, None, (), True, found.whiteouts, found.opaque))
    return merge(made[::-1])


# The image-spec's own example: a base, and what a later layer does to it.
BASE = [
    directory(b"etc"),
    file(b"etc/my-app-config"),
    directory(b"bin"),
    file(b"bin/my-app-binary"),
    file(b"bin/my-app-tools"),
]


def test_the_specification_s_change_set() -> None:
    change = [
        directory(b"etc"),
        directory(b"etc/my-app.d"),
        file(b"etc/my-app.d/default.cfg"),
        file(b"bin/my-app-tools", size=2),
    ]
    tree = stacked(BASE, [*change, file(b"etc/.wh.my-app-config")])
    assert paths(tree) == {
        b"etc",
        b"etc/my-app.d",
        b"etc/my-app.d/default.cfg",
        b"bin",
        b"bin/my-app-binary",
        b"bin/my-app-tools",
    }
    assert at(tree, b"bin/my-app-tools").size == 2


A_LAYER = [
    directory(b"a"),
    directory(b"a/b"),
    directory(b"a/b/c"),
    file(b"a/b/c/bar"),
]
LEFT = {b"a", b"a/b", b"a/b/c", b"a/b/c/foo"}


def test_the_specification_s_opaque_whiteout_and_its_explicit_form_are_one() -> None:
    """A directory removed and made again, with another file: both ways to write it give the same tree."""
    opaque = [directory(b"a"), file(b"a/.wh..wh..opq"), directory(b"a/b"), directory(b"a/b/c"), file(b"a/b/c/foo")]
    explicit = [directory(b"a"), file(b"a/.wh.b"), directory(b"a/b"), directory(b"a/b/c"), file(b"a/b/c/foo")]
    assert paths(stacked(A_LAYER, opaque)) == LEFT == paths(stacked(A_LAYER, explicit))


def test_the_order_within_a_layer_does_not_matter() -> None:
    change = [directory(b"a"), directory(b"a/b"), directory(b"a/b/c"), file(b"a/b/c/foo"), file(b"a/.wh..wh..opq")]
    assert paths(stacked(A_LAYER, change)) == LEFT == paths(stacked(A_LAYER, change[::-1]))


def test_a_whiteout_hides_a_whole_directory_and_nothing_beside_it() -> None:
    assert paths(stacked([directory(b"a"), file(b"a/x"), file(b"ab"), file(b"b")], [file(b".wh.a")])) == {b"ab", b"b"}


def test_a_whiteout_holds_for_all_lower_layers_and_for_no_higher_one() -> None:
    tree = stacked([file(b"a", size=1)], [file(b"a", size=2)], [file(b".wh.a")], [file(b"b")])
    assert paths(tree) == {b"b"}
    tree = stacked([file(b"a", size=1)], [file(b".wh.a")], [file(b"a", size=3)])
    assert at(tree, b"a").size == 3


def test_a_whiteout_of_what_is_in_the_same_layer_hides_only_what_is_below() -> None:
    tree = stacked([directory(b"d"), file(b"d/old")], [file(b".wh.d"), directory(b"d"), file(b"d/new")])
    assert paths(tree) == {b"d", b"d/new"}


def test_a_whiteout_of_nothing_does_nothing() -> None:
    assert paths(stacked([file(b"a")], [file(b".wh.b"), file(b"c/d/.wh.e")])) == {b"a"}


def test_a_removed_directory_that_comes_back_has_none_of_its_old_attributes() -> None:
    tree = stacked([directory(b"d", mode=0o700, uid=7)], [file(b".wh.d")], [file(b"d/x")])
    node = at(tree, b"d")
    assert (node.mode, node.uid) == (0o755, 0)


def test_an_opaque_directory_without_an_entry_keeps_its_attributes() -> None:
    tree = stacked(
        [directory(b"d", mode=0o700), file(b"d/x"), directory(b"d/e"), file(b"d/e/y")], [file(b"d/.wh..wh..opq")]
    )
    assert paths(tree) == {b"d"}
    assert at(tree, b"d").mode == 0o700


def test_an_opaque_directory_keeps_what_its_own_and_higher_layers_have() -> None:
    low = [directory(b"d"), directory(b"d/e"), file(b"d/e/low"), file(b"d/low")]
    middle = [directory(b"d"), file(b"d/.wh..wh..opq"), directory(b"d/e"), file(b"d/e/middle")]
    assert paths(stacked(low, middle, [file(b"d/e/high")])) == {b"d", b"d/e", b"d/e/middle", b"d/e/high"}


def test_an_opaque_root_hides_everything() -> None:
    assert paths(stacked([file(b"a"), directory(b"d"), file(b"d/x")], [file(b".wh..wh..opq"), file(b"b")])) == {b"b"}


def test_a_directory_over_a_file_and_a_file_over_a_directory() -> None:
    assert paths(stacked([file(b"a")], [directory(b"a"), file(b"a/b")])) == {b"a", b"a/b"}
    assert paths(stacked([directory(b"a"), file(b"a/b")], [file(b"a")])) == {b"a"}
    assert paths(stacked([directory(b"a"), file(b"a/b")], [file(b"a")], [directory(b"a")])) == {b"a"}


def test_a_hard_link_to_a_lower_layer_is_one_inode_with_its_target() -> None:
    tree = stacked([file(b"a", size=5)], [link(b"b", b"a")], [link(b"c", b"b")])
    assert at(tree, b"a") is at(tree, b"b") is at(tree, b"c")
    assert at(tree, b"b").size == 5
    assert tree.blobs[at(tree, b"b").blob] == "/blob0"


def test_a_hard_link_keeps_the_file_that_a_higher_layer_replaces() -> None:
    tree = stacked([file(b"a", size=1)], [link(b"b", b"a")], [file(b"a", size=2)])
    assert (at(tree, b"a").size, at(tree, b"b").size) == (2, 1)


def test_a_hard_link_is_to_the_highest_file_below_it() -> None:
    tree = stacked([file(b"a", size=1)], [file(b"a", size=2)], [link(b"b", b"a")])
    assert at(tree, b"b") is at(tree, b"a")
    assert at(tree, b"b").size == 2


def test_a_hard_link_can_stand_for_a_renaming() -> None:
    tree = stacked([file(b"a", size=1)], [link(b"b", b"a"), file(b".wh.a")])
    assert paths(tree) == {b"b"}
    assert at(tree, b"b").size == 1


def test_links_of_links_and_symlinks() -> None:
    low = [Entry(b"s", Kind.SYMLINK, target=b"x"), link(b"t", b"s")]
    tree = stacked(low, [link(b"u", b"t"), link(b"v", b"s")])
    nodes: set[Node] = {at(tree, name) for name in (b"s", b"t", b"u", b"v")}
    assert len(nodes) == 1
    assert nodes.pop().target == b"x"


@pytest.mark.parametrize(
    "layers",
    [
        [[file(b"x")], [link(b"b", b"a")]],
        [[file(b"a")], [file(b".wh.a")], [link(b"b", b"a")]],
        [[directory(b"d"), file(b"d/a")], [file(b".wh.d")], [link(b"b", b"d/a")]],
        [[directory(b"d"), file(b"d/a")], [file(b"d/.wh..wh..opq")], [link(b"b", b"d/a")]],
        [[directory(b"d"), file(b"d/a")], [file(b"d")], [link(b"b", b"d/a")]],
    ],
    ids=["missing", "removed", "removed above", "emptied", "replaced above"],
)
def test_a_hard_link_to_nothing_is_refused(layers: list[list[Entry]]) -> None:
    with pytest.raises(TreeError) as caught:
        stacked(*layers)
    assert caught.value.reason == "tree-link"


def test_hard_links_are_looked_for_in_lower_layers_to_a_bound(monkeypatch: pytest.MonkeyPatch) -> None:
    """A link of 5 kB took a second for 1000 layers."""
    monkeypatch.setattr(hardlinks, "MAX_STEPS", 1 << 16)
    base = [file(b"a/" * 1990 + b"f")]
    assert stacked(base, *[[file(b"g")]] * 30, [link(b"h", base[0].name)]).root.children[b"h"].kind is Kind.FILE
    with pytest.raises(TreeError) as caught:
        stacked(base, *[[file(b"g")]] * 40, [link(b"h", base[0].name)])
    assert caught.value.reason == "limit"


def test_images_without_layers_of_changes_resolve_links_within_themselves() -> None:
    with pytest.raises(TreeError):
        merge([Layer("/top", [link(b"b", b"a")]), Layer("/base", [file(b"a")])])


@pytest.mark.parametrize("lower", [[file(b"a")], [directory(b"a"), file(b"a/.wh..wh..opq")]])
def test_a_directory_is_closed_to_lower_layers_once(lower: list[Entry], monkeypatch: pytest.MonkeyPatch) -> None:
    walked: list[bytes] = []
    monkeypatch.setattr(merge_module._Merger, "_furnish", lambda self, path, directory: walked.append(path))
    top = [directory(b"a"), *(directory(b"a/%d" % number) for number in range(50)), directory(b"a/x")]
    stacked([file(b"a/x/y")], *[lower] * 20, top)
    assert len(walked) == len(set(walked))
