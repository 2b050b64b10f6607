"""The records of the format one by one, against facts that come from elsewhere."""

from __future__ import annotations

import os

import pytest
from hypothesis import given
from hypothesis import strategies as st

from stages.base.errors import TreeError
from stages.trees import erofs_layout as disk
from stages.trees.erofs_chunks import chunk_bits


def test_checksum_is_castagnoli_without_the_last_inversion() -> None:
    # RFC 3720, B.4, gives these with the inversion and as bytes in order.
    for data, shown in ((b"123456789", 0xE3069283), (bytes(32), 0x8A9136AA), (b"\xff" * 32, 0x62A8AB43)):
        assert disk.crc32c(data) ^ 0xFFFFFFFF == shown


def test_records_have_the_sizes_of_the_format() -> None:
    assert len(disk.superblock(root=1, inodes=1, blocks=1, devices=1)) == 128
    assert len(disk.device(513)) == disk.DEVICE_SIZE == 128
    assert (disk.INODE.size, disk.DIRENT.size, disk.CHUNK.size) == (64, 12, 8)


@given(st.integers(0, 4095), st.integers(0, (1 << 20) - 1))
def test_device_numbers_are_what_the_kernel_makes_of_them(major: int, minor: int) -> None:
    assert disk.device_number(major, minor) == os.makedev(major, minor)


@given(st.lists(st.builds(bytes, st.integers(1, 255)), min_size=20, max_size=80))
def test_a_directory_block_is_filled_before_the_next_one(names: list[bytes]) -> None:
    names = [b".", b"..", *names]
    ends, used = disk.directory_blocks(names)
    blocks = [names[start:end] for start, end in zip([0, *ends], ends, strict=False)]
    assert [name for block in blocks for name in block] == names
    taken = [sum(12 + len(name) for name in block) for block in blocks]
    assert max(taken) <= 512
    assert taken[-1] == used
    assert all(size + 12 + len(block[0]) > 512 for size, block in zip(taken, blocks[1:], strict=False))
    assert all(len(disk.directory_block([(name, 1, 1) for name in block])) <= 512 for block in blocks)


@given(st.integers(0, 1000), st.integers(16, 1000), st.integers(1, 511))
def test_what_goes_beside_an_inode_stays_in_one_block(slot: int, words: int, used: int) -> None:
    position, head = slot * 32, words * 4
    gap = disk.gap(position, head, used)
    starts = [(position + step + head) % 512 for step in range(0, 512, 32)]
    if gap < 0:
        assert all(start + used > 512 for start in starts)
    else:
        assert gap % 32 == 0
        assert (position + gap + head) % 512 + used <= 512


@given(st.integers(1, disk.MAX_CHUNK))
def test_chunks_are_no_larger_than_a_file_needs(size: int) -> None:
    bits = chunk_bits(size)
    assert size <= 512 << bits
    assert bits == 0 or size > 512 << (bits - 1)


def test_one_attribute_too_many_bytes_is_refused() -> None:
    most = tuple((b"user.%d" % number, bytes(65_532)) for number in range(3))
    room = 262_148 - len(disk.xattr_body(most))
    fits = (b"user.9", bytes(room - 4 - 1 - 3))
    assert len(disk.xattr_body((*most, fits))) == 262_148
    assert disk.xattr_words(disk.xattr_body((*most, fits))) == 0xFFFF
    with pytest.raises(TreeError):
        disk.xattr_body((*most, (b"user.9", bytes(room))))
