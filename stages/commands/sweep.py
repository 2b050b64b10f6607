"""What nobody needs any more, found and taken away: trees, garbage, half-written files, ranges of user ids."""

from __future__ import annotations

import contextlib
import errno
import os
import re
from collections.abc import Iterator
from pathlib import Path

from stages.base import files
from stages.base.paths import DataDir
from stages.commands import common
from stages.images.store import ImageStore
from stages.linux import locks
from stages.pod import facts, find
from stages.pod.state import State
from stages.trees.store import TreeStore

_TREE = re.compile(r"deps-sha256-[0-9a-f]{64}")


class Sweep:
    """One collection. dry: nothing is taken away. size: the bytes that were given back, or would be."""

    def __init__(self, data: DataDir, dry: bool) -> None:
        self.data, self.dry = data, dry
        self.size = 0

    def takes(self, what: str, path: Path) -> bool:
        """Tell of one thing and count it; whether it is to be taken away now."""
        size = size_of(path)
        self.size += size
        print(f"{what} ({common.size_text(size)})")
        return not self.dry

    def trees(self) -> None:
        """Trees that no pod's directory names. The caller sees to it that nobody is preparing a pod."""
        used = frozenset[str]().union(*(facts.of(pod.paths).trees for pod in find.every(self.data)))
        store = TreeStore(self.data, ImageStore(self.data))
        for tree_id in store.ids():
            if tree_id in used or not _TREE.fullmatch(tree_id):
                continue
            with locks.tried(self.data.tree_locks / tree_id) as alone:
                if alone and self.takes(f"tree {tree_id}", self.data.tree(tree_id).root):
                    store.remove(tree_id)
        if not self.dry:
            locks.sweep(self.data.tree_locks, store.ids())

    def garbage(self) -> int:
        """What was taken out of use. A tree that a running pod has as a lower layer stays until the pod ends.

        Exit code: what cannot be deleted is told, and keeps nothing else.
        """
        known = [facts.of(pod.paths) for pod in find.every(self.data)]
        used = frozenset[str]().union(*(one.trees for one in known if one.state is State.RUNNING))
        over = [path for path in files.listed(self.data.garbage) if path.name.rpartition(".")[0] not in used]
        return common.each(over, self._delete)

    def _delete(self, path: Path) -> None:
        if self.takes(f"garbage {path.name}", path):
            # Whoever put it there may be deleting it at this moment.
            with contextlib.suppress(FileNotFoundError):
                files.delete(path)

    def unfinished(self) -> None:
        """What killed processes had begun to write or to fetch, wherever we write; not where apps do."""
        for folder in self._folders():
            for path in files.abandoned(folder):
                if self.takes(f"unfinished {path.name}", path):
                    files.remove_abandoned(path)
        if not self.dry and files.listed(self.data.images.incoming):
            from stages.images import pull

            pull.sweep(ImageStore(self.data))

    def shifts(self) -> None:
        """Ranges of user ids whose pod is gone."""
        for link in files.listed(self.data.shifts):
            if not link.is_symlink() or os.path.lexists(self.data.pod(os.readlink(link)).root):
                continue
            print(f"user ids of pod {os.readlink(link)}")
            if not self.dry:
                link.unlink(missing_ok=True)

    def _folders(self) -> Iterator[Path]:
        yield from (self.data.root, *files.listed(self.data.pods), *files.listed(self.data.trees))
        for pod in (pod.paths for pod in find.every(self.data)):
            yield from (pod.records, pod.stage1, *files.listed(pod.appsinfo))
        for top in (self.data.images.root, self.data.cache):
            yield from (Path(folder) for folder, _, _ in os.walk(top))


def size_of(path: Path) -> int:
    """The bytes that deleting it gives back, nearly: the blocks of all its files. What vanishes meanwhile is none.

    Nor is what an app has put deeper than a path can say: it is deleted nevertheless.
    """
    total = _blocks(path)
    for folder, below, names in os.walk(path):
        total += sum(_blocks(Path(folder, name)) for name in (*below, *names))
    return total


def _blocks(path: Path) -> int:
    try:
        return os.lstat(path).st_blocks * 512
    except OSError as error:
        if error.errno not in (errno.ENOENT, errno.ENOTDIR, errno.ENAMETOOLONG):
            raise
        return 0
