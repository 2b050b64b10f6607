"""A hundred pods of one image on one host: what each further one takes, of time and of disk.

The pods have a Debian minbase root and the default stage1, and their specs are all in one project from the start.
Prepared one after the other with `doit run pod=... manifest`; the disk is what the whole data directory has more
afterwards, in blocks. The first pod imports and renders and is not counted; the last ten are held against the ten
after it.
"""

from __future__ import annotations

import subprocess

from benchmarks.findings import Curve, Finding, Line, Plot, Sample
from benchmarks.workshop import Project, Workshop, spec

PODS = 100


def measure(workshop: Workshop) -> Finding:
    """See above."""
    project = workshop.project("many")
    for number in range(PODS):
        project.write(spec(f"pod-{number}", [{"name": "debian", "image": str(workshop.minbase)}]))
    samples = []
    used = 0
    for number in range(PODS):
        sample, used = _another(project, f"pod-{number}", used)
        samples.append(sample)
    further = samples[1:]
    series = {"each further pod": further, "pods 2 to 11": further[:10], f"pods {PODS - 9} to {PODS}": further[-10:]}
    lines = [
        Line("each further pod", "each further pod", "wall", plus=0.100),
        Line("each further pod", "each further pod", "disk", plus=1e6),
        Line("the last ten", f"pods {PODS - 9} to {PODS}", "wall", "pods 2 to 11"),
        Line("the last ten", f"pods {PODS - 9} to {PODS}", "disk", "pods 2 to 11"),
    ]
    points = [(float(number + 2), sample["wall"] * 1e3) for number, sample in enumerate(further)]
    title = "Preparing a further pod of one image"
    plot = Plot("many", title, "pods on the host", "ms", [Curve("time", points)], log=False)
    trees = len([one for one in project.store().trees.iterdir() if not one.name.startswith(".")])
    notes = [f"{PODS} pods, {trees} trees (the image's and stage1's), {used / 1e6:.0f} MB in all"]
    return Finding("many", __doc__ or "", series, lines, notes, [plot])


def _another(project: Project, name: str, before: int) -> tuple[Sample, int]:
    sample = project.bench.run(project.doit("run", f"pod={name}", "manifest"))
    told = subprocess.run(["du", "-s", "--block-size=1", str(project.data)], capture_output=True, text=True, check=True)
    used = int(told.stdout.split()[0])
    return {**sample, "disk": float(used - before)}, used
