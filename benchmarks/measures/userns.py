"""A pod with private users prepared and started, against the same pod without, for a small and a large image.

Both from imported images whose trees were moved aside, so that each prepare makes them. The first instruction is a
byte that the app writes to a fifo on a volume. Each pod has its own UUID and stays what it is over the runs, as a pod
in use does.
"""

from __future__ import annotations

from benchmarks.findings import Finding, Line, Sample
from benchmarks.sampling import Signal, in_turn
from benchmarks.workshop import Project, Workshop, signalling, spec


def measure(workshop: Workshop) -> Finding:
    """See above."""
    signal = workshop.signal()
    project = workshop.project("userns")
    images = {"2 MB": workshop.small, "170 MB": workshop.minbase}
    arms = {}
    for size, image in images.items():
        for users in ("host", "private"):
            name = f"{users}-{size.split()[0]}"
            chosen = {"privateUsers": "auto"} if users == "private" else {}
            project.write(spec(name, [signalling("app", image)], signal, **chosen))
            project.bench.run(project.doit("run", f"pod={name}"), signal)
            arms[f"prepare {size}, {users} users"] = lambda name=name: _prepare(workshop, project, name)
            arms[f"start {size}, {users} users"] = lambda name=name: _start(project, name, signal)
    series = in_turn(workshop.rounds, arms)
    lines = []
    for verb, quantity, factor in (("prepare", "wall", 1.05), ("prepare", "cpu", None), ("start", "first", None)):
        for size in images:
            ours, peer = f"{verb} {size}, private users", f"{verb} {size}, host users"
            lines.append(Line(f"{verb}, image of {size}", ours, quantity, peer, factor=factor))
    return Finding("userns", __doc__ or "", series, lines)


def _prepare(workshop: Workshop, project: Project, pod: str) -> Sample:
    workshop.aside(project.store().trees)
    return project.bench.run(project.doit("run", f"pod={pod}", "manifest"))


def _start(project: Project, pod: str, signal: Signal) -> Sample:
    return project.bench.run(project.doit("run", f"pod={pod}"), signal)
