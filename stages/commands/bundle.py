"""`doit bundle`: one pod with all that it needs, in one file, for a machine without network."""

from __future__ import annotations

import os
import sys
from pathlib import Path
from typing import Any

from stages import import_image
from stages.base import data as data_dirs
from stages.base import files
from stages.base.digest import short
from stages.base.errors import ImageError, PodwrightError, SpecError, shown
from stages.commands import common
from stages.graph.terminal import Terminal
from stages.images import bundle, lockfile
from stages.images.bundle import Papers
from stages.images.lockfile import Hold
from stages.linux import locks
from stages.pod.context import DEPENDENCIES, Context
from stages.spec import parse
from stages.spec.catalog import Catalog
from stages.spec.model import PodSpec


class Bundle(common.PodCommand):
    """Pack a pod."""

    doc_purpose = "pack a pod into a file: spec, lock file and images, stage1 included"
    doc_usage = "pod=NAME [--overwrite] FILE"
    doc_description = "The pod must have a lock file; images that the store lacks are fetched. `doit unbundle` unpacks."
    cmd_options = (common.OVERWRITE,)

    def do(self, options: Any, words: list[str]) -> int:
        project = self.needed().parent
        *pods, name = [*common.pods_asked([]), *words] or [""]
        if len(pods) != 1:
            raise PodwrightError("usage: doit bundle pod=NAME FILE", reason="bad-word")
        target, data = Path(name).absolute(), common.data()
        if target.exists() and not options["overwrite"]:
            raise ImageError(f"{name} exists", hint="--overwrite replaces it", reason="exists")
        spec = Catalog(project, data.cache).select(pods[0])
        context = Context(project, data, spec, dict(os.environ), Terminal(sys.stderr), hold=Hold.ALL)
        context.check_lock()
        papers = _papers(context, spec)
        data_dirs.initialise(data)
        with locks.held(data.prepare_lock, exclusive=False):  # nobody collects what is being packed
            image_ids = _brought(context)
            with files.writing(target, 0o644) as out:
                bundle.write(context.images, papers, image_ids, out)
        print(f"{shown(name)}: {len(image_ids)} images, {common.size_text(target.stat().st_size)}")
        return 0


def _papers(context: Context, spec: PodSpec) -> Papers:
    """Spec, lock file and ready manifest, as they are in the project. Raises SpecError, ImageError, PodError."""
    text, lock = spec.path.read_bytes(), context.pins.file.read_bytes()
    moved = parse.parse(parse.validated(text, spec.path), spec.path) != spec
    if moved or lockfile.parse(lock, context.pins.file.name) != context.pins.lock:
        raise SpecError(
            f"the spec or the lock file of {spec.name} changed meanwhile", hint="run again", reason="moving"
        )
    if spec.stage0.pod_manifest is None:
        return Papers(spec.name, text, lock)
    assert context.ready is not None, "a spec that names a manifest has one"
    place = os.path.normpath(spec.stage0.pod_manifest)
    bundle.check_place(place)
    return Papers(spec.name, text, lock, place, (context.project / place).read_bytes())


def _brought(context: Context) -> list[str]:
    """All images of the pod, in the store and whole. Raises ImageError, HostError."""
    found = [one for row in context.image_rows for one in import_image.run(context, row)["images"]]
    for row in context.image_rows:
        found += context.recipe(row).image_ids if row != DEPENDENCIES else ()
    chosen = sorted(set(found))
    for image_id in chosen:
        if not context.images.heal(image_id):
            hint = "`doit images rm` it, and import it again"
            raise ImageError(f"image {short(image_id)} is damaged", hint=hint, reason="bad-image")
    return chosen
