"""An imported image made into a tree, against `tar -x` of the same archive to the same disk; and its memory.

The render alone, in a process that has its code in memory, is the tree task without doit's start; `doit run ...
tree:app` is the same with it, as it is typed. An image that a run brought is rendered from what its headers said; with
`images import` comes an index, and the render copies it. Neither side waits for the disk. Memory is the most that the
whole process had, for made images of 1,000 to 100,000 files of 1 kB: `doit run` that renders from the headers, about 40
MB of which are Python and doit, and `images import`.
"""

from __future__ import annotations

from pathlib import Path

from benchmarks.findings import Curve, Finding, Line, Plot, Sample, Series, spread
from benchmarks.measures.cold_prepare import unpacked
from benchmarks.sampling import in_turn, timed
from benchmarks.workshop import Pod, Workshop, spec
from stages.base.progress import Silent

COUNTS = (1_000, 10_000, 100_000)


def measure(workshop: Workshop) -> Finding:
    """See above."""
    debian, indexed = imported(workshop, workshop.minbase), _indexed(workshop, workshop.minbase)
    series = in_turn(
        workshop.rounds,
        {
            "render": lambda: rendered(workshop, debian),
            "render, indexed": lambda: rendered(workshop, indexed),
            "doit run tree:app": lambda: _by_doit(workshop, debian),
            "doit run tree:app, indexed": lambda: _by_doit(workshop, indexed),
            "tar -x": lambda: unpacked(workshop, workshop.minbase),
        },
    )
    lines = [
        Line("the render alone", "render", "wall", "tar -x", factor=0.5),
        Line("the render alone, after `images import`", "render, indexed", "wall", "tar -x", factor=0.5),
        Line("`doit run … tree:app`", "doit run tree:app", "wall", "tar -x", factor=0.5),
        Line("`doit run … tree:app`", "doit run tree:app", "cpu", "tar -x"),
        Line("`doit run … tree:app` after `images import`", "doit run tree:app, indexed", "wall", "tar -x", factor=0.5),
    ]
    for count in COUNTS:
        made = imported(workshop, workshop.many_files(count, 1_000))
        series[f"{count:,} files"] = [_by_doit(workshop, made) for _ in range(min(3, workshop.rounds))]
    most = COUNTS[-1]
    series["import"] = [_import(workshop, workshop.many_files(most, 1_000)) for _ in range(min(3, workshop.rounds))]
    lines.append(Line(f"`doit run … tree:app` of {most:,} files", f"{most:,} files", "peak", plus=100e6))
    lines.append(Line(f"`images import` of {most:,} files", "import", "peak", plus=100e6))
    written = debian.tree.image
    notes = []
    if written.exists():
        notes.append(f"the tree of the Debian image is an index of {written.stat().st_size / 1e3:.0f} kB")
    return Finding("render", __doc__ or "", series, lines, notes, [_plot(series)])


def imported(workshop: Workshop, image: Path) -> Pod:
    """A pod `bench` of a new project, with a new data directory, that has its image and no tree."""
    project = workshop.project("render")
    project.write(spec("bench", [{"name": "app", "image": str(image)}]))
    project.bench.run(project.doit("run", "pod=bench", "image:app"))
    return Pod.of(project, "bench", "app")


def _indexed(workshop: Workshop, image: Path) -> Pod:
    """The same with the index that comes with `images import`."""
    made = imported(workshop, image)
    made.project.bench.run(made.project.podwright("images", "import", str(image)))
    return made


def _import(workshop: Workshop, image: Path) -> Sample:
    project = workshop.project("import")
    return project.bench.run(project.podwright("images", "import", str(image)))


def rendered(workshop: Workshop, made: Pod) -> Sample:
    """Make the tree, after the one that was there was moved aside."""
    _away(workshop, made)
    return timed(lambda: made.trees.render(made.recipe, Silent()))


def _by_doit(workshop: Workshop, made: Pod) -> Sample:
    _away(workshop, made)
    return made.project.bench.run(made.project.doit("run", "pod=bench", "tree:app"))


def _away(workshop: Workshop, made: Pod) -> None:
    if made.tree.root.exists():
        workshop.aside(made.tree.root)


def _plot(series: dict[str, Series]) -> Plot:
    points = [(float(count), spread(series[f"{count:,} files"], "wall").median) for count in COUNTS]
    memory = [(float(count), spread(series[f"{count:,} files"], "peak").median / 1e9) for count in COUNTS]
    curves = [Curve("time, s", points), Curve("memory, GB", memory)]
    return Plot("render", "Rendering an imported image (doit run … tree:app)", "files in the image", "s, GB", curves)
