"""An EROFS reader of its own, for tests: it shares nothing with the writer and checks what a kernel would rely on."""

from __future__ import annotations

import os
import stat
import struct
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path

HOLE = 0xFFFFFFFF
XATTR_PREFIX = {
    1: b"user.",
    2: b"system.posix_acl_access",
    3: b"system.posix_acl_default",
    4: b"trusted.",
    6: b"security.",
}
TYPES = {1: stat.S_IFREG, 2: stat.S_IFDIR, 3: stat.S_IFCHR, 4: stat.S_IFBLK, 5: stat.S_IFIFO, 7: stat.S_IFLNK}


def crc32c(data: bytes) -> int:
    """Castagnoli, by a table, without the final inversion."""
    table = []
    for byte in range(256):
        for _ in range(8):
            byte = (byte >> 1) ^ (0x82F63B78 * (byte & 1))
        table.append(byte)
    value = 0xFFFFFFFF
    for byte in data:
        value = (value >> 8) ^ table[(value ^ byte) & 0xFF]
    return value


@dataclass
class Inode:
    nid: int
    mode: int
    uid: int
    gid: int
    links: int
    size: int
    mtime_ns: int
    layout: int
    address: int
    body: int
    xattrs: dict[bytes, bytes] = field(default_factory=dict)

    @property
    def kind(self) -> int:
        return stat.S_IFMT(self.mode)

    @property
    def device(self) -> tuple[int, int]:
        # The kernel's 32-bit form: minor 7..0, major 19..8, the rest of minor above.
        return (self.address & 0xFFF00) >> 8, (self.address & 0xFF) | ((self.address >> 12) & 0xFFF00)


class Reader:
    """An image with its devices. Every byte range that a structure takes is remembered, and none may overlap."""

    def __init__(self, image: bytes, devices: Sequence[Path] = ()) -> None:
        self.image = image
        self.devices = devices
        self.taken: dict[tuple[int, int], str] = {}
        (
            magic, self.checksum, self.compat, self.block_bits, slots, self.root, self.inodes, build, build_ns,
            self.blocks, self.meta, shared, self.uuid, name, self.incompat, _, self.extra, self.slot,
            directory_bits, *rest,
        ) = struct.unpack_from("<IIIBBHQQIIII16s16sIHHHBBIQB", image, 1024)  # fmt: skip
        assert magic == 0xE0F5E1E2
        assert (self.block_bits, slots, build, build_ns, self.meta, shared, directory_bits) == (9, 0, 0, 0, 0, 0, 0)
        assert name == bytes(16) and not any(rest)
        first = bytearray(image[1024:1536])
        first[4:8] = bytes(4)
        assert crc32c(bytes(first)) == self.checksum
        self._take("superblock", 0, 1152)
        for number in range(self.extra):
            self._take(f"device {number}", self.slot * 128 + number * 128, 128)

    def device_blocks(self) -> list[int]:
        return [struct.unpack_from("<II", self.image, (self.slot + i) * 128 + 64)[0] for i in range(self.extra)]

    def inode(self, nid: int) -> Inode:
        position = nid * 32
        layout, words, mode, zero, size, address, _, uid, gid, seconds, ns, links = struct.unpack_from(
            "<HHHHQIIIIqII", self.image, position
        )
        assert layout & 1 and not zero and 0 <= ns < 10**9
        body = position + 64
        inode = Inode(nid, mode, uid, gid, links, size, seconds * 10**9 + ns, layout >> 1, address, body)
        if words:
            end = body + 12 + 4 * (words - 1)
            inode.xattrs = dict(self._xattrs(body, end))
            inode.body = end
        self._take(f"inode {nid}", position, inode.body - position)
        return inode

    def _xattrs(self, position: int, end: int) -> Iterator[tuple[bytes, bytes]]:
        assert self.image[position : position + 12] == bytes(12)
        position += 12
        assert position < end, "attributes without an attribute"
        while position < end:
            length, prefix, size = struct.unpack_from("<BBH", self.image, position)
            position += 4
            name = self.image[position : position + length]
            position += length
            yield XATTR_PREFIX[prefix] + name, self.image[position : position + size]
            position += size
            position += -position % 4
        assert position == end

    def extent(self, inode: Inode, offset: int) -> tuple[int, int, int]:
        """(device or HOLE, position there, bytes that follow) of a byte of a file; device 0 is the image."""
        size = inode.size
        if inode.layout in (0, 2):
            whole = size // 512 * 512 if inode.layout == 2 else size
            if offset < whole:
                return 0, inode.address * 512 + offset, whole - offset
            tail = size - whole
            assert inode.body % 512 + tail <= 512, "inline data crosses a block"
            return 0, inode.body + offset - whole, size - offset
        assert inode.layout == 4
        form = inode.address
        assert form & ~0x1F == 0x20
        chunk = 512 << (form & 0x1F)
        table = inode.body + -inode.body % 8
        count = (size + chunk - 1) // chunk
        self._take(f"chunks of {inode.nid}", table, count * 8)
        zero, device, block = struct.unpack_from("<HHI", self.image, table + offset // chunk * 8)
        assert zero == 0
        length = min(chunk - offset % chunk, size - offset)
        if block == HOLE:
            return HOLE, 0, length
        assert 1 <= device <= self.extra
        return device, block * 512 + offset % chunk, length

    def read(self, inode: Inode, offset: int = 0, length: int | None = None) -> bytes:
        """Bytes of a file, directory or link, as the kernel would find them; what lies behind a device's end is 0."""
        end = inode.size if length is None else min(inode.size, offset + length)
        parts = []
        while offset < end:
            device, position, size = self.extent(inode, offset)
            size = min(size, end - offset)
            if device == HOLE:
                parts.append(bytes(size))
            elif device == 0:
                self._take(f"data of {inode.nid} at {offset}", position, size)
                parts.append(self.image[position : position + size])
            else:
                assert position < self.device_blocks()[device - 1] * 512
                with open(self.devices[device - 1], "rb") as file:
                    # A loop device would end at its last whole block.
                    room = os.fstat(file.fileno()).st_size // 512 * 512 - position
                    data = os.pread(file.fileno(), min(size, max(room, 0)), position)
                parts.append(data.ljust(size, b"\0"))
            offset += size
        return b"".join(parts)

    def list(self, inode: Inode) -> list[tuple[bytes, int, int]]:
        """(name, nid, type) of a directory, as it is stored; the order and the blocks are checked."""
        assert inode.kind == stat.S_IFDIR
        data = self.read(inode)
        found: list[tuple[bytes, int, int]] = []
        for start in range(0, len(data), 512):
            block = data[start : start + 512]
            count = struct.unpack_from("<QH", block)[1] // 12
            heads = [struct.unpack_from("<QHBB", block, 12 * number) for number in range(count)]
            ends = [head[1] for head in heads[1:]] + [len(block)]
            for (nid, offset, kind, zero), end in zip(heads, ends, strict=True):
                assert zero == 0
                found.append((block[offset:end].rstrip(b"\0"), nid, TYPES[kind]))
        names = [name for name, _, _ in found]
        assert names == sorted(set(names)), "names are not in order, which lookups need"
        return found

    def walk(self) -> dict[bytes, Inode]:
        """Every path of the image, the root as b"", after a check of all that must hold between them."""
        found: dict[bytes, Inode] = {}
        inodes: dict[int, Inode] = {}
        names: dict[int, int] = {}
        pending = [(b"", self.root, self.root)]
        while pending:
            path, nid, parent = pending.pop()
            inode = inodes.get(nid) or inodes.setdefault(nid, self.inode(nid))
            found[path] = inode
            names[nid] = names.get(nid, 0) + 1
            if inode.kind != stat.S_IFDIR:
                continue
            entries = self.list(inode)
            dots = {name: child for name, child, _ in entries if name in (b".", b"..")}
            assert dots == {b".": nid, b"..": parent}
            for name, child, kind in entries:
                if name not in dots:
                    assert self.inode(child).kind == kind
                    pending.append((path + b"/" + name if path else name, child, nid))
            assert inode.links == 2 + sum(kind == stat.S_IFDIR for name, _, kind in entries if name not in dots)
        assert len(inodes) == self.inodes
        for nid, inode in inodes.items():
            assert inode.kind == stat.S_IFDIR or inode.links == names[nid]
            self.read(inode, 0, min(inode.size, 16 << 20))
        self._check_taken()
        return found

    def _take(self, what: str, position: int, size: int) -> None:
        assert position + size <= len(self.image), f"{what} lies outside the image"
        if size:
            self.taken[position, position + size] = what

    def _check_taken(self) -> None:
        end, before = 0, "nothing"
        for (start, stop), what in sorted(self.taken.items()):
            assert start >= end, f"{what} overlaps {before}"
            end, before = stop, what
