"""A hundred pods of one image on one host: what each further one takes, of time and of disk.

The pods have a Debian minbase root and the default stage1, and their specs are all in one project from the start. The
first pod imports and renders and is not counted. The next ten are prepared with a command each, `doit run pod=...
manifest`, the others ten at a time with `doit prepare NAME...`, which loads doit once for the ten: a tenth of its time
is a pod's. The disk is what the whole data directory has more afterwards, in blocks. The last ten are held against the
first that were prepared that way.
"""

from __future__ import annotations

import subprocess
from collections.abc import Sequence

from benchmarks.findings import Curve, Finding, Line, Plot, Sample
from benchmarks.workshop import Project, Workshop, spec

TENS = 10


def measure(workshop: Workshop) -> Finding:
    """See above."""
    project = workshop.project("many")
    first, *rest = [f"pod-{number}" for number in range(1 + TENS * 10)]
    for name in (first, *rest):
        project.write(spec(name, [{"name": "debian", "image": str(workshop.minbase)}]))
    _more(project, ["run", f"pod={first}", "manifest"])
    alone = [_more(project, ["run", f"pod={name}", "manifest"]) for name in rest[:10]]
    groups = [rest[at : at + 10] for at in range(10, len(rest), 10)]
    further = [_each(_more(project, ["prepare", *names]), names) for names in groups]
    tens = {"the first ten": further[:1], "the last": further[-1:]}
    series = {"each further pod": further, "a command each": alone, **tens}
    lines = [
        Line("each further pod", "each further pod", "wall", plus=0.100),
        Line("each further pod", "each further pod", "disk", plus=1e6),
        Line("the last ten", "the last", "wall", "the first ten"),
        Line("the last ten", "the last", "disk", "the first ten"),
        Line("with a command each", "a command each", "wall"),
    ]
    points = [(float(12 + 10 * number), sample["wall"] * 1e3) for number, sample in enumerate(further)]
    title = "Preparing a further pod of one image"
    plot = Plot("many", title, "pods on the host", "ms", [Curve("time", points)], log=False)
    trees = len([one for one in project.store().trees.iterdir() if not one.name.startswith(".")])
    notes = [f"{1 + len(rest)} pods, {trees} trees (the image's and stage1's), {_used(project) / 1e6:.0f} MB in all"]
    return Finding("many", __doc__ or "", series, lines, notes, [plot])


def _more(project: Project, words: Sequence[str]) -> Sample:
    """A command, with the disk that it takes."""
    before = _used(project)
    sample = project.bench.run(project.doit(*words))
    return {**sample, "disk": float(_used(project) - before)}


def _each(sample: Sample, pods: Sequence[str]) -> Sample:
    return {quantity: value / len(pods) for quantity, value in sample.items()}


def _used(project: Project) -> int:
    """Bytes of the data directory, in blocks; 0 before there is one."""
    if not project.data.exists():
        return 0
    told = subprocess.run(["du", "-s", "--block-size=1", str(project.data)], capture_output=True, text=True, check=True)
    return int(told.stdout.split()[0])
