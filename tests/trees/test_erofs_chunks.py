"""Where file data is said to lie: in the blob wherever a block of it will do, in the side blob only where none does."""

from __future__ import annotations

import io
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from stages.base.errors import TreeError
from stages.images.entry import Extent, Kind
from stages.trees import erofs_layout as disk
from stages.trees.erofs import write_index
from stages.trees.model import Node, Tree
from tests.trees.erofs_maker import Maker, directory
from tests.trees.erofs_reader import HOLE, Inode, Reader


@pytest.fixture
def maker(tmp_path: Path) -> Maker:
    return Maker(tmp_path)


def pieces(reader: Reader, inode: Inode) -> list[tuple[int, int]]:
    """(device, bytes) of a file from its start, neighbours on one device joined."""
    found: list[tuple[int, int]] = []
    offset = 0
    while offset < inode.size:
        device, _, length = reader.extent(inode, offset)
        if found and found[-1][0] == device:
            length += found.pop()[1]
            found.append((device, length))
        else:
            found.append((device, length))
        offset = sum(size for _, size in found)
    return found


def expected(size: int, *parts: tuple[int, bytes]) -> bytes:
    data = bytearray(size)
    for position, part in parts:
        data[position : position + len(part)] = part
    return bytes(data)


def test_aligned_sparse_members_copy_nothing(maker: Maker) -> None:
    parts = [(4096, b"a" * 4096), (65_536, b"b" * 8192), (999_424, b"c" * 577)]
    index, reader = maker.write_all(directory({b"f": maker.sparse(1_000_001, *parts)}))
    inode = reader.walk()[b"f"]
    assert index.side_size == 0
    assert [device for device, _ in pieces(reader, inode)] == [HOLE, 1, HOLE, 1, HOLE, 1]
    assert reader.read(inode) == expected(1_000_001, *parts)


def test_unaligned_parts_go_to_the_side_blob(maker: Maker) -> None:
    parts = [(100, b"a" * 1000), (9000, b"b" * 5000), (20_000, b"c")]
    index, reader = maker.write_all(directory({b"f": maker.sparse(20_001, *parts), b"g": maker.file(b"plain" * 999)}))
    found = reader.walk()
    assert 0 < index.side_size < 20_000
    assert reader.extra == 2
    assert reader.device_blocks()[1] * 512 == index.side_size
    assert reader.read(found[b"f"]) == expected(20_001, *parts)
    assert reader.read(found[b"g"]) == b"plain" * 999


def test_two_parts_in_one_block_share_a_chunk(maker: Maker) -> None:
    parts = [(10, b"a"), (20, b"b"), (500, b"c" * 100)]
    index, reader = maker.write_all(directory({b"f": maker.sparse(700, *parts)}))
    assert reader.read(reader.walk()[b"f"]) == expected(700, *parts)
    assert index.side_size == 1024


def test_two_files_never_share_a_chunk(maker: Maker) -> None:
    nodes = {b"%d" % number: maker.sparse(300, (number, b"%d" % number * 9), shift=5) for number in range(9)}
    index, reader = maker.write_all(directory(nodes))
    found = reader.walk()
    for number in range(9):
        assert reader.read(found[b"%d" % number]) == expected(300, (number, b"%d" % number * 9))
    assert index.side_size == 9 * 512


def test_only_the_last_block_of_a_blob_that_ends_inside_it_is_copied(maker: Maker) -> None:
    data = bytes(range(1, 255)) * 4000
    node = maker.file(data)
    del maker.blobs[0][node.extents[0].offset + len(data) :]
    index, reader = maker.write_all(directory({b"f": node}))
    inode = reader.walk()[b"f"]
    assert reader.read(inode) == data
    assert 0 < index.side_size <= 16_384
    assert pieces(reader, inode)[0][0] == 1


def test_only_holes_cost_one_chunk(maker: Maker) -> None:
    index, reader = maker.write_all(directory({b"f": Node(Kind.FILE, size=1 << 40)}))
    nid = reader.list(reader.inode(reader.root))[-1][1]
    assert index.side_size == 0
    assert reader.extent(reader.inode(nid), 12_345)[0] == HOLE
    assert index.size < 4096


def test_neighbouring_extents_are_one(maker: Maker) -> None:
    data = b"x" * 10_000
    node = maker.file(data)
    start = node.extents[0].offset
    node.place = tuple(Extent(at, start + at, min(10, 10_000 - at)) for at in range(0, 10_000, 10))
    index, reader = maker.write_all(directory({b"f": node}))
    assert index.side_size == 0
    assert reader.read(reader.walk()[b"f"]) == data


def test_a_small_part_of_a_huge_hole_costs_little(maker: Maker) -> None:
    far = (1 << 40) - 777
    node = maker.sparse(1 << 40, (5, b"start"), (far, b"end"), shift=3)
    index, reader = maker.write_all(directory({b"f": node}))
    inode = reader.inode(reader.list(reader.inode(reader.root))[-1][1])
    assert reader.read(inode, 0, 12) == bytes(5) + b"start" + bytes(2)
    assert reader.read(inode, far - 1, 5) == b"\0end\0"
    assert index.size + index.side_size < 20 << 20


def test_too_sparse_for_any_table_is_refused() -> None:
    node = Node(Kind.FILE, size=(1 << 63) - 1, extents=(Extent(7, 0, 3),))
    with pytest.raises(TreeError) as caught:
        write_index(Tree(directory({b"f": node}), ("/blob",)), io.BytesIO(), io.BytesIO(), [512])
    assert caught.value.reason in ("file-size", "side-size")


def test_many_large_tables_are_refused(maker: Maker, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(disk, "MAX_INDEX", 1 << 19)
    nodes = {b"%d" % number: maker.sparse(1 << 27, (4096, b"x" * 4096)) for number in range(3)}
    maker.write(directory(nodes))
    nodes |= {b"more %d" % number: maker.sparse(1 << 27, (4096, b"x" * 4096)) for number in range(3)}
    with pytest.raises(TreeError) as caught:
        maker.write(directory(nodes))
    assert caught.value.reason == "index-size"


def test_attributes_that_all_members_share_are_refused_where_they_become_too_large(
    maker: Maker, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(disk, "MAX_INDEX", 1 << 19)
    xattrs = ((b"user.large", b"x" * 60_000),)  # as a global pax header gives them
    maker.write(directory({b"%d" % number: Node(Kind.FILE, xattrs=xattrs) for number in range(8)}))
    with pytest.raises(TreeError) as caught:
        maker.write(directory({b"%d" % number: Node(Kind.FILE, xattrs=xattrs) for number in range(9)}))
    assert caught.value.reason == "index-size"


def test_a_blob_that_lost_its_end_is_named(tmp_path: Path) -> None:
    blob = tmp_path / "blob"
    blob.write_bytes(b"x" * 600)
    node = Node(Kind.FILE, size=800, extents=(Extent(0, 10, 800),))
    with pytest.raises(TreeError, match="blob is shorter") as caught:
        write_index(Tree(directory({b"f": node}), (str(blob),)), io.BytesIO(), io.BytesIO(), [1024])
    assert caught.value.reason == "blob"


@st.composite
def sparse_files(draw: st.DrawFn) -> tuple[int, list[tuple[int, bytes]], int]:
    edges = st.sampled_from([0, 1, 3, 511, 512, 513, 1024, 4095, 4096, 4097, 12_288])
    parts, position = [], 0
    for number in range(draw(st.integers(0, 6))):
        position += draw(edges)
        length = draw(edges.filter(bool))
        parts.append((position, bytes([number + 1]) * length))
        position += length
    return position + draw(edges), parts, draw(st.sampled_from([0, 0, 1, 200, 511]))


@settings(max_examples=150)
@given(files=st.lists(sparse_files(), min_size=1, max_size=4), cut=st.integers(0, 600))
def test_any_sparse_file_reads_back(
    tmp_path_factory: pytest.TempPathFactory, files: list[tuple[int, list[tuple[int, bytes]], int]], cut: int
) -> None:
    maker = Maker(tmp_path_factory.mktemp("sparse"))
    root = directory()
    for number, (size, parts, shift) in enumerate(files):
        root.children[b"%d" % number] = maker.sparse(size, *parts, shift=shift)
    # The archive may end anywhere behind the last byte that a file needs.
    used = max([extent.offset + extent.length for node in root.children.values() for extent in node.extents], default=0)
    maker.blobs[0] = (maker.blobs[0] + bytes(1024))[: used + cut]
    index, reader = maker.write_all(root)
    found = reader.walk()
    for number, (size, parts, _) in enumerate(files):
        assert reader.read(found[b"%d" % number]) == expected(size, *parts)
    # A byte in the side blob is there because a file needs it: at worst each part brings its own blocks.
    assert index.side_size <= sum(len(part) + 2 * 512 for _, parts, _ in files for _, part in parts) * 4
