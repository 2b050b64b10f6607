"""One of ten images changed: what preparing the pod again costs, against a pod that has that image alone.

Ten apps, an image of 8 MB each. Between two samples the archive of the first app's image is written anew with other
content. What a prepare costs that has nothing to do is taken off on both sides, so that what is left is
the change's own cost; that rest for ten images and for one is held against each other too.
"""

from __future__ import annotations

import itertools
from pathlib import Path

from benchmarks import archives
from benchmarks.findings import Finding, Line, Sample, less
from benchmarks.sampling import in_turn
from benchmarks.workshop import Project, Workshop, spec

IMAGES, FILES, SIZE = 10, 400, 20_000


def measure(workshop: Workshop) -> Finding:
    """See above."""
    folder = workshop.fresh("ten-images")
    folder.mkdir()
    numbers = itertools.count(1)
    images = [archives.many_files(folder / f"{n}.aci", FILES, SIZE, next(numbers)) for n in range(IMAGES)]
    arms = {}
    for pod, chosen in (("ten", images), ("one", images[:1])):
        project = workshop.project(pod)
        project.write(spec(pod, [{"name": f"app-{n}", "image": str(image)} for n, image in enumerate(chosen)]))
        _prepare(project, pod)
        arms[f"{pod}, changed"] = lambda it=project, pod=pod: _changed(it, pod, images[0], next(numbers))
        arms[f"{pod}, unchanged"] = lambda it=project, pod=pod: _prepare(it, pod)
    series = in_turn(workshop.rounds, arms, warm=True)
    for quantity in ("wall", "cpu"):
        for pod in ("ten", "one"):
            extra = less(series[f"{pod}, changed"], series[f"{pod}, unchanged"], quantity)
            series[f"{pod}, the change's own cost, {quantity}"] = extra
    lines = [
        Line(
            "one of ten images changed, its own cost",
            f"ten, the change's own cost, {quantity}",
            quantity,
            f"one, the change's own cost, {quantity}",
            factor=1.0,
            plus=0.020,
        )
        for quantity in ("wall", "cpu")
    ]
    lines += [
        Line("one of ten images changed, all of it", "ten, changed", "wall", "one, changed"),
        Line("nothing changed", "ten, unchanged", "wall", "one, unchanged"),
    ]
    return Finding("ten", __doc__ or "", series, lines)


def _prepare(project: Project, pod: str) -> Sample:
    return project.bench.run(project.doit("run", f"pod={pod}", "manifest"))


def _changed(project: Project, pod: str, image: Path, seed: int) -> Sample:
    archives.many_files(image, FILES, SIZE, seed)
    return _prepare(project, pod)
