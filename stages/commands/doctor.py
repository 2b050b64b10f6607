"""`doit doctor`: what this host can do for pods, and what it means when something is missing."""

from __future__ import annotations

import os
import shutil
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from stages.base.errors import PodwrightError
from stages.base.paths import DataDir
from stages.base.records import NamedTuple
from stages.commands import common, doctor_probes

_PYTHON = "/usr/bin/python3"
_OLDEST_PYTHON = (3, 11)
_PROGRAMS = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
_PLUGINS = ("/usr/lib/cni", "/usr/libexec/cni", "/opt/cni/bin")


class Finding(NamedTuple):
    """One line: what was looked at, whether it is there, whether pods need it, and what was found or what it means."""

    what: str
    ok: bool
    needed: bool
    text: str


class Doctor(common.PodCommand):
    """Look at the host."""

    doc_purpose = "say what this host can do for pods, and what is missing"
    instead = "`doit why pod=NAME` and `doit status pod=NAME` tell of a pod"
    cmd_options = (common.FORMAT_OPTION,)

    def do(self, options: Any, words: list[str]) -> int:
        found = list(_findings(common.data()))
        if options["format"] == "json":
            common.show_json([one._asdict() for one in found])
        else:
            common.show([(_word(one), one.what, one.text) for one in found])
        return 1 if any(one.needed and not one.ok for one in found) else 0


def _word(one: Finding) -> str:
    return "ok" if one.ok else "MISSING" if one.needed else "missing"


def _findings(data: DataDir) -> Iterator[Finding]:
    yield (root := _root())
    if root.ok:
        yield from _of_storage(data)
    yield _asked("control groups", False, doctor_probes.cgroups, "limits of cpu and memory have no effect")
    runtimes = [_runtime(name) for name in ("crun", "runc")]
    if any(one.ok for one in runtimes):
        # One is enough.
        runtimes = [one._replace(needed=False) for one in runtimes]
    yield from runtimes
    yield _asked("python", True, _python, "the built-in stage1s cannot run")
    yield _plugins()


def _of_storage(data: DataDir) -> Iterator[Finding]:
    """What only root can ask for: it depends on the file system of the data directory too."""
    yield _asked("data directory", True, lambda: doctor_probes.storage(data), "pods cannot be prepared")
    yield _asked("overlay", False, lambda: doctor_probes.overlay(data), "root file systems are copied into each pod")
    yield _asked("idmapped mounts", False, lambda: doctor_probes.idmapped(data), "no privateUsers with overlay")
    yield _asked("index trees", False, lambda: doctor_probes.index(data), "images are unpacked into directories")
    yield _asked("verity", False, lambda: doctor_probes.frozen(data), "only `doit verify` reads what is stored")


def _asked(what: str, needed: bool, probe: Callable[[], str], meaning: str) -> Finding:
    """The finding of a probe that returns what is there, and raises where nothing is."""
    try:
        return Finding(what, True, needed, probe())
    except PodwrightError as error:
        return Finding(what, False, needed, f"{error.sentence}: {meaning}")
    except OSError as error:
        place = f" ({error.filename})" if error.filename else ""
        return Finding(what, False, needed, f"{error.strerror or error}{place}: {meaning}")


def _root() -> Finding:
    if os.geteuid() == 0:
        return Finding("root", True, True, "may prepare and run pods")
    return Finding("root", False, True, "only root prepares and runs pods; storage and mounts only root can ask about")


def _runtime(name: str) -> Finding:
    """Whether an OCI runtime is there and starts."""
    program = shutil.which(name, path=f"{os.environ.get('PATH', '')}:{_PROGRAMS}")
    if program is None:
        return Finding(name, False, True, "not installed: the stage1 crun needs it or the other one")
    try:
        told = subprocess.run([program, "--version"], capture_output=True, text=True, check=False, timeout=20)
    except (OSError, subprocess.TimeoutExpired) as error:
        return Finding(name, False, True, f"{program} cannot be started: {error}")
    if told.returncode:
        return Finding(name, False, True, f"{program} --version ends with {told.returncode}")
    return Finding(name, True, True, f"{program}, {' '.join(told.stdout.splitlines()[:1])}")


def _python() -> str:
    """The interpreter that the first lines of stage1's programs name, and the modules that they import."""
    asks = "import ctypes, json, socket, sys; print('.'.join(map(str, sys.version_info[:3])))"
    try:
        told = subprocess.run([_PYTHON, "-IS", "-c", asks], capture_output=True, text=True, check=False, timeout=20)
    except subprocess.TimeoutExpired as error:
        raise PodwrightError(f"{_PYTHON} does not answer") from error
    if told.returncode:
        raise PodwrightError(f"{_PYTHON} lacks a part of its standard library")
    version = told.stdout.strip()
    if tuple(map(int, version.split(".")[:2])) < _OLDEST_PYTHON:
        raise PodwrightError(f"{_PYTHON} is {version}, older than {'.'.join(map(str, _OLDEST_PYTHON))}")
    return f"{_PYTHON} {version}"


def _plugins() -> Finding:
    folder = next((one for one in _PLUGINS if Path(one, "bridge").is_file()), None)
    if folder is None:
        return Finding("network plugins", False, False, "not installed: pods have `net: [none]` or `net: [host]` only")
    return Finding("network plugins", True, False, folder)
