"""The quick check of an unchanged tree against its full check, in both forms of a tree, and against the tree's size.

Quick is what every run does to every tree: an index is compared by the stamps of a few files, a directory by the inode
of every file in it. Full reads and hashes everything (`doit verify`). Made images from 1,000 files and 10 MB to
100,000 files and 2 GB; both forms of each lie on the same disk. Everything is warm. The functions are called in this
process: nothing of Python's or doit's start is in the figures.
"""

from __future__ import annotations

from pathlib import Path

from benchmarks.findings import Curve, Finding, Line, Plot, Series, spread
from benchmarks.sampling import NotHere, in_turn, timed
from benchmarks.workshop import Pod, Workshop, spec
from stages.base.progress import Silent

# Files, and bytes in each.
SIZES = ((1_000, 10_000), (10_000, 14_000), (100_000, 20_000))
FORMS = ("index", "directory")


def measure(workshop: Workshop) -> Finding:
    """See above."""
    series: dict[str, Series] = {}
    for count, size in SIZES:
        made = _rendered(workshop, workshop.many_files(count, size))
        if not made.tree.image.exists():
            raise NotHere("this machine has trees as directories only")
        # The same tree as stage1's are made: as files.
        as_files = made._replace(recipe=made.recipe._replace(plain=True))
        as_files.trees.render(as_files.recipe, Silent())
        for form, one in zip(FORMS, (made, as_files), strict=True):
            series |= _checked(one, f"{form} of {count:,} files", workshop.rounds)
    most = f"{SIZES[-1][0]:,} files"
    smallest = f"index of {SIZES[0][0]:,} files"
    lines = [
        Line(
            "index of 100,000 files, quick",
            f"quick, index of {most}",
            "wall",
            f"quick, {smallest}",
            factor=1,
            plus=0.0002,
        ),
        Line("index of 100,000 files, quick", f"quick, index of {most}", "wall", f"full, index of {most}"),
        Line("index of 1,000 files, quick", f"quick, {smallest}", "wall", f"full, {smallest}"),
        Line("directory of 100,000 files, quick", f"quick, directory of {most}", "wall", f"full, directory of {most}"),
        Line("index against directory, quick", f"quick, index of {most}", "wall", f"quick, directory of {most}"),
    ]
    return Finding("check", __doc__ or "", series, lines, [], [_plot(series)])


def _rendered(workshop: Workshop, archive: Path) -> Pod:
    project = workshop.project("check")
    project.write(spec("bench", [{"name": "app", "image": str(archive)}]))
    project.bench.run(project.doit("run", "pod=bench", "tree:app"))
    return Pod.of(project, "bench", "app")


def _checked(made: Pod, what: str, rounds: int) -> dict[str, Series]:
    trees, tree_id = made.trees, made.recipe.tree_id

    def quick() -> None:
        assert trees.verdict(tree_id).fresh

    def full() -> None:
        assert trees.full(tree_id, jobs=2).fresh

    found = in_turn(rounds * 4, {f"quick, {what}": lambda: timed(quick)}, warm=True)
    return found | in_turn(min(rounds, 3), {f"full, {what}": lambda: timed(full)})


def _plot(series: dict[str, Series]) -> Plot:
    curves = []
    for form in FORMS:
        for kind in ("quick", "full"):
            names = [(count, f"{kind}, {form} of {count:,} files") for count, _ in SIZES]
            points = [(float(count), spread(series[name], "wall").median * 1e3) for count, name in names]
            curves.append(Curve(f"{form}, {kind}", points))
    return Plot("check", "Checking an unchanged tree", "files in the tree", "ms", curves)
