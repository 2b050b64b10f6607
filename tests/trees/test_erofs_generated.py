"""Generated trees: what goes into an index comes out of it, whatever the names, kinds, sizes, links and attributes."""

from __future__ import annotations

import stat
from dataclasses import dataclass
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from stages.base.errors import TreeError
from stages.images.entry import Extent, Kind
from stages.trees.model import Node
from tests.trees.erofs_maker import Maker, directory
from tests.trees.erofs_reader import Reader

REASONS = {"device-number", "extents", "file-size", "link", "name", "owner", "side-size", "time", "xattr"}
TYPES = {
    Kind.FILE: stat.S_IFREG,
    Kind.DIRECTORY: stat.S_IFDIR,
    Kind.SYMLINK: stat.S_IFLNK,
    Kind.CHAR: stat.S_IFCHR,
    Kind.BLOCK: stat.S_IFBLK,
    Kind.FIFO: stat.S_IFIFO,
}


@dataclass
class Plan:
    """One name to make: where, what, and for hard links of which earlier name."""

    parent: int
    name: bytes
    kind: Kind | None
    content: bytes
    attributes: dict[str, int]
    xattrs: tuple[tuple[bytes, bytes], ...]
    of: int


_repeated = st.builds(bytes.__mul__, st.binary(min_size=1, max_size=1), st.integers(1, 255))
_bytes = st.one_of(st.binary(min_size=1, max_size=12), _repeated)
names = _bytes.filter(lambda name: name not in (b".", b"..") and not set(name) & {0, 47})
sizes = st.sampled_from([0, 1, 63, 64, 447, 448, 449, 511, 512, 513, 4094, 4095, 4096, 4097])
ids = st.sampled_from([0, 1, 1000, 65_535, 65_536, 3_000_000_000, 4_294_967_294])
attributes = st.fixed_dictionaries(
    {
        "mode": st.integers(0, 0o7777),
        "uid": ids,
        "gid": ids,
        "mtime_ns": st.integers(-(10**18), 4 * 10**18),
        "major": st.integers(0, 4095),
        "minor": st.integers(0, (1 << 20) - 1),
    }
)
xattrs = st.dictionaries(
    st.builds(bytes.__add__, st.sampled_from([b"user.", b"trusted.", b"security."]), names.map(lambda n: n[:200])),
    st.one_of(st.binary(max_size=20), st.builds(bytes, sizes)),
    max_size=3,
).map(lambda pairs: tuple(sorted(pairs.items())))
plans = st.builds(
    Plan,
    st.integers(0, 50),
    names,
    st.one_of(st.none(), st.sampled_from(list(TYPES))),
    st.builds(lambda size, fill: bytes([fill]) * size, sizes, st.integers(1, 255)),
    attributes,
    xattrs,
    st.integers(0, 50),
)


def grow(maker: Maker, steps: list[Plan]) -> tuple[Node, dict[bytes, Node], dict[bytes, bytes]]:
    """The tree that a list of plans makes, its nodes by path, and what each is to contain."""
    root = directory()
    nodes: dict[bytes, Node] = {b"": root}
    contents: dict[bytes, bytes] = {}
    for step in steps:
        directories = [path for path, node in nodes.items() if node.kind is Kind.DIRECTORY]
        others = [path for path, node in nodes.items() if node.kind is not Kind.DIRECTORY]
        parent = directories[step.parent % len(directories)]
        path = parent + b"/" + step.name if parent else step.name
        if path in nodes:
            continue
        if step.kind is None and others:
            of = others[step.of % len(others)]
            nodes[path], contents[path] = nodes[of], contents[of]
        else:
            nodes[path], contents[path] = made(maker, step)
        nodes[parent].children[step.name] = nodes[path]
    return root, nodes, contents


def made(maker: Maker, step: Plan) -> tuple[Node, bytes]:
    kind = step.kind or Kind.FILE
    common: dict[str, Any] = {name: step.attributes[name] for name in ("mode", "uid", "gid", "mtime_ns")}
    if kind is Kind.FILE:
        return maker.file(step.content, xattrs=step.xattrs, **common), step.content
    node = Node(kind, xattrs=step.xattrs, **common)
    if kind in (Kind.CHAR, Kind.BLOCK):
        node.major, node.minor = step.attributes["major"], step.attributes["minor"]
    if kind is Kind.SYMLINK:
        node.target = (step.content or b"t")[:4095]
        return node, node.target
    return node, b""


def check(reader: Reader, nodes: dict[bytes, Node], contents: dict[bytes, bytes]) -> None:
    found = reader.walk()
    assert found.keys() == nodes.keys()
    for path, node in nodes.items():
        inode = found[path]
        assert (inode.kind, inode.mode & 0o7777) == (TYPES[node.kind], node.mode)
        assert (inode.uid, inode.gid, inode.mtime_ns) == (node.uid, node.gid, node.mtime_ns)
        assert inode.xattrs == dict(node.xattrs)
        if node.kind in (Kind.CHAR, Kind.BLOCK):
            assert inode.device == (node.major, node.minor)
        elif node.kind is not Kind.DIRECTORY:
            assert reader.read(inode) == contents.get(path, b"")
    groups: dict[int, set[int]] = {}
    for path, node in nodes.items():
        groups.setdefault(id(node), set()).add(found[path].nid)
    assert all(len(nids) == 1 for nids in groups.values())
    assert len(groups) == reader.inodes


@settings(max_examples=200)
@given(steps=st.lists(plans, max_size=40))
def test_any_tree_comes_back(tmp_path_factory: pytest.TempPathFactory, steps: list[Plan]) -> None:
    maker = Maker(tmp_path_factory.mktemp("tree"))
    root, nodes, contents = grow(maker, steps)
    check(maker.write(root), nodes, contents)


numbers = st.one_of(
    st.integers(0, 2000),
    st.integers(0, 4).map(lambda n: n * 512),
    st.integers(-2, 2000),
    st.integers(-(1 << 70), 1 << 70),
    st.sampled_from([1 << 32, 1 << 63]),
)
places = st.builds(Extent, numbers, numbers, numbers)
broken = st.builds(
    Node,
    st.sampled_from(list(TYPES)),
    mode=numbers,
    uid=numbers,
    gid=numbers,
    mtime_ns=numbers,
    size=numbers,
    extents=st.lists(places, max_size=3).map(tuple),
    target=st.binary(max_size=5),
    major=numbers,
    minor=numbers,
    xattrs=st.lists(st.tuples(st.binary(max_size=9), st.binary(max_size=9)), max_size=2).map(tuple),
)


@settings(max_examples=400)
@given(names=st.dictionaries(st.binary(max_size=3), broken, max_size=3))
def test_no_tree_makes_anything_but_a_sound_image_or_an_error(
    tmp_path_factory: pytest.TempPathFactory, names: dict[bytes, Node]
) -> None:
    maker = Maker(tmp_path_factory.mktemp("broken"))
    maker.blobs[0] += bytes(range(256)) * 8
    try:
        reader = maker.write(directory(names))
    except TreeError as error:
        assert error.reason in REASONS
        return
    assert len(reader.walk()) == 1 + len(names)
