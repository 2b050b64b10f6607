"""Sparse maps made by hand: the four versions, and maps that lie."""

from __future__ import annotations

from pathlib import Path

import pytest

from stages.base.errors import ImageError
from stages.images import sparse
from stages.images.entry import Extent
from tests.images.tar_maker import END, content, entries, header, member, octal, only, padded, pax

GNU = b"ustar  \0"
A, B = b"a" * 512, b"b" * 100
WANTED = bytes(512) + A + bytes(1024) + B + bytes(76)
SIZE = len(WANTED)
MAP = (512, 512, 2048, 100)


def pairs(*numbers: int) -> bytes:
    return b"".join(octal(number, 12) for number in numbers)


def old(numbers: tuple[int, ...], size: int, stored: bytes, more: tuple[tuple[int, ...], ...] = ()) -> bytes:
    tail = bytes(41) + pairs(*numbers).ljust(96, b"\0") + bytes([bool(more)]) + octal(size, 12)
    blocks = [
        pairs(*part).ljust(504, b"\0") + bytes([number < len(more) - 1]) + bytes(7) for number, part in enumerate(more)
    ]
    return header(b"f", b"S", size=len(stored), magic=GNU, tail=tail) + b"".join(blocks) + padded(stored)


def version_0_1(text: bytes, size: int, stored: bytes) -> bytes:
    return pax((b"GNU.sparse.size", b"%d" % size), (b"GNU.sparse.map", text)) + member(b"f", stored)


def version_1(text: bytes, size: int, stored: bytes) -> bytes:
    records = [(b"GNU.sparse.major", b"1"), (b"GNU.sparse.minor", b"0"), (b"GNU.sparse.name", b"real")]
    return pax(*records, (b"GNU.sparse.realsize", b"%d" % size)) + member(b"fake", padded(text) + stored)


def test_the_old_map_of_gnu_tar(tmp_path: Path) -> None:
    archive = old(MAP, SIZE, A + B) + END
    assert content(archive, only(archive, tmp_path)) == WANTED


def test_an_old_map_goes_on_in_further_blocks(tmp_path: Path) -> None:
    places = tuple(number for at in range(0, 30 * 1024, 1024) for number in (at, 512))
    archive = old(places[:8], 30 * 1024, A * 30, (places[8:50], places[50:])) + member(b"next") + END
    first, second = entries(archive, tmp_path)
    assert content(archive, first) == (A + bytes(512)) * 30
    assert second.name == b"next"


def test_pax_maps(tmp_path: Path) -> None:
    version_0_0 = [(b"GNU.sparse.size", b"%d" % SIZE), (b"GNU.sparse.numblocks", b"2")]
    for at in (0, 2):
        version_0_0 += [(b"GNU.sparse.offset", b"%d" % MAP[at]), (b"GNU.sparse.numbytes", b"%d" % MAP[at + 1])]
    commas, lines = b"512,512,2048,100", b"2\n512\n512\n2048\n100\n"
    for archive in (
        pax(*version_0_0) + member(b"f", A + B) + END,
        version_0_1(commas, SIZE, A + B) + END,
        version_1(lines, SIZE, A + B) + END,
    ):
        assert content(archive, only(archive, tmp_path)) == WANTED


def test_a_count_of_no_parts_is_a_map(tmp_path: Path) -> None:
    archive = pax((b"GNU.sparse.size", b"4096"), (b"GNU.sparse.numblocks", b"0")) + member(b"f") + END
    found = only(archive, tmp_path)
    assert (found.size, found.extents) == (4096, ())


def test_the_real_name_of_a_sparse_file_is_in_its_records(tmp_path: Path) -> None:
    assert only(version_1(b"0\n", 0, b"") + END, tmp_path).name == b"real"


def test_a_file_of_one_hole_has_no_extents(tmp_path: Path) -> None:
    found = only(version_0_1(b"4096,0", 4096, b"") + END, tmp_path)
    assert (found.size, found.extents) == (4096, ())


def test_extents_follow_each_other_in_the_archive() -> None:
    assert sparse.extents(MAP, SIZE, 9000, 612, b"f") == (Extent(512, 9000, 512), Extent(2048, 9512, 100))


LIES = {
    "overlap": version_0_1(b"0,512,256,512", 4096, A + A),
    "backwards": version_0_1(b"1024,512,0,512", 4096, A + A),
    "beyond the file": version_0_1(b"0,512,4000,512", 4096, A + A),
    "less than stored": version_0_1(b"0,512", 4096, A + A),
    "more than stored": version_0_1(b"0,512,1024,512", 4096, A),
    "half a map": version_0_1(b"0,512,1024", 4096, A),
    "no numbers": version_0_1(b"0,x", 4096, A),
    "negative": version_0_1(b"-512,512", 4096, A),
    "in the middle of a block": version_0_1(b"0,100,1024,412", 4096, A),
    "impossible size": version_0_1(b"0,512", 2**63, A),
    "map without an end": version_1(b"9\n0\n512\n", 4096, b""),
    "map without lines": version_1(b"1" * 1024, 4096, b""),
    "map of too many parts": version_1(b"999999999\n", 4096, b""),
    "map of NULs": version_1(b"1\n\0\n", 4096, A),
    "unknown version": pax((b"GNU.sparse.size", b"1"), (b"GNU.sparse.major", b"2")) + member(b"f", b"x"),
    "old overlap": old((0, 512, 256, 512), 4096, A + A),
    "size without a map": pax((b"SCHILY.realsize", b"4096")) + member(b"f", b"x"),
    "size in pax without a map": pax((b"GNU.sparse.realsize", b"512")) + member(b"f"),
    "map without a size": pax((b"GNU.sparse.map", b"0,512")) + member(b"f", A),
    "version without a size": pax((b"GNU.sparse.major", b"1"), (b"GNU.sparse.minor", b"0")) + member(b"f", A),
    "two sizes": pax((b"GNU.sparse.realsize", b"600"), (b"GNU.sparse.size", b"700"), (b"GNU.sparse.map", b"0,512"))
    + member(b"f", A),
    "two maps": pax(
        *((b"GNU.sparse.major", b"1"), (b"GNU.sparse.minor", b"0"), (b"GNU.sparse.realsize", b"4096")),
        (b"GNU.sparse.map", b"512,512"),
    )
    + member(b"f", padded(b"1\n0\n512\n") + A),
    "records and an old map": pax((b"GNU.sparse.size", b"4096"), (b"GNU.sparse.map", b"0,512"))
    + old((0, 512), 4096, A),
    "0.0 out of order": pax((b"GNU.sparse.size", b"1"), (b"GNU.sparse.numbytes", b"1")) + member(b"f", b"x"),
}


@pytest.mark.parametrize("archive", LIES.values(), ids=LIES.keys())
def test_maps_that_lie_are_refused(archive: bytes, tmp_path: Path) -> None:
    with pytest.raises(ImageError) as caught:
        entries(archive + END, tmp_path)
    assert caught.value.reason in ("sparse", "pax")


def test_an_endless_chain_of_old_maps_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ImageError) as caught:
        entries(old((0, 0), 4096, b"", ((0, 0) * 21,) * 13000), tmp_path)
    assert caught.value.reason == "sparse"
