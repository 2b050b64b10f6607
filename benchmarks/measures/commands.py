"""What people type beside a running pod: lists, a state, a command in an app; against podman's words for the same.

One pod of one app runs, a busybox root without a network, on each side, and one image is stored. `podwright enter` and
`podman exec` run `true` in it. The clock runs from the command to its end.
"""

from __future__ import annotations

from benchmarks.findings import Finding, Line
from benchmarks.peers import Podman
from benchmarks.sampling import STAYING, in_turn
from benchmarks.workshop import Workshop, signalling, spec

ROUNDS = 2  # times the rounds asked for: a command is short
_PAIRS = {
    "ps": ("ps", "ps"),
    "status pod=P": ("status pod=stays", "inspect stays"),
    "images": ("images", "images"),
    "enter pod=P -- true": ("enter pod=stays -- true", "exec stays true"),
}


def measure(workshop: Workshop) -> Finding:
    """See above."""
    signal, project, podman = workshop.signal(), workshop.project("commands"), Podman(workshop)
    project.write(spec("stays", [signalling("app", workshop.small, STAYING)], signal))
    podman.bring_tar(workshop.small_tar, "small")
    arms = {}
    for ours, theirs in _PAIRS.values():
        arms[f"podwright {ours}"] = lambda line=ours: project.bench.run(project.podwright(*line.split()))
        arms[f"podman {theirs}"] = lambda line=theirs: podman.sample(podman.command(*line.split()))
    try:
        project.bench.begin(project.podwright("run", "pod=stays"), signal, apps=1)
        podman.say("run", "--detach", "--name=stays", *podman.volume(signal), "localhost/small", *STAYING)
        series = in_turn(workshop.rounds * ROUNDS, arms, warm=True)
        project.bench.said(project.podwright("stop", "pod=stays"))
    finally:
        podman.close()
    lines = []
    for what, (ours, theirs) in _PAIRS.items():
        lines += [
            Line(f"`podwright {what}`", f"podwright {ours}", unit, f"podman {theirs}") for unit in ("wall", "cpu")
        ]
    return Finding("commands", __doc__ or "", series, lines)
