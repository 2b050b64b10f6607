"""How EROFS lies on disk, as far as an index over other files needs it: its records and its limits.

Everything is little endian. A block is 512 bytes, so that every member of a tar archive starts on one. From byte 0:
1024 unused bytes, the superblock, the device table (one slot per blob), the inodes, and the blocks of what does not
fit beside its inode. An inode's number (nid) is its byte position divided by 32. Source of each rule: the format's
definition in the Linux kernel, fs/erofs/erofs_fs.h, and what the kernel checks when it reads.
"""

from __future__ import annotations

import hashlib
import struct
from collections.abc import Sequence

from stages.base.errors import TreeError
from stages.images.entry import Kind
from stages.trees.model import Node

BLOCK_BITS = 9
BLOCK = 1 << BLOCK_BITS
SLOT_BITS = 5
SLOT = 1 << SLOT_BITS

SUPER_OFFSET = 1024
DEVICES_OFFSET = SUPER_OFFSET + 128
DEVICE_SIZE = 128

# The root's nid is a 16-bit field, and before the root come the device table with the side blob's slot and a gap.
MAX_DEVICES = ((1 << 16) * SLOT - DEVICES_OFFSET - BLOCK) // DEVICE_SIZE - 1
# Block addresses have 32 bits; all ones means "a hole".
NO_BLOCK = 0xFFFFFFFF
MAX_BLOB = NO_BLOCK * BLOCK
MAX_CHUNK_BITS = 31
MAX_CHUNK = BLOCK << MAX_CHUNK_BITS
# Not the format's limit but ours: the image is made in memory, and a small hostile archive could fill that.
MAX_INDEX = 1 << 30
MAX_NAME = 255
MAX_LINK = 4095
MAX_SIZE = (1 << 63) - 1
MAX_ID = 0xFFFFFFFE
MAX_XATTR_VALUE = 0xFFFF

# (version << 0) | (layout << 1): always the 64-byte inode, which alone has its own time, 32-bit ids and long sizes.
FLAT_PLAIN = 1 | 0 << 1
FLAT_INLINE = 1 | 2 << 1
CHUNKED = 1 | 4 << 1
CHUNK_INDEXES = 0x20

MAGIC = 0xE0F5E1E2
COMPAT_CHECKSUM = 1
INCOMPAT_CHUNKED_DEVICES = 4 | 8

INODE_SIZE = 64
ADDRESS_OFFSET = 16
NLINK_OFFSET = 44
# format, words of xattrs, mode, reserved, size, address or device or chunk format, number, uid, gid, s, ns, links
INODE = struct.Struct("<HHHHQIIIIqII16x")
DIRENT = struct.Struct("<QHBx")
ADDRESS = struct.Struct("<I")
CHUNK = struct.Struct("<Q")
HOLE = CHUNK.pack(NO_BLOCK << 32)

# kind: (bits of st_mode, type in a directory entry)
KINDS = {
    Kind.FILE: (0o100000, 1),
    Kind.DIRECTORY: (0o040000, 2),
    Kind.CHAR: (0o020000, 3),
    Kind.BLOCK: (0o060000, 4),
    Kind.FIFO: (0o010000, 5),
    Kind.SYMLINK: (0o120000, 7),
}
DIRECTORY_TYPE = KINDS[Kind.DIRECTORY][1]

# An attribute's name is stored as the number of its prefix and the rest; an ACL's rest is empty.
_XATTR_PREFIXES = (
    (b"user.", 1),
    (b"trusted.", 4),
    (b"security.", 6),
)
_XATTR_WHOLE = {b"system.posix_acl_access": 2, b"system.posix_acl_default": 3}
_XATTR_HEADER = bytes(12)

_SUPER = struct.Struct("<IIIBBHQQIIII16s16sIHHHBBIQ24x")
_DEVICE = struct.Struct("<64xII56x")


def superblock(*, root: int, inodes: int, blocks: int, devices: int, uuid: bytes = bytes(16)) -> bytes:
    """The 128 bytes at SUPER_OFFSET. root: a nid. blocks: the whole image's. Checksum, times and name are zero."""
    slot = DEVICES_OFFSET // DEVICE_SIZE
    return _SUPER.pack(
        MAGIC, 0, COMPAT_CHECKSUM, BLOCK_BITS, 0, root, inodes, 0, 0, blocks, 0, 0, uuid, bytes(16),
        INCOMPAT_CHUNKED_DEVICES, 0, devices, slot if devices else 0, 0, 0, 0, 0,
    )  # fmt: skip


def device(size: int) -> bytes:
    """A device table slot for a blob of `size` bytes; not mapped into the image's own addresses."""
    return _DEVICE.pack(blocks_of(size), 0)


def blocks_of(size: int) -> int:
    """How many blocks `size` bytes need."""
    return (size + BLOCK - 1) >> BLOCK_BITS


def device_number(major: int, minor: int) -> int:
    """A device's numbers as the kernel packs them in 32 bits: 12 bits and 20 bits."""
    if not (0 <= major < 1 << 12 and 0 <= minor < 1 << 20):
        raise TreeError(f"device numbers {major}:{minor} do not fit in 12 and 20 bits", reason="device-number")
    return (minor & 0xFF) | major << 8 | (minor & ~0xFF) << 12


def xattr_body(xattrs: Sequence[tuple[bytes, bytes]]) -> bytes:
    """The attributes as they follow an inode: a header and the entries, each padded to four bytes."""
    if not xattrs:
        return b""
    body = bytearray(_XATTR_HEADER)
    for name, value in xattrs:
        number, rest = _split_xattr(name)
        if len(value) > MAX_XATTR_VALUE:
            raise _xattr_error(name, f"has {len(value)} bytes, above the limit of {MAX_XATTR_VALUE}")
        body += struct.pack("<BBH", len(rest), number, len(value)) + rest + value
        body += bytes(-len(body) % 4)
    if xattr_words(body) > 0xFFFF:
        raise TreeError("the extended attributes of one file need more than 262148 bytes", reason="xattr")
    return bytes(body)


def xattr_words(body: bytes | bytearray) -> int:
    """What the inode says of its attributes: 0, or 1 for the header and 1 for each four bytes after it."""
    return 1 + (len(body) - len(_XATTR_HEADER)) // 4 if body else 0


def _split_xattr(name: bytes) -> tuple[int, bytes]:
    if number := _XATTR_WHOLE.get(name):
        return number, b""
    for prefix, number in _XATTR_PREFIXES:
        if name.startswith(prefix) and prefix != name:
            if len(name) > MAX_NAME or b"\0" in name:
                raise _xattr_error(name, "has a name that no kernel takes")
            return number, name[len(prefix) :]
    raise _xattr_error(name, "is of a kind that an index cannot hold")


def _xattr_error(name: bytes, what: str) -> TreeError:
    return TreeError(f"extended attribute {name.decode(errors='backslashreplace')} {what}", reason="xattr")


def directory_blocks(names: Sequence[bytes]) -> tuple[list[int], int]:
    """How sorted names (with "." and "..") fall into a directory's blocks.

    Returns where each block ends, as an index into names, and the bytes that the last block uses. A block has its
    entries first and their names behind them, and is filled before the next one starts.
    """
    ends: list[int] = []
    used = 0
    for position, name in enumerate(names):
        need = DIRENT.size + len(name)
        if used + need > BLOCK:
            ends.append(position)
            used = 0
        used += need
    ends.append(len(names))
    return ends, used


def directory_block(entries: Sequence[tuple[bytes, int, int]]) -> bytes:
    """One block of (name, nid, type), not padded."""
    offset = len(entries) * DIRENT.size
    heads = []
    for name, nid, kind in entries:
        heads.append(DIRENT.pack(nid, offset, kind))
        offset += len(name)
    return b"".join(heads) + b"".join([entry[0] for entry in entries])


def gap(position: int, head: int, used: int) -> int:
    """How far an inode has to move so that `used` bytes behind its `head` stay inside one block.

    -1: they cannot, or they are a whole block, which does not go beside an inode.
    """
    if used == BLOCK:
        return -1
    for step in range(0, BLOCK, SLOT):
        if (position + step + head) % BLOCK + used <= BLOCK:
            return step
    return -1


def checked_names(node: Node) -> list[bytes]:
    """The names in a directory, sorted, with "." and ".."; TreeError for one that no directory can hold."""
    children = node.children
    names = sorted([*children, b".", b".."])
    joined = b"\0".join(names)
    broken = b"/" in joined or joined.count(b"\0") != len(names) - 1
    if broken or b"." in children or b".." in children or not names[0]:
        raise TreeError("a directory has an entry with a name that is not one", reason="name")
    longest = max(map(len, names))
    if longest > MAX_NAME:
        raise TreeError(f"a directory has an entry with a name of {longest} bytes, above {MAX_NAME}", reason="name")
    return names


def seal(image: bytearray, *, root: int, inodes: int, devices: int) -> None:
    """Write the superblock into a finished image: the uuid comes from its content, the checksum covers one block."""
    blocks = len(image) >> BLOCK_BITS
    super_range = slice(SUPER_OFFSET, DEVICES_OFFSET)
    image[super_range] = superblock(root=root, inodes=inodes, blocks=blocks, devices=devices)
    uuid = bytearray(hashlib.sha256(image).digest()[:16])
    uuid[6] = uuid[6] & 0x0F | 0x80  # version 8: of our own making (RFC 9562, 5.8)
    uuid[8] = uuid[8] & 0x3F | 0x80
    image[super_range] = superblock(root=root, inodes=inodes, blocks=blocks, devices=devices, uuid=bytes(uuid))
    checksum = crc32c(image[SUPER_OFFSET : SUPER_OFFSET + BLOCK])
    image[SUPER_OFFSET + 4 : SUPER_OFFSET + 8] = ADDRESS.pack(checksum)


def crc32c(data: bytes | bytearray) -> int:
    """The Castagnoli checksum as the kernel stores it: started with all ones, not inverted at the end."""
    value = 0xFFFFFFFF
    for byte in data:
        value ^= byte
        for _ in range(8):
            value = value >> 1 ^ (0x82F63B78 if value & 1 else 0)
    return value
