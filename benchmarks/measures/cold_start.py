"""From a compressed archive in a file to the app's first instruction, on a host that has never seen the image.

Ours: `podwright run`, and `doit run`, of a pod in an empty data directory, flavor crun. Peers: `podman pull oci:...`
of the same root (one layer, compressed alike) and `podman run` of it, in a store that podman has set up before, but
that is empty; and `gunzip | sha512sum`, which everybody who checks what he runs has to do at least. The files are in
memory for all. The app is a shell that writes a byte to a fifo on a volume; the time of that byte is the app's first
instruction.
"""

from __future__ import annotations

import shlex

from benchmarks.findings import Finding, Line, Sample
from benchmarks.peers import Podman
from benchmarks.sampling import FIRST_INSTRUCTION, Signal, in_turn
from benchmarks.workshop import Project, Workshop, signalling, spec

_GZ = "`.aci.gz` to running app"


def measure(workshop: Workshop) -> Finding:
    """See above."""
    signal = workshop.signal()
    project = workshop.project("cold-start")
    project.write(spec("cold", [signalling("debian", workshop.minbase_gz)], signal))
    hashing = ["sh", "-c", f"gunzip <{workshop.minbase_gz} | sha512sum"]
    layout = workshop.minbase_oci
    podmans: list[Podman] = []

    def podman() -> Sample:
        podmans.append(Podman(workshop))
        return _pull_and_run(podmans[-1], f"oci:{layout}:latest", signal)

    try:
        series = in_turn(
            workshop.rounds,
            {
                "podwright run": lambda: _cold(workshop, project.podwright("run", "pod=cold"), project, signal),
                "doit run": lambda: _cold(workshop, project.doit("run", "pod=cold"), project, signal),
                "podman pull + run": podman,
                "gunzip | sha512sum": lambda: _hashed(project, hashing),
            },
        )
    finally:
        for one in podmans:
            one.close()
    lines = [
        Line(f"{_GZ}, `podwright run`", "podwright run", "first", "gunzip | sha512sum", factor=0.8, plus=0.15),
        Line(f"{_GZ}, `podwright run`", "podwright run", "first", "podman pull + run", factor=0.45),
        Line(f"{_GZ}, `podwright run`", "podwright run", "cpu", "podman pull + run"),
        Line(f"{_GZ}, `doit run`", "doit run", "first", "gunzip | sha512sum"),
        Line(f"{_GZ}, `doit run`", "doit run", "first", "podman pull + run", factor=0.45),
    ]
    return Finding("cold_start", __doc__ or "", series, lines)


def _cold(workshop: Workshop, command: list[str], project: Project, signal: Signal) -> Sample:
    alone = workshop.with_data(project.root, workshop.fresh("data"))
    return alone.bench.run(command, signal)


def _hashed(project: Project, command: list[str]) -> Sample:
    sample = project.bench.run(command)
    return {**sample, "first": sample["wall"]}


def _pull_and_run(podman: Podman, image: str, signal: Signal) -> Sample:
    pull = shlex.join(podman.command("pull", "--quiet", image))
    run = shlex.join(podman.command("run", "--rm", *podman.volume(signal)))
    start = shlex.join(FIRST_INSTRUCTION)
    return podman.sample(["sh", "-c", f"image=$({pull}) && {run} $image {start}"], signal)
