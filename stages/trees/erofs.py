"""A tree as an index: one EROFS image that holds names and attributes and points into the stored archives for data."""

from __future__ import annotations

from collections.abc import Sequence
from typing import BinaryIO

from stages.base.errors import TreeError
from stages.base.records import NamedTuple
from stages.images.entry import Kind
from stages.trees import descent
from stages.trees import erofs_layout as disk
from stages.trees.erofs_chunks import Blob, Side, chunk_bits, table
from stages.trees.model import Node, Tree, linked

# name, nid, type
_Entry = tuple[bytes, int, int]


class Index(NamedTuple):
    """What was written. side_size: bytes of the side blob; when not 0, it is mounted behind the blobs."""

    size: int
    inodes: int
    side_size: int


def write_index(tree: Tree, out: BinaryIO, side: BinaryIO, blob_sizes: Sequence[int]) -> Index:
    """Write `tree` to `out` as an EROFS image without file data, which the kernel finds in the blobs.

    blob_sizes: the size of each of tree.blobs, in bytes. side: an empty file, open for writing and seekable, that
    takes the data that no block of a blob holds as it is needed; nearly always nothing. Equal trees over blobs of
    equal sizes give equal bytes. Raises TreeError, which names the file, where the format has no room for it.
    """
    assert len(tree.blobs) == len(blob_sizes)
    writer = _Writer(tree, side, blob_sizes)
    image = writer.write(tree.root)
    writer.side.finish()
    out.write(image)
    return Index(len(image), writer.inodes, writer.side.size)


class _Directory(NamedTuple):
    """A directory that has its place but not yet its content.

    path: for messages. names: sorted, with "." and "..". ends: where its blocks end, as indices into names.
    tail: where in the image its last block goes, or -1 when that is one of the blocks from `blocks` on.
    """

    node: Node
    nid: int
    parent: int
    path: bytes
    names: list[bytes]
    ends: list[int]
    tail: int
    blocks: int


class _Writer:
    """One walk over the tree: inodes lie in the order in which directories list them.

    A directory's inode, and room for its content, is placed with its parent's names; the content is filled in when
    its turn comes, because it holds the numbers of the inodes that it lists.
    """

    def __init__(self, tree: Tree, side: BinaryIO, blob_sizes: Sequence[int]) -> None:
        sizes = zip(tree.blobs, blob_sizes, strict=True)
        self.blobs = [Blob(path, number, size) for number, (path, size) in enumerate(sizes, 1)]
        if len(self.blobs) > disk.MAX_DEVICES:
            raise TreeError(f"a tree over {len(self.blobs)} archives is above {disk.MAX_DEVICES}", reason="blobs")
        for blob in self.blobs:
            if blob.size > disk.MAX_BLOB:
                raise TreeError(f"the archive {blob.path} exceeds the limit of 2 TiB", reason="blob-size")
        self.side = Side(side, len(self.blobs) + 1)
        self.inodes = 0
        # Room for the side blob's slot too: whether it is needed is known only when all inodes have their places.
        self.image = bytearray(disk.DEVICES_OFFSET + disk.DEVICE_SIZE * (len(self.blobs) + 1))
        self.blocks = bytearray()
        self.moved: list[int] = []
        self.linked = linked(tree.root)
        self.placed: dict[Node, int] = {}  # of the linked ones
        self.links: dict[Node, int] = {}

    def write(self, root: Node) -> bytearray:
        """The whole image."""
        if root.kind is not Kind.DIRECTORY:
            raise TreeError("the root of a tree is not a directory", reason="root")
        root_nid = self._walk(root)
        for node, count in self.links.items():
            disk.ADDRESS.pack_into(self.image, (self.placed[node] << disk.SLOT_BITS) + disk.NLINK_OFFSET, count)
        image = self.image
        image += bytes(-len(image) % disk.BLOCK)
        self._join_blocks()
        sizes = [blob.size for blob in self.blobs] + ([self.side.size] if self.side.size else [])
        slots = b"".join([disk.device(size) for size in sizes])
        image[disk.DEVICES_OFFSET : disk.DEVICES_OFFSET + len(slots)] = slots
        disk.seal(image, root=root_nid, inodes=self.inodes, devices=len(sizes))
        return image

    def _join_blocks(self) -> None:
        """Put the blocks behind the inodes, whose addresses were counted from 0 so far."""
        base = len(self.image) >> disk.BLOCK_BITS
        for position in self.moved:
            disk.ADDRESS.pack_into(self.image, position, base + disk.ADDRESS.unpack_from(self.image, position)[0])
        self.image += self.blocks

    def _walk(self, root: Node) -> int:
        """Place everything; the nid of the root."""
        first = self._directory(root, -1, b"")
        stack = [first]
        while stack:
            directory = stack.pop()
            entries, found = self._children(directory)
            self._content(directory, entries)
            stack += reversed(found)
        return first.nid

    def _children(self, directory: _Directory) -> tuple[list[_Entry], list[_Directory]]:
        """Place what a directory lists; its entries, and the directories among them."""
        children = directory.node.children
        entries: list[_Entry] = []
        found: list[_Directory] = []
        for name in directory.names:
            child = children.get(name)
            if child is None:  # "." or "..": no child has such a name
                entries.append((name, directory.nid if name == b"." else directory.parent, disk.DIRECTORY_TYPE))
                continue
            kind = child.kind
            try:
                if kind is Kind.DIRECTORY:
                    found.append(self._directory(child, directory.nid, directory.path + b"/" + name))
                    nid = found[-1].nid
                elif child in self.placed:
                    nid = self.placed[child]
                    self.links[child] = self.links.get(child, 1) + 1
                else:
                    nid = self._place(child)
            except TreeError as error:
                raise _named(directory.path + b"/" + name, error) from None
            entries.append((name, nid, disk.KINDS[kind][1]))
        return entries, found

    def _content(self, directory: _Directory, entries: Sequence[_Entry]) -> None:
        start = 0
        position = directory.blocks
        for end in directory.ends:
            data = disk.directory_block(entries[start:end])
            if end == len(entries) and directory.tail >= 0:
                self.image[directory.tail : directory.tail + len(data)] = data
            else:
                self.blocks[position : position + len(data)] = data
            position += disk.BLOCK
            start = end

    def _directory(self, node: Node, parent: int, path: bytes) -> _Directory:
        names = disk.checked_names(node)
        ends, used = disk.directory_blocks(names)
        subdirectories = sum(1 for child in node.children.values() if child.kind is Kind.DIRECTORY)
        size = (len(ends) - 1) * disk.BLOCK + used
        nid, tail = self._body(node, size, used, 2 + subdirectories)
        blocks = len(self.blocks)
        self.blocks += bytes((len(ends) - (tail >= 0)) * disk.BLOCK)
        return _Directory(node, nid, nid if parent < 0 else parent, path, names, ends, tail, blocks)

    def _place(self, node: Node) -> int:
        """Write the inode of anything but a directory; its nid."""
        kind = node.kind
        if kind is Kind.FILE:
            return self._file(node)
        if kind is Kind.SYMLINK:
            return self._symlink(node)
        address = 0 if kind is Kind.FIFO else disk.device_number(node.major, node.minor)
        return self._inode(node, disk.FLAT_PLAIN, disk.xattr_body(node.xattrs), 0, address)

    def _file(self, node: Node) -> int:
        size = node.size
        xattrs = disk.xattr_body(node.xattrs)
        if not 0 <= size <= disk.MAX_SIZE:
            raise TreeError(f"a size of {size} bytes is out of range", reason="file-size")
        if not size:
            return self._inode(node, disk.FLAT_PLAIN, xattrs, 0, disk.NO_BLOCK)
        assert 0 <= node.blob < len(self.blobs), "a file lies in an archive that its tree does not name"
        blob = self.blobs[node.blob]
        place = node.place
        if (
            isinstance(place, int)
            and size <= disk.MAX_CHUNK
            and not place % disk.BLOCK
            and 0 <= place <= blob.whole - size
        ):
            bits = chunk_bits(size)
            chunks = disk.CHUNK.pack(place >> disk.BLOCK_BITS << 32 | blob.number << 16)
        else:
            bits, chunks = table(node, blob, self.side)
            self._check_size(len(chunks))
        # The chunks begin where one could.
        chunks = bytes(-len(xattrs) % disk.CHUNK.size) + chunks if xattrs else chunks
        return self._inode(node, disk.CHUNKED, xattrs, size, disk.CHUNK_INDEXES | bits, body=chunks)

    def _symlink(self, node: Node) -> int:
        target = node.target
        if not 0 < len(target) <= disk.MAX_LINK or b"\0" in target:
            raise TreeError(f"a symbolic link's text of {len(target)} bytes is out of range", reason="link")
        nid, tail = self._body(node, len(target), len(target), 1)
        if tail < 0:
            self.blocks += target + bytes(-len(target) % disk.BLOCK)
        else:
            self.image[tail : tail + len(target)] = target
        return nid

    def _body(self, node: Node, size: int, used: int, links: int) -> tuple[int, int]:
        """Write the inode of a directory or link of `size` bytes, the last block of which uses `used`.

        Returns its nid and the room in the image for the last block, or -1 when that is not beside the inode: it
        must not cross a block's end there. All other blocks come next in self.blocks.
        """
        xattrs = disk.xattr_body(node.xattrs)
        gap = disk.gap(len(self.image), disk.INODE_SIZE + len(xattrs), used)
        beside = gap >= 0
        self.image += bytes(max(gap, 0))
        address = disk.NO_BLOCK
        if size != used or not beside:
            address = len(self.blocks) >> disk.BLOCK_BITS
            self.moved.append(len(self.image) + disk.ADDRESS_OFFSET)
        layout, body = (disk.FLAT_INLINE, bytes(used)) if beside else (disk.FLAT_PLAIN, b"")
        tail = len(self.image) + disk.INODE_SIZE + len(xattrs) if beside else -1
        return self._inode(node, layout, xattrs, size, address, links, body), tail

    def _inode(
        self, node: Node, layout: int, xattrs: bytes, size: int, address: int, links: int = 1, body: bytes = b""
    ) -> int:
        """Append an inode, its attributes and the `body` behind them, up to where the next one may start; its nid."""
        seconds, nanoseconds = divmod(node.mtime_ns, 1_000_000_000)
        if not (0 <= node.uid <= disk.MAX_ID and 0 <= node.gid <= disk.MAX_ID):
            raise TreeError(f"the owner {node.uid}:{node.gid} is out of range", reason="owner")
        if not -(1 << 63) <= seconds < 1 << 63:
            raise TreeError("the modification time is out of range", reason="time")
        if xattrs:
            self._check_size(len(xattrs))
        nid = len(self.image) >> disk.SLOT_BITS
        self.inodes += 1
        mode = node.mode & 0o7777 | disk.KINDS[node.kind][0]
        self.image += disk.INODE.pack(
            layout, disk.xattr_words(xattrs), mode, 0, size, address, self.inodes & 0xFFFFFFFF,
            node.uid, node.gid, seconds, nanoseconds, links,
        )  # fmt: skip
        self.image += xattrs + body + bytes(-(len(xattrs) + len(body)) % disk.SLOT)
        if node in self.linked:
            self.placed[node] = nid
        return nid

    def _check_size(self, more: int) -> None:
        """Of what a few bytes of an archive can make large: chunk tables, and attributes said once for all members."""
        if len(self.image) + more > disk.MAX_INDEX:
            raise TreeError(f"the index would exceed {disk.MAX_INDEX} bytes", reason="index-size")


def _named(path: bytes, error: TreeError) -> TreeError:
    return TreeError(f"{descent.text(path)}: {error.sentence}", hint=error.hint, reason=error.reason)
