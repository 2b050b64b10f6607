"""The index as an independent reader sees it: nothing is lost, nothing lies where a kernel would refuse it."""

from __future__ import annotations

import io
from pathlib import Path
from typing import Any

import pytest

from stages.base.errors import TreeError
from stages.images.entry import Extent, Kind
from stages.trees.erofs import write_index
from stages.trees.model import Node, Tree
from tests.trees.erofs_maker import Maker, directory, symlink
from tests.trees.erofs_reader import Reader, crc32c

EDGES = (0, 1, 511, 512, 513, 1023, 1024, 4095, 4096, 4097, 70_000)


@pytest.fixture
def maker(tmp_path: Path) -> Maker:
    return Maker(tmp_path)


def pattern(size: int, seed: int = 1) -> bytes:
    """Bytes that are never zero, so that a hole or a wrong place shows."""
    return bytes((seed + position) % 255 + 1 for position in range(min(size, 4096))) * (size // 4096 + 1)


def test_checksum_of_the_tests_is_the_castagnoli_one() -> None:
    assert crc32c(b"123456789") ^ 0xFFFFFFFF == 0xE3069283


def test_superblock_names_features_and_devices(maker: Maker) -> None:
    maker.blobs.append(bytearray(1024))
    maker.blobs.append(bytearray(512 * 70_000))
    index, reader = maker.write_all(directory())
    assert reader.compat == 1
    assert reader.incompat == 4 | 8
    assert reader.device_blocks() == [1, 2, 70_000]
    assert reader.blocks * 512 == index.size
    assert reader.inodes == index.inodes == 1
    assert reader.uuid[6] >> 4 == 8
    reader.walk()


def test_every_kind_and_attribute_comes_back(maker: Maker) -> None:
    owner: dict[str, Any] = {"uid": 4_294_967_294, "gid": 3_000_000_000}
    root = directory(
        {
            b"file": maker.file(b"hello", mode=0o4755, mtime_ns=-1, **owner),
            b"empty": maker.file(b"", mtime_ns=1_700_000_000_123_456_789),
            b"link": symlink(b"../file", **owner),
            b"char": Node(Kind.CHAR, 0o666, major=4095, minor=1_048_575, **owner),
            b"block": Node(Kind.BLOCK, 0o660, major=8, minor=300),
            b"fifo": Node(Kind.FIFO, 0o600, mtime_ns=-5_000_000_001),
            b"dir": directory(mode=0o3777, **owner),
        },
        mode=0o1751,
        mtime_ns=7,
    )
    found = maker.write(root).walk()
    shown = {
        path: (oct(inode.mode), inode.uid, inode.gid, inode.links, inode.mtime_ns) for path, inode in found.items()
    }
    large = (4_294_967_294, 3_000_000_000)
    assert shown == {
        b"": ("0o41751", 0, 0, 3, 7),
        b"file": ("0o104755", *large, 1, -1),
        b"empty": ("0o100755", 0, 0, 1, 1_700_000_000_123_456_789),
        b"link": ("0o120777", *large, 1, 0),
        b"char": ("0o20666", *large, 1, 0),
        b"block": ("0o60660", 0, 0, 1, 0),
        b"fifo": ("0o10600", 0, 0, 1, -5_000_000_001),
        b"dir": ("0o43777", *large, 2, 0),
    }
    assert found[b"char"].device == (4095, 1_048_575)
    assert found[b"block"].device == (8, 300)


@pytest.mark.parametrize("size", EDGES)
def test_data_is_found_in_the_blob_and_not_copied(maker: Maker, size: int) -> None:
    before, data = maker.file(pattern(size, 7)), pattern(size)[:size]
    index, reader = maker.write_all(directory({b"a": before, b"f": maker.file(data), b"z": maker.file(b"after")}))
    found = reader.walk()
    assert reader.read(found[b"f"]) == data
    assert index.side_size == 0
    assert index.size < 3072


def test_same_tree_gives_same_bytes_whatever_the_order(maker: Maker) -> None:
    names = [b"one", b"two", b"three"]
    nodes = {name: maker.file(name, xattrs=((b"user.n", name),)) for name in names}
    first = maker.write(directory(dict(nodes))).image
    assert maker.write(directory({name: nodes[name] for name in reversed(names)})).image == first
    nodes[b"two"].mtime_ns += 1
    other = maker.write(directory(dict(nodes)))
    assert other.image[1024 + 48 : 1024 + 64] != first[1024 + 48 : 1024 + 64]


def test_hard_links_are_one_inode_with_all_its_names(maker: Maker) -> None:
    file, link, device = maker.file(b"x"), symlink(b"y"), Node(Kind.CHAR, major=1, minor=3)
    lower = directory({b"f": file, b"l": link, b"d": device})
    names = {b"a": lower, b"f": file, b"g": file, b"l": link, b"z": directory({b"d": device})}
    found = maker.write(directory(names)).walk()
    assert found[b"a/f"].nid == found[b"f"].nid == found[b"g"].nid
    assert [found[path].links for path in (b"f", b"l", b"a/d", b"a", b"")] == [3, 2, 2, 2, 4]


def test_names_sort_as_bytes_around_the_dots(maker: Maker) -> None:
    names = [b"!", b"-", b"..a", b".a", b".\x01", b"\x01", b"\xff\xfe", b"a\nb", b"0", b"n" * 255, b"\xc3\xa9"]
    found = maker.write(directory({name: maker.file(name) for name in names})).walk()
    assert found.keys() == {b"", *names}


@pytest.mark.parametrize("count", [0, 1, 19, 20, 21, 41, 42, 43, 5000])
@pytest.mark.parametrize("length", [4, 12, 255])
def test_directories_of_any_size(maker: Maker, count: int, length: int) -> None:
    shared = maker.file(b"same")
    names = [b"%0*d" % (length, number) for number in range(count)]
    reader = maker.write(directory({b"in": directory(dict.fromkeys(names, shared)), b"out": maker.file(b"x")}))
    found = reader.walk()
    assert found.keys() == {b"", b"in", b"out", *(b"in/" + name for name in names)}
    assert reader.read(found[b"out"]) == b"x"


@pytest.mark.parametrize("length", [1, 63, 64, 383, 384, 385, 447, 448, 449, 511, 512, 513, 1024, 4095])
@pytest.mark.parametrize("value", [None, b"", b"v" * 300])
def test_links_of_any_length_stay_inside_blocks(maker: Maker, length: int, value: bytes | None) -> None:
    xattrs = () if value is None else ((b"trusted.x", value),)
    root = directory({b"%d" % number: symlink(pattern(length)[:length], xattrs=xattrs) for number in range(9)})
    reader = maker.write(root)
    found = reader.walk()
    assert {reader.read(found[b"%d" % number]) for number in range(9)} == {pattern(length)[:length]}


def test_xattrs_of_every_kind_and_size_come_back(maker: Maker) -> None:
    acl = bytes.fromhex("0200000001000600ffffffff")
    xattrs = (
        (b"security.capability", b"\1\0\0\2" + bytes(16)),
        (b"system.posix_acl_access", acl),
        (b"system.posix_acl_default", acl),
        (b"trusted.overlay.opaque", b"y"),
        (b"user." + b"n" * 250, b""),
        (b"user.a", b"1"),
        (b"user.long", pattern(65_535)[:65_535]),
    )
    nodes = {
        b"dir": directory({b"x": maker.file(b"1")}, xattrs=xattrs),
        b"file": maker.file(b"data" * 300, xattrs=xattrs),
        b"link": symlink(b"target", xattrs=xattrs[:1]),
        b"fifo": Node(Kind.FIFO, xattrs=xattrs[3:6]),
        b"none": maker.file(b""),
    }
    reader = maker.write(directory(nodes))
    found = reader.walk()
    assert found[b"dir"].xattrs == found[b"file"].xattrs == dict(xattrs)
    assert found[b"link"].xattrs == dict(xattrs[:1])
    assert found[b"fifo"].xattrs == dict(xattrs[3:6])
    assert found[b"none"].xattrs == {}
    assert reader.read(found[b"file"]) == b"data" * 300
    assert reader.read(found[b"link"]) == b"target"


def test_files_come_from_the_blob_that_holds_them(maker: Maker) -> None:
    maker.blobs += [bytearray(), bytearray(5 * 512)]
    root = directory({b"%d" % blob: maker.file(b"%d" % blob * 700, blob=blob) for blob in (2, 0, 1)})
    reader = maker.write(root)
    found = reader.walk()
    for blob in range(3):
        assert reader.read(found[b"%d" % blob]) == b"%d" % blob * 700
        assert reader.extent(found[b"%d" % blob], 0)[0] == blob + 1


def test_a_thousand_directories_deep(maker: Maker) -> None:
    root = node = directory()
    for _ in range(1000):
        node.children[b"d"] = directory()
        node = node.children[b"d"]
    node.children[b"f"] = maker.file(b"bottom")
    assert len(maker.write(root).walk()) == 1002


@pytest.mark.parametrize(
    ("size", "bits"), [((1 << 32) - 1, 23), ((1 << 32) + 1, 24), (1 << 40, 31), ((1 << 40) + 1, 31)]
)
def test_files_above_four_gibibytes_need_few_chunks(size: int, bits: int) -> None:
    start = 1 << 20
    node = Node(Kind.FILE, size=size, extents=(Extent(0, start, size),))
    out = io.BytesIO()
    write_index(Tree(directory({b"large": node}), ("/blob",)), out, io.BytesIO(), [(start + size + 511) & -512])
    reader = Reader(out.getvalue())
    nid = {name: nid for name, nid, _ in reader.list(reader.inode(reader.root))}[b"large"]
    inode = reader.inode(nid)
    assert (inode.size, inode.address & 0x1F) == (size, bits)
    assert reader.extent(inode, 0) == (1, start, min(size, 1 << 40))
    assert reader.extent(inode, size - 1) == (1, start + size - 1, 1)


def refused(root: Node, blob_size: int = 1 << 20, blobs: int = 1) -> str:
    """The reason for which a tree cannot become an index."""
    tree = Tree(root, tuple(f"/blob-{number}" for number in range(blobs)))
    with pytest.raises(TreeError) as caught:
        write_index(tree, io.BytesIO(), io.BytesIO(), [blob_size] * blobs)
    return caught.value.reason


def test_errors_name_the_file() -> None:
    tree = Tree(directory({b"a": directory({b"b\xff": symlink(b"")})}), ())
    with pytest.raises(TreeError, match=r"^/a/b\\xff: "):
        write_index(tree, io.BytesIO(), io.BytesIO(), [])


@pytest.mark.parametrize(
    ("node", "reason"),
    [
        (symlink(b""), "link"),
        (symlink(b"x" * 4096), "link"),
        (symlink(b"a\0b"), "link"),
        (Node(Kind.CHAR, major=4096), "device-number"),
        (Node(Kind.BLOCK, minor=1 << 20), "device-number"),
        (Node(Kind.FIFO, uid=0xFFFFFFFF), "owner"),
        (Node(Kind.FIFO, gid=-1), "owner"),
        (Node(Kind.FIFO, mtime_ns=10**30), "time"),
        (Node(Kind.FIFO, xattrs=((b"user.x", bytes(65_536)),)), "xattr"),
        (Node(Kind.FIFO, xattrs=((b"system.nfs4_acl", b""),)), "xattr"),
        (Node(Kind.FIFO, xattrs=((b"user.", b""),)), "xattr"),
        (Node(Kind.FIFO, xattrs=((b"user." + b"n" * 251, b""),)), "xattr"),
        (Node(Kind.FIFO, xattrs=tuple((b"user.%d" % n, bytes(60_000)) for n in range(5))), "xattr"),
        (Node(Kind.FILE, size=1 << 63), "file-size"),
        (Node(Kind.FILE, size=10, extents=(Extent(0, 1 << 20, 10),)), "extents"),
        (Node(Kind.FILE, size=10, extents=(Extent(0, 0, 11),)), "extents"),
        (Node(Kind.FILE, size=10, extents=(Extent(0, 0, 6), Extent(5, 512, 5))), "extents"),
        (Node(Kind.FILE, size=10, extents=(Extent(5, 0, 1), Extent(0, 512, 1))), "extents"),
        (Node(Kind.FILE, size=10, extents=(Extent(0, -512, 10),)), "extents"),
        (directory({b"n" * 256: directory()}), "name"),
        (directory({b"": directory()}), "name"),
        (directory({b".": directory()}), "name"),
        (directory({b"..": directory()}), "name"),
        (directory({b"a/b": directory()}), "name"),
        (directory({b"a\0b": directory()}), "name"),
    ],
    ids=str,
)
def test_what_the_format_cannot_hold_is_refused(node: Node, reason: str) -> None:
    assert refused(directory({b"node": node})) == reason


def test_roots_blobs_and_their_sizes_are_checked() -> None:
    assert refused(symlink(b"x")) == "root"
    assert refused(directory(), blobs=20_000) == "blobs"
    assert refused(directory(), blob_size=(1 << 41) + 512) == "blob-size"


def test_as_many_blobs_as_the_root_leaves_room_for() -> None:
    count = 16_370
    out = io.BytesIO()
    write_index(Tree(directory(), ("/blob",) * count), out, io.BytesIO(), [512] * count)
    reader = Reader(out.getvalue())
    assert (reader.extra, len(reader.walk())) == (count, 1)
    assert refused(directory(), blobs=count + 1) == "blobs"
