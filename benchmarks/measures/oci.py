"""An OCI layout of a Debian root taken in and made a tree, against skopeo with umoci, and against podman; and memory.

Ours is `doit run ... tree:app` in an empty data directory: digests of the packed and of the unpacked layer checked, the
layer stored and on the disk, its index written. skopeo copies the layout (which checks digests) and umoci unpacks the
copy; podman pulls it into a store that it has set up before, which unpacks it. Both are back before their files are on
the disk, so podman is also shown with a sync. The layout is in memory for all. Memory
is the most that any one process of a command had, for the Debian root and for made images of one gzip layer each.
"""

from __future__ import annotations

import hashlib
import shlex
import shutil
from pathlib import Path

from benchmarks import archives
from benchmarks.findings import Finding, Line, Sample, Series
from benchmarks.peers import Podman
from benchmarks.sampling import NotHere, in_turn
from benchmarks.workshop import Project, Workshop, spec

SIZES = (50, 200, 800)  # MB, unpacked


def measure(workshop: Workshop) -> Finding:
    """See above."""
    layout = workshop.minbase_oci
    project = workshop.project("oci")
    project.write(_spec("debian", layout))
    _need("skopeo", "umoci")
    arms = {
        "doit run tree:app": lambda: _ours(workshop, project, "debian"),
        "skopeo copy + umoci unpack": lambda: _by_umoci(workshop, layout),
        "podman pull": lambda: _by_podman(workshop, layout),
        "podman pull, then sync": lambda: _by_podman(workshop, layout, "; sync -f ."),
    }
    series = in_turn(workshop.rounds, arms)
    lines = [
        Line("an OCI image to a tree", "doit run tree:app", quantity, peer, factor=factor)
        for peer in ("skopeo copy + umoci unpack", "podman pull")
        for quantity, factor in (("wall", 0.5), ("cpu", None), ("peak", None))
    ]
    lines.append(Line("an OCI image to a tree", "doit run tree:app", "wall", "podman pull, then sync"))
    series |= _memory(workshop, project)
    small, *larger = (_label(size) for size in SIZES)
    # Flat: an image that is larger by hundreds of megabytes may cost ten more.
    lines += [Line(f"memory for {one}", one, "peak", small, factor=1, plus=10e6) for one in larger]
    return Finding("oci", __doc__ or "", series, lines)


def _need(*programs: str) -> None:
    for program in programs:
        if shutil.which(program) is None:
            raise NotHere(f"{program} is not installed (tools/setup.sh test installs it)")


def _spec(name: str, layout: Path) -> dict[str, object]:
    return spec(name, [{"name": "app", "image": f"oci:{layout}:latest"}])


def _ours(workshop: Workshop, project: Project, pod: str) -> Sample:
    alone = workshop.with_data(project.root, workshop.fresh("data"))
    return alone.bench.run(alone.doit("run", f"pod={pod}", "tree:app"))


def _by_umoci(workshop: Workshop, layout: Path) -> Sample:
    copy, bundle = workshop.fresh("copy"), workshop.fresh("bundle")
    copying = f"skopeo --insecure-policy copy --quiet oci:{layout}:latest oci:{copy}:x"
    return workshop.bench.run(["sh", "-ec", f"{copying}; umoci unpack --image {copy}:x {bundle}"])


def _by_podman(workshop: Workshop, layout: Path, more: str = "") -> Sample:
    podman = Podman(workshop)
    try:
        with podman.apart.inside():
            pull = shlex.join(podman.command("pull", "--quiet", f"oci:{layout}:latest"))
            return podman.bench.run(["sh", "-ec", f"{pull}{more}"])
    finally:
        podman.close()


def _memory(workshop: Workshop, project: Project) -> dict[str, Series]:
    found = {}
    for size in SIZES:
        name = f"made-{size}"
        project.write(_spec(name, _made(workshop, size)))
        found[_label(size)] = [_ours(workshop, project, name) for _ in range(min(3, workshop.rounds))]
    return found


def _label(size: int) -> str:
    return f"an image of {size} MB"


def _made(workshop: Workshop, megabytes: int) -> Path:
    """A layout with one layer of files of a megabyte."""
    plain, packed = workshop.fresh("layer.tar"), workshop.fresh("layer.tar.gz")
    archives.plain_tar(plain, megabytes, 1_000_000)
    workshop.bench.run(["sh", "-c", f"gzip -1n <{plain} >{packed}"])
    with open(plain, "rb") as file:
        diff_id = hashlib.file_digest(file, "sha256").hexdigest()
    plain.unlink()
    return archives.oci_layout(workshop.fresh("oci"), packed, diff_id)
