"""Paths inside an app's root file system, resolved there: no link and no `..` of an image leads out of it."""

from __future__ import annotations

import errno
import os
import stat

MAX_LINKS = 40
_OPEN = os.O_PATH | os.O_NOFOLLOW | os.O_CLOEXEC


class Walk:
    """A walk below `root` (a directory descriptor, borrowed) that follows links as a process chrooted there would."""

    __slots__ = ("_handles", "_links", "_root", "names")

    def __init__(self, root: int) -> None:
        self._root = root
        self._handles: list[int] = []
        self._links = 0
        self.names: list[str] = []

    def __enter__(self) -> Walk:
        return self

    def __exit__(self, *_: object) -> None:
        self._back_to(0)

    @property
    def here(self) -> int:
        """Descriptor (O_PATH) of where the walk stands; owned by the walk."""
        return self._handles[-1] if self._handles else self._root

    @property
    def path(self) -> str:
        """Where the walk stands: absolute from the app's point of view, free of links."""
        return "/" + "/".join(self.names)

    def status(self) -> os.stat_result:
        """Attributes of what the walk stands on."""
        return os.stat(self.here)

    def _back_to(self, depth: int) -> None:
        while len(self._handles) > depth:
            os.close(self._handles.pop())
            self.names.pop()

    def go(self, path: str, make: tuple[int, int] | None = None) -> None:
        """Walk to `path`; with `make` = (uid, gid) missing directories are created, 0755 and so owned.

        Raises FileNotFoundError, NotADirectoryError, or OSError (ELOOP) after 40 links.
        """
        pending = _split(path)
        while pending:
            name = pending.pop(0)
            if name == "..":
                self._back_to(max(0, len(self._handles) - 1))
            elif link := self._step(name, path, make):
                if link.startswith("/"):
                    self._back_to(0)
                pending = _split(link) + pending

    def _step(self, name: str, path: str, make: tuple[int, int] | None) -> str:
        """Enter `name`, or return where it points to when it is a link."""
        if self._handles and not stat.S_ISDIR(self.status().st_mode):
            raise NotADirectoryError(errno.ENOTDIR, os.strerror(errno.ENOTDIR), path)
        try:
            handle = os.open(name, _OPEN, dir_fd=self.here)
        except FileNotFoundError:
            if make is None:
                raise FileNotFoundError(errno.ENOENT, os.strerror(errno.ENOENT), path) from None
            handle = self._make_directory(name, make)
        if stat.S_ISLNK(os.stat(handle).st_mode):
            link = os.readlink("", dir_fd=handle)
            os.close(handle)
            self._links += 1
            if self._links > MAX_LINKS:
                raise OSError(errno.ELOOP, os.strerror(errno.ELOOP), path)
            return link
        self._handles.append(handle)
        self.names.append(name)
        return ""

    def _make_directory(self, name: str, owner: tuple[int, int]) -> int:
        os.mkdir(name, 0o755, dir_fd=self.here)
        handle = os.open(name, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC, dir_fd=self.here)
        os.fchown(handle, *owner)
        os.fchmod(handle, 0o755)
        return handle


def _split(path: str) -> list[str]:
    return [name for name in path.split("/") if name not in ("", ".")]


def read_bytes(root: int, path: str, limit: int = 1 << 20) -> bytes | None:
    """The content of the regular file at `path` below `root` (at most `limit` bytes), or None if there is none."""
    with Walk(root) as walk:
        try:
            walk.go(path)
        except (FileNotFoundError, NotADirectoryError):
            return None
        if not stat.S_ISREG(walk.status().st_mode):
            return None
        with open(f"/proc/self/fd/{walk.here}", "rb") as file:
            return file.read(limit)


def exists(root: int, path: str) -> bool:
    """Whether `path` below `root` is there; a link that points nowhere is there too."""
    parent, _, name = path.rstrip("/").rpartition("/")
    with Walk(root) as walk:
        try:
            walk.go(parent)
            os.stat(name, dir_fd=walk.here, follow_symlinks=False)
        except (FileNotFoundError, NotADirectoryError):
            return False
        return True


def make_file(root: int, path: str, content: bytes, mode: int, owner: tuple[int, int]) -> None:
    """Create the file `path` below `root`, with missing parents; FileExistsError if something is there."""
    parent, _, name = path.rpartition("/")
    with Walk(root) as walk:
        walk.go(parent, make=owner)
        flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC
        handle = os.open(name, flags, 0o600, dir_fd=walk.here)
        with open(handle, "wb") as file:
            file.write(content)
            os.fchown(handle, *owner)
            os.fchmod(handle, mode)


def make_target(root: int, path: str, directory: bool, owner: tuple[int, int]) -> str:
    """Have something at `path` below `root` to mount upon, and return the path that it really has (contract K.8, F.6).

    Missing parents and directories are created 0755. For a directory, a file in the way is replaced; for a file, an
    empty one is created, also where a dangling link points to, and a directory in the way is an IsADirectoryError.
    """
    with Walk(root) as walk:
        if directory:
            return _directory_target(walk, path, owner)
        parent, name = _parent_and_name(path)
        walk.go(parent, make=owner)
        return _file_target(walk, name, path, owner)


def _directory_target(walk: Walk, path: str, owner: tuple[int, int]) -> str:
    walk.go(path, make=owner)
    if walk.names and not stat.S_ISDIR(walk.status().st_mode):
        name = walk.names[-1]
        walk.go("..")
        os.unlink(name, dir_fd=walk.here)
        walk.go(name, make=owner)
    return walk.path


def _file_target(walk: Walk, name: str, path: str, owner: tuple[int, int]) -> str:
    """The walk stands in the parent; go through links at the last name until something is there or made."""
    for _ in range(MAX_LINKS):
        try:
            status = os.stat(name, dir_fd=walk.here, follow_symlinks=False)
        except FileNotFoundError:
            flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC
            handle = os.open(name, flags, 0o644, dir_fd=walk.here)
            os.fchown(handle, *owner)
            os.close(handle)
            return walk.path.rstrip("/") + "/" + name
        if stat.S_ISDIR(status.st_mode):
            raise IsADirectoryError(errno.EISDIR, os.strerror(errno.EISDIR), path)
        if not stat.S_ISLNK(status.st_mode):
            return walk.path.rstrip("/") + "/" + name
        link = os.readlink(name, dir_fd=walk.here)
        parent, name = _parent_and_name(link)
        if link.startswith("/"):
            while walk.names:
                walk.go("..")
        walk.go(parent, make=owner)
    raise OSError(errno.ELOOP, os.strerror(errno.ELOOP), path)


def _parent_and_name(path: str) -> tuple[str, str]:
    names = _split(path)
    if not names or names[-1] == "..":
        raise IsADirectoryError(errno.EISDIR, os.strerror(errno.EISDIR), path)
    return "/".join(names[:-1]), names[-1]
