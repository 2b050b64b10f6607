"""Which stored images somebody needs: pods, trees, specs and lock files; the others, and how much there is of all."""

from __future__ import annotations

import contextlib
import os
import re
import sys
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

from stages.base import files
from stages.base.digest import short
from stages.base.errors import PodwrightError
from stages.base.paths import DataDir
from stages.base.records import NamedTuple
from stages.commands import common
from stages.commands.sweep import size_of
from stages.images import indexes
from stages.images.ask import Ask
from stages.images.finder import Finder
from stages.images.store import ImageStore
from stages.linux import locks
from stages.pod import facts, find
from stages.pod.context import DEPENDENCIES, Context
from stages.spec import parse
from stages.spec.catalog import FOLDER, Catalog

_ID = re.compile(rb"sha512[-:][0-9a-f]{128}|sha256[-:][0-9a-f]{64}")
_WORD = re.compile(r"[^\s,{}\[\]\"']+")


class Usage(NamedTuple):
    """How much there is of one kind; size and unused in bytes, unused being what a collection would give back."""

    kind: str
    number: int
    size: int
    unused: int


def used(data: DataDir, project: Path | None) -> set[str]:
    """Images (ids, also as appc has them) that a pod's directory, a tree, a spec or a lock file names."""
    found: set[str] = set()
    for path in _naming(data, project):
        with contextlib.suppress(OSError):
            found |= {one.decode().replace(":", "-") for one in _ID.findall(files.read_or_none(path) or b"")}
    if project is not None:
        found = found.union(*(_of_spec(data, project, path) for path in Catalog(project).paths()))
    return found


def unused(data: DataDir, project: Path | None) -> list[str]:
    """The stored images that nobody needs."""
    store, needed = ImageStore(data), used(data, project)
    return [one for one in store.ids() if not {one, store.appc_id(one)} & needed]


def collect(data: DataDir, project: Path | None, dry: bool) -> int:
    """Remove images that nobody needs, and what broken-off imports left. Exit code. Waits for nobody."""
    if not os.path.exists(data.version):
        return 0
    store, freed, code = ImageStore(data), 0, 0
    with locks.tried(data.prepare_lock) as alone:
        if not alone:
            print("a pod is being prepared: images are left for the next time", file=sys.stderr)
            return 0
        for image_id, gives_back in _gives_back(store, unused(data, project)):
            try:
                size = gives_back if dry else store.remove(image_id)
            except (PodwrightError, OSError) as error:
                print(f"image {short(image_id)} stays: {error}", file=sys.stderr)
                code = 1
                continue
            freed += size
            print(f"image {short(image_id)} ({common.size_text(size)})")
        left = store.unused()
        freed += sum(store.blobs.gives_back(blob) for blob in left) if dry else store.drop_unused(left)
        for blob in left:
            print(f"blob {short(blob)} of no image")
        # Indexes are looked for first: no image that comes meanwhile seems to be gone.
        for image_id in sorted(indexes.ids(data).difference(store.ids())):
            freed += indexes.size(data, image_id) if dry else indexes.drop(data, image_id)
            print(f"index of image {short(image_id)}, which is gone")
        if not dry:
            store.sweep_locks()
    if freed:
        print(f"{'would free' if dry else 'freed'} {common.size_text(freed)}")
    return code


def _gives_back(store: ImageStore, idle: list[str]) -> list[tuple[str, int]]:
    """Images with the bytes that removing them, in this order, gives back: a layer goes with the last that has it."""
    known = {one: store.known_blobs(one) for one in store.ids()}
    users = Counter(blob for mine in known.values() for blob in set(mine or ()))
    unreadable = {one for one, mine in known.items() if mine is None}  # as long as there is one, no layer goes
    found = []
    for image_id in idle:
        unreadable.discard(image_id)
        mine = set(known[image_id] or ())
        users.subtract(mine)
        alone = () if unreadable else [one for one in mine if not users[one]]
        found.append((image_id, sum(map(store.blobs.gives_back, alone)) + indexes.size(store.data, image_id)))
    return found


def usage(data: DataDir, project: Path | None) -> list[Usage]:
    """Of images, trees, pods and garbage."""
    store = ImageStore(data)
    ids = store.ids()
    idle = set(ids).intersection(unused(data, project))  # others may have come meanwhile
    needed = {blob for one in ids if one not in idle for blob in store.known_blobs(one) or ()}
    blobs = {one: size_of(store.blobs.path(one)) + size_of(data.images.inventory(one)) for one in store.blobs.ids()}
    kept = {one: size_of(data.image_index(one).root) for one in ids}
    pods = find.every(data)
    named = frozenset[str]().union(*(facts.of(pod.paths).trees for pod in pods))
    trees = {path.name: size_of(path) for path in files.listed(data.trees)}
    garbage = [size_of(path) for path in files.listed(data.garbage)]
    return [
        Usage(
            "images",
            len(ids),
            sum(blobs.values()) + sum(kept.values()),
            sum(size for one, size in blobs.items() if one not in needed) + sum(kept[one] for one in idle),
        ),
        Usage("trees", len(trees), sum(trees.values()), sum(size for one, size in trees.items() if one not in named)),
        Usage("pods", len(pods), sum(size_of(pod.paths.root) for pod in pods), 0),
        Usage("garbage", len(garbage), sum(garbage), sum(garbage)),
    ]


def _naming(data: DataDir, project: Path | None) -> Iterator[Path]:
    """The files in which ids of images are written down."""
    for pod in (one.paths for one in find.every(data)):
        yield from (pod.manifest, *files.listed(pod.records))
    for tree in files.listed(data.trees):
        yield data.tree(tree.name).record
    if project is not None:
        yield from (path for path in files.listed(project / FOLDER) if path.suffix == ".lock")


def _of_spec(data: DataDir, project: Path, path: Path) -> Iterator[str]:
    """The stored images that a spec means. Of a spec that cannot be read every word counts as a reference."""
    try:
        context = Context(project, data, parse.load(path), {}, reading=True)
        rows = context.image_rows
    except (PodwrightError, OSError):
        yield from _of_words(data, project, path)
        return
    for name in rows:
        with contextlib.suppress(PodwrightError):
            yield from (found for ask in context.asks(name) if (found := context.finder.known(ask)))
        if name != DEPENDENCIES:
            with contextlib.suppress(PodwrightError):
                yield context.image_id(name)
                yield from context.recipe(name).image_ids


def _of_words(data: DataDir, project: Path, path: Path) -> Iterator[str]:
    finder = Finder(data, ImageStore(data), project)
    with contextlib.suppress(OSError):
        for word in _WORD.findall(path.read_text(errors="replace")):
            with contextlib.suppress(PodwrightError):
                yield finder.known(Ask(word)) or ""
