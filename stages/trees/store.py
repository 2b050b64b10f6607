"""The tree store: images rendered with their dependencies, each tree made once, checked, and rebuilt when bad.

<data>/trees/<tree id>/
  rootfs/       the tree, or the place where its index is mounted
  index.erofs   instead of a tree of files: names and attributes, with pointers into the stored archives; `side` has
                the few bytes that could not be pointed to
  record        what the tree is made of, its form, and what tells whether it moved
  listing       of a tree of files, one line per entry, to say which one moved
  contents      of a tree of files likewise, with digests, to say which one is damaged
  rendered      the marker: written last, removed first (see marker)
"""

from __future__ import annotations

import contextlib
import errno
import os
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

from stages.base import files
from stages.base.digest import short
from stages.base.errors import FULL, HostError, PodwrightError, TreeError
from stages.base.paths import DataDir, TreePaths
from stages.base.progress import Progress
from stages.base.records import NamedTuple
from stages.base.verdict import Reason, Verdict
from stages.images import blobs
from stages.images.dependencies import Ingredient
from stages.images.store import ImageStore
from stages.linux import locks, memory
from stages.trees import ability, forms, marker
from stages.trees.forms import Lower
from stages.trees.recipe import Recipe

if TYPE_CHECKING:
    from stages.linux import erofs
    from stages.trees.merge import Layer
    from stages.trees.model import Tree
    from stages.trees.shift import Shift


class TreeStore(NamedTuple):
    """The trees of one data directory."""

    data: DataDir
    images: ImageStore

    def verdict(self, tree_id: str) -> Verdict:
        """The quick check: is the tree there, and has nothing in it moved? Reads names and inodes, no content."""
        paths = self.data.tree(tree_id)
        if not marker.is_rendered(paths):
            doubt = "was made before this host's last start, and is read once"
            return Verdict.stale(f"tree {short(tree_id)} {doubt if marker.is_in_doubt(paths) else 'is not rendered'}")
        record = marker.record(paths)
        if record is None:
            return Verdict.stale(f"the record of tree {short(tree_id)} cannot be read")
        if record["form"] == forms.INDEX:
            if self._way() is None:
                return Verdict.stale("this kernel does not mount index trees from this file system")
            for image_id in dict.fromkeys(one for one, _ in record["images"]):
                if not self.images.has(image_id):
                    return Verdict.stale(f"the archive of image {short(image_id)} is missing or was changed")
        found = forms.quick(record, paths)
        return Verdict(tuple(Reason(f"in tree {short(tree_id)}: {one.what}") for one in found.reasons))

    def render(self, recipe: Recipe, progress: Progress) -> None:
        """Make the tree unless it is there and good; a bad one is rebuilt, with a warning.

        Two runs that want the same tree share one render: the second waits. Raises TreeError, ImageError, HostError.
        """
        tree_id, paths = recipe.tree_id, self.data.tree(recipe.tree_id)
        with locks.held(self.data.tree_locks / tree_id):
            verdict = self.verdict(tree_id)
            if not verdict.fresh and marker.is_in_doubt(paths) and self._outlived(paths):
                marker.settle(paths)
                verdict = self.verdict(tree_id)
            if verdict.fresh:
                return
            if marker.is_rendered(paths):
                progress.warn(f"tree cache is in a bad state: {verdict.reasons[0].text()}; rebuilding")
            # A pod that runs may have the bad one as a lower layer: it keeps it. One without a record never was one.
            marker.take_away(paths, self.data.garbage, files.put_aside if paths.record.exists() else files.discard)
            self._check_archives(recipe)
            with contextlib.ExitStack() as failing:
                failing.callback(self._give_back, paths)
                made = self._ready_made(recipe, paths) or self._written(recipe, paths, progress)
                made["images"] = [[one.image_id, one.level] for one in recipe.ingredients]
                # Of the others there may be much to read after a crash.
                marker.seal(paths, made, durable=not recipe.plain and made["form"] == forms.DIRECTORY)
                failing.pop_all()

    def is_prebuilt(self, recipe: Recipe) -> bool:
        """Whether an index came with the image, so that a render, as it seems, will be a copy of that."""
        return not recipe.plain and self._way() is not None and self.data.image_index(recipe.image_id).record.exists()

    def prebuild(self, image_id: str) -> None:
        """Make the index of a stored image by itself, where there can be one, so that a render need only copy it.

        It is nothing that anybody has to have: what goes wrong here will be told when a tree is wanted.
        """
        from stages.trees import prebuilt

        kept = self.data.image_index(image_id)
        with contextlib.suppress(PodwrightError, OSError):
            manifest = self.images.manifest(image_id)
            recipe = Recipe((Ingredient(image_id, 0, manifest.whitelist, ()),))
            if manifest.dependencies or self._way() is None:
                return
            with locks.held(self.data.tree_locks / recipe.tree_id), contextlib.ExitStack() as failing:
                if prebuilt.is_of(kept, recipe.tree_id):
                    return
                failing.callback(files.discard, kept.root, self.data.garbage)
                files.discard(kept.root, self.data.garbage)
                self._check_archives(recipe)
                files.make_directory(kept.root)
                tree = self._merge(recipe)
                prebuilt.build(kept, recipe.tree_id, forms.facts(tree) | forms.write_index(tree, kept))
                # An image that was removed meanwhile has looked for its index before that was there.
                if self.images.has(image_id):
                    failing.pop_all()

    def write(self, recipe: Recipe, target: Path, shift: Shift | None, progress: Progress) -> None:
        """Write the tree as files into the new directory `target`. Raises TreeError, ImageError, HostError."""
        from stages.trees import directory, merge

        self._check_archives(recipe)
        tree = self._merge(recipe)
        target.mkdir(mode=0o755)
        progress.begin(f"rendering {short(recipe.image_id)}", merge.size(tree))
        descriptor = os.open(target, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
        try:
            directory.write(tree, descriptor, shift=shift, progress=progress.advance)
        except OSError as error:
            raise _refused(error, recipe) from error
        finally:
            os.close(descriptor)
            progress.end()

    def lower(self, tree_id: str) -> Lower:
        """How a rendered tree becomes a lower directory. Raises TreeError when it is not rendered."""
        return forms.lower(self._known(tree_id), self.data.tree(tree_id), self._blob, self._way())

    def root(self, tree_id: str) -> tuple[int, int, int]:
        """Owner, group and mode of the tree's root directory. Raises TreeError when it is not rendered."""
        root = self._known(tree_id)["root"]
        return root["uid"], root["gid"], root["mode"]

    def is_rendered(self, tree_id: str) -> bool:
        """Whether the tree says that it is there, good or bad."""
        return marker.is_rendered(self.data.tree(tree_id))

    def remove(self, tree_id: str) -> None:
        """Take a tree out of the store; nobody may be using it. The caller holds its lock."""
        marker.take_away(self.data.tree(tree_id), self.data.garbage)

    def full(self, tree_id: str, jobs: int = 1, is_whole: Callable[[str], bool] | None = None) -> Verdict:
        """The full check: every byte and attribute against what was rendered; of an index, every archive's too.

        is_whole: says so of an image, where its bytes have been read already. A tree that is found damaged is not
        rendered any more: the next run that needs it makes it again.
        """
        verdict = self._full(tree_id, jobs, is_whole or self.images.rehash)
        if not verdict.fresh:
            with locks.held(self.data.tree_locks / tree_id):
                marker.unmark(self.data.tree(tree_id))
        return verdict

    def _full(self, tree_id: str, jobs: int, is_whole: Callable[[str], bool]) -> Verdict:
        record = marker.record(self.data.tree(tree_id))
        if record is None or not self.is_rendered(tree_id):
            return Verdict.stale(f"tree {short(tree_id)} is not rendered")
        found = forms.full(record, self.data.tree(tree_id), jobs)
        if record["form"] == forms.DIRECTORY:
            return found
        damaged = [one for one in dict.fromkeys(one for one, _ in record["images"]) if not is_whole(one)]
        return Verdict((*(Reason(f"the archive of image {short(one)} is damaged") for one in damaged), *found.reasons))

    def ids(self) -> list[str]:
        """All trees, rendered or not."""
        try:
            return sorted(name for name in os.listdir(self.data.trees) if not name.startswith("."))
        except FileNotFoundError:
            return []

    def _outlived(self, paths: TreePaths) -> bool:
        """Whether a tree is whole, by its digests, of which nobody knows whether all of it reached the disk."""
        record = marker.record(paths)
        try:
            return record is not None and forms.full(record, paths, jobs=1).fresh
        except OSError:
            return False

    def _check_archives(self, recipe: Recipe) -> None:
        for image_id in recipe.image_ids:
            if not self.images.heal(image_id):
                raise TreeError(
                    f"the stored archive of image {short(image_id)} is damaged or missing",
                    hint="import the image again: `doit images import FILE`, or run again if a spec names its file",
                    reason="bad-image",
                )

    def _merge(self, recipe: Recipe) -> Tree:
        from stages.trees import merge

        memory.large_apart()
        return merge.merge([layer for one in recipe.ingredients for layer in self._layers(one)])

    def _layers(self, one: Ingredient) -> list[Layer]:
        """What an image adds to the tree, strongest first: an archive as a whole, or the layers of an OCI image."""
        from stages.trees.merge import Layer, handed_over

        return [
            Layer(
                str(it.blob),
                handed_over(list(it.entries)),
                one.whitelist,
                one.ancestors,
                it.changes,
                it.whiteouts,
                it.opaque,
            )
            for it in self.images.layers(one.image_id)
        ]

    def _ready_made(self, recipe: Recipe, paths: TreePaths) -> dict[str, Any] | None:
        """A copy of what was prebuilt, if that is the whole tree; what the record has to say of it."""
        if not self.is_prebuilt(recipe):
            return None
        from stages.trees import prebuilt

        kept = self.data.image_index(recipe.image_id)
        try:
            files.make_directory(paths.root)
            made = prebuilt.take(kept, recipe.tree_id, paths)
        except OSError as error:
            raise _refused(error, recipe) from error
        if made is None:
            files.discard(paths.root, self.data.garbage)
            # The next import makes a good one.
            with contextlib.suppress(OSError, HostError):
                files.discard(kept.root, self.data.garbage)
        return made

    def _written(self, recipe: Recipe, paths: TreePaths, progress: Progress) -> dict[str, Any]:
        """Write the tree in the form that this host and the tree allow; what the record has to say of it."""
        from stages.trees import merge

        tree = self._merge(recipe)
        if not recipe.plain and self._way() is not None:
            try:
                files.make_directory(paths.root)
                return forms.facts(tree) | forms.write_index(tree, paths)
            except TreeError:
                # The format has no room for something in it; files have. What was begun goes first.
                files.discard(paths.root, self.data.garbage)
            except OSError as error:
                raise _refused(error, recipe) from error
        progress.begin(f"rendering {short(recipe.image_id)}", merge.size(tree))
        try:
            files.make_directory(paths.root)
            return forms.facts(tree) | forms.write_directory(tree, paths, progress.advance)
        except OSError as error:
            raise _refused(error, recipe) from error
        finally:
            progress.end()

    def _give_back(self, paths: TreePaths) -> None:
        """The space of a tree that could not be finished, which may be what everything else waits for."""
        with contextlib.suppress(OSError, HostError):
            marker.take_away(paths, self.data.garbage)

    def _known(self, tree_id: str) -> dict[str, Any]:
        record = marker.record(self.data.tree(tree_id))
        if record is None:
            raise TreeError(f"tree {short(tree_id)} is not rendered", hint="run again", reason="not-rendered")
        return record

    def _blob(self, digits: str) -> Path:
        return self.images.blobs.path(blobs.blob_id(digits))

    def _way(self) -> erofs.Way | None:
        return ability.way(self.data)


def _refused(error: OSError, recipe: Recipe) -> TreeError | HostError:
    if error.errno in FULL:
        return HostError(
            f"no space left while rendering {short(recipe.image_id)}",
            hint="make room in the data directory and run again; what is there is still good",
            reason="no-space",
        )
    if error.errno == errno.EPERM:
        return HostError(
            f"not allowed while rendering {short(recipe.image_id)}: {error}",
            hint="owners and device nodes can only be written by root",
            reason="not-root",
        )
    return TreeError(f"cannot render {short(recipe.image_id)}: {error}", reason="render")
