"""Writes a merged tree as a directory: bytes, owners, modes, times, links and attributes, and nothing outside it."""

from __future__ import annotations

import contextlib
import errno
import os
import stat
from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING

from stages.base.errors import TreeError
from stages.base.records import NamedTuple
from stages.images.entry import Kind
from stages.linux import workers
from stages.trees import descent
from stages.trees.content import Blobs
from stages.trees.model import Node, Tree, linked

if TYPE_CHECKING:
    from stages.trees.shift import Shift

_NEW_FILE = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC
_ACLS = (b"system.posix_acl_access", b"system.posix_acl_default")
_TYPES = {Kind.CHAR: stat.S_IFCHR, Kind.BLOCK: stat.S_IFBLK, Kind.FIFO: stat.S_IFIFO}


def write(
    tree: Tree, target_fd: int, *, shift: Shift | None, progress: Callable[[int], None], jobs: int | None = None
) -> None:
    """Write `tree` into the empty directory behind `target_fd`, which becomes its root directory.

    Every name is looked up alone, in the descriptor of its directory, and never followed; each directory is closed to
    others until it is whole. shift: added to all owners, those in file capabilities and ACLs too.
    progress: told the bytes of file content that were just written, now and then. jobs: processes that write files;
    as many as there are processors where it is worth their start.

    Raises TreeError (an id outside the shift, nesting too deep, an owner that this user cannot give, an archive that
    ends early) and OSError with the path in the tree as its file name (no space, attributes that the file
    system lacks). What was written until then stays.
    """
    with contextlib.closing(Blobs(tree.blobs, progress)) as blobs:
        writer = _Writer(target_fd, linked(tree.root), blobs, shift)
        with writer.placing():
            folders = writer.directories(tree.root)
        weights = [writer.weight(folder.node) for folder in folders]

        def work(share: range) -> list[int]:
            if share.start:  # another process than this one: it tells nothing itself
                blobs.mute()
            with writer.placing():
                return [writer.files(folders[index]) for index in share]

        written = sum(workers.spread(weights, jobs or workers.worth(weights), work))
        blobs.report()
        progress(written - blobs.told)
        with writer.placing():
            writer.finish(tree.root)
        blobs.report()


class _Folder(NamedTuple):
    """A directory of the tree that is there, and its path from the target on."""

    path: tuple[bytes, ...]
    node: Node


class _Place(NamedTuple):
    """Where an inode got its first name. path: from the target on; identity: device and inode number."""

    path: tuple[bytes, ...]
    identity: tuple[int, int]


@contextlib.contextmanager
def _pinned(name: bytes, directory: int) -> Iterator[str]:
    """A path that leads to this very inode, for the calls that take no descriptor of a link, device or fifo."""
    pin = os.open(name, os.O_PATH | os.O_NOFOLLOW | os.O_CLOEXEC, dir_fd=directory)
    try:
        yield f"/proc/self/fd/{pin}"
    finally:
        os.close(pin)


def _identity(name: bytes, directory: int) -> tuple[int, int]:
    status = os.stat(name, dir_fd=directory, follow_symlinks=False)
    return status.st_dev, status.st_ino


class _Writer:
    """The state of one write: where it is, and which inodes with several names are there already."""

    def __init__(self, target: int, linked: set[Node], blobs: Blobs, shift: Shift | None) -> None:
        self._target = target
        self._linked = linked
        self._blobs = blobs
        self._shift = shift
        self._path: list[bytes] = []
        self._first: dict[Node, _Place] = {}

    @contextlib.contextmanager
    def placing(self) -> Iterator[None]:
        """Say of an error which path in the tree was being written."""
        try:
            yield
        except OSError as error:
            raise OSError(error.errno, os.strerror(error.errno or errno.EIO), self._where()) from error
        except TreeError as error:
            raise TreeError(f"{self._where()}: {error.sentence}", hint=error.hint, reason=error.reason) from error

    def _where(self) -> str:
        return descent.text(b"/".join(self._path) or b"/")

    def directories(self, root: Node) -> list[_Folder]:
        """Make all directories, for us alone; what the target inherited (default ACL) must not reach its children."""
        for name in _ACLS:
            with contextlib.suppress(OSError):
                os.removexattr(self._target, name)
        os.fchmod(self._target, 0o700)
        found: list[_Folder] = []
        self._mkdirs(root, self._target, found)
        return found

    def _mkdirs(self, node: Node, directory: int, found: list[_Folder]) -> None:
        descent.check_depth(len(self._path))
        found.append(_Folder(tuple(self._path), node))
        for name, child in node.children.items():
            if child.kind is Kind.DIRECTORY:
                self._path.append(name)
                os.mkdir(name, 0o700, dir_fd=directory)
                with self._below(name, directory) as below:
                    self._mkdirs(child, below, found)
                self._path.pop()

    @contextlib.contextmanager
    def _below(self, name: bytes, directory: int) -> Iterator[int]:
        below = descent.enter(directory, name)
        try:
            yield below
        finally:
            os.close(below)

    def weight(self, node: Node) -> int:
        """The bytes that `files` has to write in a directory, and the bytes that its other work is like."""
        own = [child for child in node.children.values() if self._is_apart(child)]
        return sum(child.size for child in own) + len(own) * workers.PER_ITEM

    def files(self, folder: _Folder) -> int:
        """Write what has one name only and is no directory; returns the bytes of it."""
        own = [(name, child) for name, child in folder.node.children.items() if self._is_apart(child)]
        if not own:
            return 0
        self._path[:] = folder.path
        directory = descent.reach(self._target, folder.path)
        try:
            for name, child in own:
                self._path.append(name)
                self._make(child, name, directory)
                self._path.pop()
        finally:
            os.close(directory)
        return sum(child.size for _, child in own)

    def _is_apart(self, node: Node) -> bool:
        return node.kind is not Kind.DIRECTORY and node not in self._linked

    def finish(self, root: Node) -> None:
        """Write what has several names, then give the directories their attributes."""
        self._path.clear()
        self._finish(root, self._target)

    def _finish(self, node: Node, directory: int) -> None:
        for name, child in node.children.items():
            self._path.append(name)
            if child.kind is Kind.DIRECTORY:
                with self._below(name, directory) as below:
                    self._finish(child, below)
            elif child in self._linked:
                self._link(child, name, directory)
            self._path.pop()
        # After the children, which change the time, and need no mode but ours and no inherited ACL.
        self._dress(node, directory)

    def _make(self, node: Node, name: bytes, directory: int) -> None:
        if node.kind is Kind.FILE:
            file = os.open(name, _NEW_FILE, 0o600, dir_fd=directory)
            try:
                self._blobs.copy(node, file)
                self._dress(node, file)
            finally:
                os.close(file)
        elif node.kind is Kind.SYMLINK:
            self._symlink(node, name, directory)
        else:
            device = os.makedev(node.major, node.minor)
            os.mknod(name, _TYPES[node.kind] | 0o600, device, dir_fd=directory)
            with _pinned(name, directory) as inode:
                self._dress(node, inode)

    def _symlink(self, node: Node, name: bytes, directory: int) -> None:
        os.symlink(node.target, name, dir_fd=directory)
        self._own(node, name, directory)
        if node.xattrs:
            with _pinned(name, directory) as inode:
                self._xattrs(node, inode, acls=False)
        os.utime(name, ns=(node.mtime_ns, node.mtime_ns), dir_fd=directory, follow_symlinks=False)

    def _link(self, node: Node, name: bytes, directory: int) -> None:
        first = self._first.get(node)
        if first is None:
            self._make(node, name, directory)
            self._first[node] = _Place(tuple(self._path), _identity(name, directory))
            return
        source = descent.reach(self._target, first.path[:-1])
        try:
            os.link(first.path[-1], name, src_dir_fd=source, dst_dir_fd=directory, follow_symlinks=False)
        finally:
            os.close(source)
        if _identity(name, directory) != first.identity:
            raise OSError(errno.ESTALE, "replaced while it was being linked")

    def _dress(self, node: Node, inode: int | str) -> None:
        """Give an inode its attributes, in the one order in which none undoes another.

        A change of owner clears setuid bits and file capabilities; a mode without our write bit forbids user
        attributes to those who are not root; a change of mode changes the mask in an ACL; all but utime move the time
        that utime sets.
        """
        self._own(node, inode)
        if node.xattrs:
            self._xattrs(node, inode, acls=False)
        os.chmod(inode, node.mode)
        if node.xattrs:
            self._xattrs(node, inode, acls=True)
        os.utime(inode, ns=(node.mtime_ns, node.mtime_ns))

    def _xattrs(self, node: Node, inode: int | str, *, acls: bool) -> None:
        for name, value in node.xattrs:
            if (name in _ACLS) is acls:
                os.setxattr(inode, name, self._shift.xattr(name, value) if self._shift else value)

    def _own(self, node: Node, inode: int | str | bytes, directory: int | None = None) -> None:
        """Set the owner of an inode, or, with `directory`, of the link that is named so in it."""
        uid, gid = node.uid, node.gid
        if self._shift:
            uid, gid = self._shift.id(uid), self._shift.id(gid)
        try:
            os.chown(inode, uid, gid, dir_fd=directory, follow_symlinks=directory is None)
        except OSError as error:
            if error.errno not in (errno.EPERM, errno.EINVAL):
                raise
            raise TreeError(
                f"this user cannot give a file to {uid}:{gid}",
                hint="run as root, or in a user namespace that has these ids",
                reason="tree-owner",
            ) from error
