"""A run with nothing to do, up to the exec of the pod's init, against Python's own start and doit's import.

The pod is a Debian minbase root over an overlay, prepared before. Its stage1 is a static `true`, so that the process
ends at the exec; that program's own cost is shown and not subtracted. CPU time is of the whole tree of processes: all
trees are checked, the old run is cleared away, the mounts are made. `doit` is the one of this checkout, which looks at
the remembered start before it loads doit's package; `python -m doit` is what pip's script does, and looks after. The
peers are the same Python, in the same environment, that runs doit.
"""

from __future__ import annotations

from benchmarks.findings import Finding, Line, Sample
from benchmarks.sampling import in_turn
from benchmarks.workshop import PYTHON, Project, Workshop, spec

ROUNDS = 4  # times the rounds asked for: a run is short


def measure(workshop: Workshop) -> Finding:
    """See above."""
    project = pod(workshop)

    def python(words: str) -> Sample:
        return project.bench.run([str(PYTHON), "-c", words])

    series = in_turn(
        workshop.rounds * ROUNDS,
        {
            "doit run": lambda: project.bench.run(project.doit("run", "pod=bench")),
            "python -m doit run": lambda: project.bench.run([str(PYTHON), "-m", "doit", "run", "pod=bench"]),
            "python -c pass": lambda: python("pass"),
            "import doit": lambda: python("import doit"),
            "import doit, its command line and sqlite": lambda: python("import doit.doit_cmd, sqlite3"),
            "the init itself": lambda: project.bench.run(["/bin/busybox", "true"]),
        },
        warm=True,
    )
    lines = [
        Line("`doit run` with nothing to do", "doit run", "cpu", "python -c pass", plus=0.090),
        Line("the same, sharper target", "doit run", "cpu", "import doit", plus=0.075),
        Line("by doit's own script", "python -m doit run", "cpu", "import doit"),
        Line("what doit needs for itself", "import doit, its command line and sqlite", "cpu", "python -c pass"),
        Line("the same run", "doit run", "wall", "python -c pass"),
        Line("the stage1 that ends at once", "the init itself", "cpu"),
    ]
    return Finding("noop", __doc__ or "", series, lines)


def pod(workshop: Workshop) -> Project:
    """A project with the pod `bench`, prepared, which ends at the exec of its init."""
    project = workshop.project("noop")
    container = {"name": "debian", "image": str(workshop.minbase)}
    project.write(spec("bench", [container], stage1=str(workshop.stage1_true)))
    project.bench.run(project.doit("run", "pod=bench"))
    return project
