"""The same run with nothing to do by the `podwright` command, which decides without doit.

As in noop: one prepared pod of a Debian minbase root, a stage1 that is a static `true`, CPU time of the whole tree of
processes up to the exec; in turn with `doit run` of the same pod.
"""

from __future__ import annotations

from benchmarks.findings import Finding, Line
from benchmarks.measures import noop
from benchmarks.sampling import NotHere, in_turn
from benchmarks.workshop import PODWRIGHT, PYTHON, Workshop


def measure(workshop: Workshop) -> Finding:
    """See above."""
    if not PODWRIGHT.exists():
        raise NotHere("there is no `podwright` command in the virtual environment")
    project = noop.pod(workshop)
    series = in_turn(
        workshop.rounds * noop.ROUNDS,
        {
            "podwright run": lambda: project.bench.run(project.podwright("run", "pod=bench")),
            "doit run": lambda: project.bench.run(project.doit("run", "pod=bench")),
            "python -c pass": lambda: project.bench.run([str(PYTHON), "-c", "pass"]),
        },
        warm=True,
    )
    lines = [
        Line("`podwright run` with nothing to do", "podwright run", "cpu", "python -c pass", plus=0.025),
        Line("the same run", "podwright run", "cpu", "doit run"),
        Line("the same run", "podwright run", "wall", "doit run"),
    ]
    return Finding("podwright", __doc__ or "", series, lines)
