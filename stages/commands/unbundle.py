"""`doit unbundle`: a packed pod comes into the store and the project, every byte checked, or nothing does."""

from __future__ import annotations

import contextlib
import os
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from stages.base import data as data_dirs
from stages.base import files
from stages.base.errors import ImageError, PodwrightError, SpecError
from stages.base.paths import DataDir
from stages.base.progress import Progress
from stages.commands import common
from stages.graph.terminal import Terminal
from stages.images import blobs, bundle, bundle_import, compression, lockfile
from stages.images.bundle import Contents, Papers
from stages.images.guard import Delivery, Guard, beside
from stages.images.lockfile import Hold
from stages.images.store import ImageStore, naming
from stages.pod.context import DEPENDENCIES, Context
from stages.spec import parse
from stages.spec.catalog import FOLDER, Catalog
from stages.spec.model import PodSpec


class Unbundle(common.PodCommand):
    """Unpack a pod."""

    doc_purpose = "unpack what `doit bundle` packed: images into the store, spec and lock file into pods/"
    doc_usage = "[--overwrite] FILE"
    doc_description = "All is checked against the digests of the lock file. The pod then runs with --locked."
    cmd_options = (common.OVERWRITE,)

    def do(self, options: Any, words: list[str]) -> int:
        project = self.needed().parent
        if len(words) != 1:
            raise PodwrightError("usage: doit unbundle FILE", reason="bad-word")
        data, progress = common.data(), Terminal(sys.stderr)
        data_dirs.initialise(data)
        with _opened(Path(words[0]), Guard.of(ImageStore(data), os.environ), progress) as descriptor:
            with naming(words[0]):
                contents = bundle.read(descriptor)
            self._add(project, data, contents, words[0], options["overwrite"], progress)
        return 0

    def _add(
        self, project: Path, data: DataDir, contents: Contents, where: str, overwrite: bool, progress: Progress
    ) -> None:
        """Images first, then the files that speak of them, the spec last."""
        with tempfile.TemporaryDirectory() as folder, naming(where):
            context = _staged(Path(folder), data, contents.papers, progress)
            _check_images(context, contents)
            written = list(_files(project, context.spec, contents.papers, overwrite))
            bundle_import.add(context.images, contents, where, progress, lambda: _check_trees(context))
            for app in context.app_names:
                context.trees.prebuild(_locked(context, app))
        for path, text in written:
            path.parent.mkdir(parents=True, exist_ok=True)
            files.publish(path, text, 0o644)
            print(path.relative_to(project))
        print(f"{len(contents.titles)} images; `doit run --locked pod={contents.papers.pod}` runs the pod")


@contextlib.contextmanager
def _opened(path: Path, guard: Guard, progress: Progress) -> Iterator[int]:
    """The file, as well signed as the host demands of local files, as a plain archive.

    A packed one is unpacked to a file without a name.
    """
    if not path.is_file():
        raise ImageError(f"no file {path}", reason="no-file")
    delivery = Delivery(path.name, lambda: beside(path))
    with open(path, "rb") as raw, contextlib.ExitStack() as stack:
        file = stack.enter_context(guard.whole(raw, delivery, progress))
        plain = compression.detect(file.read(compression.HEAD)) is compression.Compression.PLAIN
        file.seek(0)
        if plain:
            yield file.fileno()
            return
        spool = stack.enter_context(guard.store.blobs.spool(path.name))
        progress.begin(f"unpacking {path.name}", os.fstat(file.fileno()).st_size)
        try:
            blobs.receive(file, spool, "sha256", progress)
        finally:
            progress.end()
        yield spool.fileno()


def _staged(folder: Path, data: DataDir, papers: Papers, progress: Progress) -> Context:
    """The pod of the bundle in a project of its own, held to its lock. Raises SpecError, ImageError, PodError."""
    path = folder / FOLDER / f"{papers.pod}.yaml"
    spec = parse.parse(parse.validated(papers.spec, Path(FOLDER, path.name)), path)
    if spec.name != papers.pod or os.path.normpath(spec.stage0.pod_manifest or "") != (papers.place or "."):
        raise ImageError("its spec is not that of its list", reason="bad-bundle")
    for file, text in ((path, papers.spec), (lockfile.path(path, spec.name), papers.lock)):
        file.parent.mkdir(exist_ok=True)
        file.write_bytes(text)
    if papers.place:
        (folder / papers.place).parent.mkdir(parents=True, exist_ok=True)
        (folder / papers.place).write_bytes(papers.ready)
    context = Context(folder, data, spec, dict(os.environ), progress, reading=True, hold=Hold.ALL)
    context.check_lock()
    return context


def _check_images(context: Context, contents: Contents) -> None:
    """The bundle has the images of its lock file, and no others. Raises ImageError."""
    locked = {one for row in context.image_rows for one in context.locked_images(row)}
    if locked != contents.titles.keys():
        word = "lacks" if locked - contents.titles.keys() else "has more than"
        raise ImageError(f"it {word} the images of its lock file", reason="bad-bundle")


def _check_trees(context: Context) -> None:
    """With the images in the store, every tree is the one that is locked. Raises ImageError."""
    for row in context.image_rows:
        if row != DEPENDENCIES:
            context.recipe(row, _locked(context, row))


def _locked(context: Context, row: str) -> str:
    """The image of a row by the lock alone: a file that the spec names may be on this machine too, and another one."""
    (ask,) = context.asks(row)
    return ask.image_id


def _files(project: Path, spec: PodSpec, papers: Papers, overwrite: bool) -> Iterator[tuple[Path, bytes]]:
    """What has to be written to the project. Raises ImageError, SpecError for what would replace something else."""
    path = _spec_path(project, spec)
    wanted = {lockfile.path(path, spec.name): papers.lock, path: papers.spec}
    if papers.place:
        parents = [
            project.joinpath(*Path(papers.place).parts[:depth]) for depth in range(1, papers.place.count("/") + 1)
        ]
        if any(one.is_symlink() for one in parents):
            raise ImageError(f"{papers.place} leads through a link", hint="make it a folder", reason="exists")
        wanted = {project / papers.place: papers.ready, **wanted}
    for file, text in wanted.items():
        found = files.read_or_none(file)
        if found is not None and found != text and not overwrite:
            what = f"{file.relative_to(project)} is there already, and another one"
            raise ImageError(what, hint="--overwrite replaces it", reason="exists")
        if found != text:
            yield file, text


def _spec_path(project: Path, spec: PodSpec) -> Path:
    """Where the pod's spec is in the project, or will be. Raises SpecError when another pod has its name or UUID."""
    for one in Catalog(project).entries():
        if (one.name == spec.name) != (one.uid == spec.uid) and one.name and one.uid:
            same = "that name" if one.name == spec.name else "that UUID"
            what = f"{one.path.relative_to(project)} is another pod of {same}"
            raise SpecError(what, hint="take it away, or give it another name and UUID", reason="duplicate-pod")
        if one.uid == spec.uid:
            return one.path
    return project / FOLDER / f"{spec.name}.yaml"
