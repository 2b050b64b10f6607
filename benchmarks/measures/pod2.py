"""A pod of two apps from images that are imported, started the first time and after one change, against kube play.

One app has a Debian root, the other a busybox. The first time: each side has the images as its own command that brings
them in leaves them, unpacked with podman, archives and indexes with us; ours has no tree, not even stage1's. After a
change: one environment variable of one app is another, and the same file is applied again; to a pod whose apps have
ended, with `podwright run`, `doit run` and `kube play --replace`, and to a running one, with `podwright run --replace`
and `kube play --replace`. podman's slow runs are its own affair, so its best run counts. The
second app's first instruction (a byte written to a fifo on a volume) ends the clock. No network on either side.
"""

from __future__ import annotations

import itertools
import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from benchmarks.findings import Finding, Line, Sample
from benchmarks.peers import Podman, kube
from benchmarks.sampling import FIRST_INSTRUCTION, STAYING, NotHere, Signal, in_turn, settle
from benchmarks.workshop import Project, Workshop, signalling, spec

_PODWRIGHT, _DOIT = _WAYS = ("podwright run", "doit run")
_AGAIN = "applied again after a change"
_PAUSE = ("/usr/bin/catatonit", "/usr/libexec/podman/catatonit", "/usr/local/libexec/podman/catatonit")


def measure(workshop: Workshop) -> Finding:
    """See above."""
    if not any(Path(place).exists() for place in _PAUSE):
        raise NotHere("podman's pods need catatonit, which is not installed")
    signal = workshop.signal()
    ours = _Ours(workshop, signal)
    theirs = _Theirs(workshop, signal)
    try:
        first = {name: lambda name=name: ours.first(name) for name in _WAYS} | {"kube play": theirs.first}
        series = {f"first {name}": found for name, found in in_turn(workshop.rounds, first, warm=True).items()}
        again = {name: lambda name=name: ours.again(name) for name in _WAYS} | {"kube play --replace": theirs.again}
        series |= in_turn(workshop.rounds, again, warm=True)
        running = {"run --replace": ours.replaced, "kube play --replace, running": theirs.replaced}
        series |= in_turn(min(workshop.rounds, 5), running)
    finally:
        theirs.podman.close()
    again_peer, running_peer = "kube play --replace", "kube play --replace, running"
    lines = [
        Line(f"first prepare and run, `{_PODWRIGHT}`", f"first {_PODWRIGHT}", "first", "first kube play", factor=0.5),
        Line(f"first prepare and run, `{_DOIT}`", f"first {_DOIT}", "first", "first kube play"),
        Line(f"{_AGAIN}, `{_PODWRIGHT}`", _PODWRIGHT, "first", again_peer, factor=0.2, against="low"),
        Line(f"{_AGAIN}, `{_PODWRIGHT}`", _PODWRIGHT, "first", again_peer),
        Line(f"{_AGAIN}, `{_DOIT}`", _DOIT, "first", again_peer),
        Line("running, applied again", "run --replace", "first", running_peer, against="low"),
        Line("running, applied again", "run --replace", "first", running_peer),
    ]
    return Finding("pod2", __doc__ or "", series, lines)


class _Ours:
    """The pod with podwright. Each method is a sample."""

    def __init__(self, workshop: Workshop, signal: Signal) -> None:
        self._workshop, self._signal = workshop, signal
        self._project: Project = workshop.project("pod2")
        self._numbers = itertools.count()
        # What is kept from run to run has its UUID here.
        self._documents = {name: self._spec(name, FIRST_INSTRUCTION) for name in ("import", "again")}
        self._documents["stays"] = self._spec("stays", STAYING)
        archives = [str(one) for one in (self._workshop.minbase, self._workshop.small)]
        self._project.bench.said(self._project.podwright("images", "import", *archives))
        self._run("import", _DOIT)

    def first(self, way: str) -> Sample:
        self._workshop.aside(self._project.store().trees)
        name = f"first-{next(self._numbers)}"
        self._documents[name] = self._spec(name, FIRST_INSTRUCTION)
        return self._run(name, way)

    def again(self, way: str) -> Sample:
        return self._run("again", way)

    def replaced(self) -> Sample:
        start = self._changed("stays")
        self._project.bench.begin(start, self._signal, apps=2)
        command = self._changed("stays")
        return self._project.bench.run([*command, "--replace"], self._signal, apps=2, stop=True)

    def _run(self, name: str, way: str) -> Sample:
        return self._project.bench.run(self._changed(name, way), self._signal, apps=2)

    def _changed(self, name: str, way: str = _PODWRIGHT) -> list[str]:
        """Write the spec with one value changed; the command that applies it."""
        document = self._documents[name]
        document["spec"]["containers"][1]["env"] = [{"name": "CHANGE", "value": str(next(self._numbers))}]
        self._project.write(document)
        by = {_PODWRIGHT: self._project.podwright, _DOIT: self._project.doit}[way]
        return by("run", f"pod={name}")

    def _spec(self, name: str, command: Sequence[str]) -> dict[str, Any]:
        images = {"one": self._workshop.minbase, "two": self._workshop.small}
        return spec(name, [signalling(app, image, command) for app, image in images.items()], self._signal)


class _Theirs:
    """The pod with podman. Each method is a sample."""

    def __init__(self, workshop: Workshop, signal: Signal) -> None:
        self._signal, self._file = signal, workshop.fresh("pod.yaml")
        self.podman = Podman(workshop)
        self.podman.bring(workshop.minbase_oci, "minbase")
        self.podman.bring_tar(workshop.small_tar, "small")
        self._numbers = itertools.count()

    def first(self) -> Sample:
        name = f"first-{next(self._numbers)}"
        sample = self._play(name, FIRST_INSTRUCTION)
        self.podman.say("pod", "rm", "--force", "--time", "0", name)
        settle()
        return sample

    def again(self) -> Sample:
        return self._play("again", FIRST_INSTRUCTION, "--replace")

    def replaced(self) -> Sample:
        return self._play("stays", STAYING, "--replace")

    def _play(self, name: str, command: Sequence[str], *words: str) -> Sample:
        apps = {"one": "localhost/minbase", "two": "localhost/small"}
        self._file.write_text(json.dumps(kube(name, apps, self._signal, command, str(next(self._numbers)))))
        told = self.podman.command("kube", "play", "--network=none", *words, str(self._file))
        return self.podman.sample(told, self._signal, apps=2, leaves_running=True)
