"""A prepared pod that needs nothing, from the command to its app's first instruction, against podman and crun.

`doit run` and `podwright run` check every tree, mount a new overlay and become stage1 (flavor crun), which starts the
app. Peers: `podman run --rm` of the same root, `podman start` of a container that was created and has run before, and
`crun run` alone on a directory with the same root, which checks, mounts and keeps nothing. None of them has a network.
The app is a shell that writes a byte to a fifo on a volume; the time of that byte is the app's first instruction.
"""

from __future__ import annotations

import itertools

from benchmarks.findings import Finding, Line, Sample
from benchmarks.peers import Podman, crun_bundle
from benchmarks.sampling import FIRST_INSTRUCTION, in_turn
from benchmarks.workshop import PODWRIGHT, Workshop, signalling, spec

ROUNDS = 2  # times the rounds asked for: a start is short


def measure(workshop: Workshop) -> Finding:
    """See above."""
    signal = workshop.signal()
    project = workshop.project("start")
    project.write(spec("debian", [signalling("app", workshop.minbase)], signal))
    podman = Podman(workshop)
    podman.bring(workshop.minbase_oci, "minbase")
    told = (*podman.volume(signal), "localhost/minbase", *FIRST_INSTRUCTION)
    podman.say("create", "--name=again", *told)
    bundle = crun_bundle(workshop, workshop.minbase_root, signal)
    numbers = itertools.count()

    def crun() -> Sample:
        command = ["crun", "run", "--bundle", str(bundle), f"bench-{next(numbers)}"]
        return podman.sample(command, signal)

    arms = {
        "doit run": lambda: project.bench.run(project.doit("run", "pod=debian"), signal),
        "podman run": lambda: podman.sample(podman.command("run", "--rm", *told), signal),
        "podman start": lambda: podman.sample(podman.command("start", "again"), signal),
        "crun run": crun,
    }
    if PODWRIGHT.exists():
        arms["podwright run"] = lambda: project.bench.run([str(PODWRIGHT), "run", "pod=debian"], signal)
    try:
        series = in_turn(workshop.rounds * ROUNDS, arms, warm=True)
    finally:
        podman.close()
    return Finding("start", __doc__ or "", series, _lines(PODWRIGHT.exists()))


def _lines(podwright: bool) -> list[Line]:
    lines = [
        Line("`doit run`", "doit run", "first", "podman run", factor=0.9),
        Line("`doit run`", "doit run", "first", "podman start"),
        Line("`doit run`, the app to its end", "doit run", "wall", "podman run"),
        Line("`doit run`, the app to its end", "doit run", "cpu", "podman run"),
    ]
    if podwright:
        lines += [
            Line("`podwright run`", "podwright run", "first", "podman start", factor=0.6),
            Line("`podwright run`", "podwright run", "first", "crun run", factor=5),
            Line("`podwright run`, the app to its end", "podwright run", "cpu", "podman run"),
        ]
    return lines
