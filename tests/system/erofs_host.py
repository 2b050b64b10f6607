"""What the system tests of the index need of the host: a real disk, a namespace, an idmap, a look at a whole tree."""

from __future__ import annotations

import hashlib
import os
import signal
import stat
import traceback
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path

from stages.images.tar import read_entries
from stages.linux import idmap, kernel
from stages.linux.erofs import Way, mount_index
from stages.trees.erofs import Index, write_index
from stages.trees.merge import Layer, merge
from stages.trees.model import Tree


@dataclass(frozen=True)
class Seen:
    """What stat, readlink, getxattr and read tell of one path. names: all paths of the same inode."""

    mode: int
    uid: int
    gid: int
    size: int
    mtime_ns: int
    device: int
    content: str
    xattrs: tuple[tuple[str, bytes], ...]
    links: int
    names: frozenset[bytes] = frozenset()


def look(root: int, *, content: bool = True) -> dict[bytes, Seen]:
    """Every path below the directory `root`, which is b"" itself; each name is looked up, not only listed.

    content: read the files too.
    """
    seen: dict[bytes, Seen] = {}
    inodes: dict[tuple[int, int], set[bytes]] = {}
    pending = [b""]
    while pending:
        path = pending.pop()
        full = b"/proc/self/fd/%d/%s" % (root, path)
        status = os.lstat(full)
        inodes.setdefault((status.st_dev, status.st_ino), set()).add(path)
        seen[path] = _seen(full, path, status, content)
        if stat.S_ISDIR(status.st_mode):
            pending += [path + b"/" + name if path else name for name in os.listdir(full)]
    groups = {path: frozenset(paths) for paths in inodes.values() for path in paths}
    return {path: replace(what, names=groups[path]) for path, what in seen.items()}


def _seen(full: bytes, path: bytes, status: os.stat_result, read: bool) -> Seen:
    mode = status.st_mode
    # The size and link count of a directory are the file system's own affair; links are counted by look().
    size = 0 if stat.S_ISDIR(mode) else status.st_size
    links = 0 if stat.S_ISDIR(mode) else status.st_nlink
    content = ""
    if stat.S_ISREG(mode) and read:
        with open(full, "rb") as file:
            content = hashlib.file_digest(file, "sha256").hexdigest()
    elif stat.S_ISLNK(mode):
        content = os.fsdecode(os.readlink(full))
    listed = os.listxattr(full, follow_symlinks=not path)
    if not (stat.S_ISREG(mode) or stat.S_ISDIR(mode)):
        # The kernel lists user attributes of other kinds but does not show their values, whatever the file system.
        listed = [name for name in listed if not name.startswith("user.")]
    xattrs = tuple(sorted((name, os.getxattr(full, name, follow_symlinks=not path)) for name in listed))
    return Seen(mode, status.st_uid, status.st_gid, size, status.st_mtime_ns, status.st_rdev, content, xattrs, links)


@contextmanager
def opened(path: Path) -> Iterator[int]:
    descriptor = os.open(path, os.O_RDONLY | os.O_DIRECTORY)
    try:
        yield descriptor
    finally:
        os.close(descriptor)


@dataclass(frozen=True)
class Made:
    """An index on disk, with the files that it points into."""

    path: Path
    blobs: tuple[Path, ...]
    index: Index

    @contextmanager
    def mounted(self, way: Way) -> Iterator[int]:
        mount = mount_index(self.path, self.blobs, way)
        try:
            yield mount
        finally:
            os.close(mount)


def make_index(tree: Tree, directory: Path) -> Made:
    directory.mkdir()
    side = directory / "side"
    blobs = tuple(map(Path, tree.blobs))
    with open(directory / "index", "wb") as out, open(side, "wb") as file:
        index = write_index(tree, out, file, [blob.stat().st_size for blob in blobs])
    return Made(directory / "index", (*blobs, side) if index.side_size else blobs, index)


def tree_of(*archives: Path) -> Tree:
    """The tree of uncompressed tar archives, strongest first."""
    return merge([Layer(str(archive), list(read_entries(archive))) for archive in archives])


@contextmanager
def user_namespace(start: int, count: int) -> Iterator[int]:
    """A descriptor of a user namespace that shows ids from 0 as ids from `start`."""
    descriptor = idmap.user_namespace(start, count)
    try:
        yield descriptor
    finally:
        os.close(descriptor)


def isolated(work: Callable[[], None]) -> None:
    """Run `work` in a child with a mount namespace of its own; what it raises fails the test."""
    read, write = os.pipe()
    child = os.fork()
    if child == 0:
        status = 1
        try:
            kernel.private_mounts()
            work()
            status = 0
        except BaseException:  # a child must not return into pytest, whatever happens
            os.write(write, traceback.format_exc().encode()[-60_000:])
        finally:
            os._exit(status)
    os.close(write)
    with open(read, "rb") as pipe:
        report = pipe.read().decode()
    _, status = os.waitpid(child, 0)
    assert not os.WIFSIGNALED(status), signal.Signals(os.WTERMSIG(status)).name
    assert status == 0, report
