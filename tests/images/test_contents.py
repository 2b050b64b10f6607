"""Paths of an image that is not unpacked: what they lead to, held against the kernel's own answer in a real root."""

from __future__ import annotations

import os
import random
from pathlib import Path

import pytest

from stages.images import build
from stages.images.contents import Contents
from stages.images.entry import Entry, Kind
from stages.images.inventory import Inventory
from stages.images.placement import MAX_LINKS
from stages.linux import kernel
from stages.trees.merge import Layer, merge
from stages.trees.model import Node

NAMES = (b"a", b"b", b"c")
TARGETS = (b"a", b"../a", b"/b", b"../../../c/a", b"a/b", b"./b/../c", b"/", b"..", b"c/", b"b/.", b"no")


def contents(*layers: Inventory) -> Contents:
    return Contents(layers.__getitem__, len(layers))


def inventory(*members: build.Member, **more: frozenset[bytes]) -> Inventory:
    return Inventory(tuple(member.entry for member in members), **more)


def hard(name: bytes, target: bytes) -> build.Member:
    return build.Member(Entry(name, Kind.HARDLINK, 0o644, target=target))


def invented(choose: random.Random, number: int) -> Inventory:
    """A layer: what is in it is in directories, links lead anywhere, hard links to files of it."""
    found: dict[bytes, Entry] = {}
    folders = [b""]
    for folder in folders:
        for name in NAMES:
            path = folder + b"/" + name if folder else name
            kind = choose.choice(["", "", "file", "link", "folder"])
            if kind == "folder" and path.count(b"/") < 2:
                folders.append(path)
                if choose.random() < 0.5:
                    found[path] = build.directory(path).entry
            elif kind == "file":
                found[path] = build.regular(path, b"x" * number, uid=len(found)).entry
            elif kind == "link":
                found[path] = build.symlink(path, choose.choice(TARGETS)).entry
    ends = [name for name, entry in found.items() if entry.kind is not Kind.DIRECTORY]
    if ends:
        found[b"h"] = hard(b"h", choose.choice(ends)).entry
    return Inventory(
        tuple(found.values()),
        frozenset(choose.sample(NAMES, 1)) if choose.random() < 0.3 else frozenset(),
        frozenset([b"b"]) if choose.random() < 0.2 else frozenset(),
    )


def put(node: Node, path: Path, seen: dict[Path, Node]) -> None:
    """The merged tree on disk; a file is an empty one, and its node is in `seen`."""
    for base, child in node.children.items():
        place = path / os.fsdecode(base)
        if child.kind is Kind.DIRECTORY:
            place.mkdir()
            put(child, place, seen)
        elif child.kind is Kind.SYMLINK:
            place.symlink_to(os.fsdecode(child.target))
        else:
            place.touch()
            seen[place] = child


@pytest.mark.parametrize("seed", range(60))
def test_the_kernel_finds_the_same(tmp_path: Path, seed: int) -> None:
    choose, root, seen = random.Random(seed), tmp_path / "root", dict[Path, Node]()
    layers = [invented(choose, number + 1) for number in range(choose.randint(1, 3))]
    tree = merge([Layer(str(at), made.entries, changes=True, whiteouts=made.whiteouts, opaque=made.opaque)
                  for at, made in enumerate(layers)])  # fmt: skip
    root.mkdir()
    put(tree.root, root, seen)
    whole, top = contents(*layers), os.open(root, os.O_PATH)
    for path in [*NAMES, *(one + b"/" + other for one in NAMES for other in NAMES), *TARGETS, b"h", b"a/b/c", b"h/a"]:
        found = whole.find(path)
        got = found and (layers[found.layer], found.entry.size, found.entry.uid)
        node = by_kernel(top, path, seen)
        assert got == (node and (layers[node.blob], node.size, node.uid)), path
    os.close(top)


def by_kernel(top: int, path: bytes, seen: dict[Path, Node]) -> Node | None:
    try:
        inode = kernel.open_in_root(top, os.fsdecode(path))
    except OSError:
        return None
    try:
        return seen.get(Path(os.readlink(f"/proc/self/fd/{inode}")))
    finally:
        os.close(inode)


def test_links_are_followed_as_often_as_the_kernel_does() -> None:
    links = [build.symlink(f"{number}", f"{number + 1}") for number in range(MAX_LINKS + 1)]
    whole = contents(inventory(*links, build.regular(str(MAX_LINKS + 1), b"")))
    assert whole.find(b"0") is None and whole.find(b"1") is not None


def test_a_circle_ends_and_a_target_without_end_is_none() -> None:
    links = [build.symlink("a", "b"), build.symlink("b", "/a"), build.symlink("c", "./" * 5000 + "d")]
    whole = contents(inventory(*links, build.regular("d", b"")))
    assert [whole.find(path) for path in (b"a", b"b", b"c")] == [None, None, None] and whole.find(b"d")


def test_a_hard_link_into_the_layer_below_sees_what_that_has() -> None:
    upper = inventory(hard(b"x", b"f"), build.symlink("f", "elsewhere"))
    assert contents(inventory(hard(b"x", b"f")), inventory(build.regular("f", b"1"))).find(b"x")
    assert contents(upper, inventory(build.regular("f", b"1"))).find(b"x") is None, "the link of its own layer"
    hidden = inventory(build.regular("more", b""), whiteouts=frozenset([b"f"]))
    assert contents(inventory(hard(b"x", b"f")), hidden, inventory(build.regular("f", b"1"))).find(b"x") is None


def test_layers_that_nothing_is_looked_for_in_are_not_read() -> None:
    asked = []

    def load(number: int) -> Inventory:
        asked.append(number)
        return inventory(build.regular("f", b""))

    whole = Contents(load, 3)
    assert whole.find(b"f") and whole.find(b"f") and asked == [0]


def test_a_path_through_many_directories_is_soon_given_up() -> None:
    """At once, where every one of the directories would be looked for among all names of every layer."""
    deep = b"a/" * 1900
    way = [build.symlink(deep + b"%d" % number, b"/" + deep + b"%d" % (number + 1)) for number in range(38)]
    wide = [build.regular(b"z/%d" % number, b"") for number in range(10_000)]
    layer = inventory(*wide, *way, build.symlink(b"l", deep + b"0"), build.regular(deep + b"38", b""))
    assert contents(layer, layer).find(b"l") is None
    assert contents(layer, layer).find(b"z/9999") is not None
