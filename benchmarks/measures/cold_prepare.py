"""A pod of a Debian minbase image prepared from nothing, against `tar -x` of the same archive to the same disk.

Ours is everything that `doit run pod=... manifest` does in an empty data directory: import with digest and checks,
render, the built-in stage1 built and imported, the pod manifest; the archive is on the disk when it says so. tar
writes its files and returns before they are on the disk, so the same with a sync is shown as well. For the compressed
archive the peer of the import is what reads and hashes it and keeps nothing. The archive is in memory for all.
"""

from __future__ import annotations

from pathlib import Path

from benchmarks.findings import Finding, Line, Sample
from benchmarks.sampling import Bench, in_turn
from benchmarks.workshop import Project, Workshop, spec


def measure(workshop: Workshop) -> Finding:
    """See above."""
    project = workshop.project("cold-prepare")
    plain, packed = workshop.minbase, workshop.minbase_gz
    for name, image in (("plain", plain), ("packed", packed)):
        project.write(spec(name, [{"name": "debian", "image": str(image)}]))
    hashing = ["sh", "-c", f"gunzip <{packed} | sha512sum"]
    series = in_turn(
        workshop.rounds,
        {
            "prepare .aci": lambda: prepared(workshop, project, "plain"),
            "tar -x": lambda: unpacked(workshop, plain),
            "tar -x, then sync": lambda: unpacked(workshop, plain, "; sync -f ."),
            "prepare .aci.gz": lambda: prepared(workshop, project, "packed"),
            "tar -xz": lambda: unpacked(workshop, packed),
            "gunzip | sha512sum": lambda: project.bench.run(hashing),
        },
    )
    lines = [
        Line("`.aci`, from nothing", "prepare .aci", "wall", "tar -x"),
        Line("`.aci`, from nothing", "prepare .aci", "wall", "tar -x, then sync"),
        Line("`.aci`, from nothing", "prepare .aci", "cpu", "tar -x"),
        Line("`.aci.gz`, from nothing", "prepare .aci.gz", "wall", "tar -xz"),
        Line("`.aci.gz`, from nothing", "prepare .aci.gz", "wall", "gunzip | sha512sum"),
        Line("`.aci.gz`, from nothing", "prepare .aci.gz", "cpu", "tar -xz"),
    ]
    return Finding("cold_prepare", __doc__ or "", series, lines)


def prepared(workshop: Workshop, project: Project, pod: str) -> Sample:
    """Prepare a pod of the project in a data directory of its own."""
    alone = workshop.with_data(project.root, workshop.fresh("data"))
    return alone.bench.run(alone.doit("run", f"pod={pod}", "manifest"))


def unpacked(workshop: Workshop, archive: Path, more: str = "") -> Sample:
    """tar -x of an archive into a new directory."""
    target = workshop.fresh("tar")
    target.mkdir()
    there = Bench(target, workshop.bench.log, workshop.bench.environment)
    return there.run(["sh", "-c", f"tar -xf {archive}{more}"])
