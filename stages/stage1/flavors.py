"""The built-in stage1 images: which flavors there are, and every member of each one's image."""

from __future__ import annotations

import importlib.util
import marshal
import sys
from pathlib import Path

from stages.stage1.lib.init import ENDED

_PACKAGE = Path(__file__).parent
_LIBRARY = "usr/lib/podwright/stages/stage1"
_PREFIX = "coreos.com/rkt/stage1/"
# Names the file that says that a run left nothing for gc to do.
_ENDED = "podwright.dev/stage1/ended"
# Says that `run` is a program in Python which a Python that runs already may go on as.
_PYTHON = "podwright.dev/stage1/python"
_EMPTY_PACKAGE = b'"""Holds the programs of a stage1 image."""\n'


class Flavor:
    """One built-in flavor: the image's `name`, its `annotations`, `programs` (image path -> source) and `packages`."""

    def __init__(
        self, word: str, interface: int, programs: dict[str, str], packages: tuple[str, ...], ended: str = ""
    ) -> None:
        self.word = word
        self.name = f"podwright.dev/stage1-{word}"
        self.programs = programs
        self.packages = packages
        self.annotations = {f"{_PREFIX}{Path(path).name}": f"/{path}" for path in programs}
        self.annotations[f"{_PREFIX}interface-version"] = str(interface)
        if ended:
            self.annotations |= {_ENDED: ended, _PYTHON: "run"}


_STOP = "lib/stop.py"
_TELL = "stub/tell.sh"
FLAVORS = {
    flavor.word: flavor
    for flavor in (
        Flavor(
            "crun",
            6,
            {"run": "crun/init.py", "enter": "crun/enter.py", "gc": "crun/gc.py", "stop": _STOP},
            ("lib", "crun"),
            ENDED,
        ),
        Flavor(
            "fly",
            6,
            {"run": "fly/init.py", "enter": "fly/enter.py", "gc": "fly/gc.py", "stop": _STOP},
            ("lib", "fly"),
            ENDED,
        ),
        Flavor("stub", 6, {"run": _TELL, "enter": _TELL, "gc": _TELL, "stop": _TELL}, ("stub",)),
    )
}
_DIRECTORIES = ("etc", "opt", "opt/stage2", "rkt", "rkt/env", "rkt/status", "usr", "usr/lib", "usr/lib/podwright")


def manifest(flavor: str, version: str, arch: str) -> dict[str, object]:
    """The image manifest of `flavor`: appc JSON with the entrypoint annotations of contract H.1."""
    facts = FLAVORS[flavor]
    labels = {"version": version, "os": "linux", "arch": arch}
    return {
        "acKind": "ImageManifest",
        "acVersion": "0.8.11",
        "name": facts.name,
        "labels": [{"name": name, "value": value} for name, value in labels.items()],
        "annotations": [{"name": name, "value": value} for name, value in facts.annotations.items()],
    }


def members(flavor: str) -> list[tuple[str, str, int, bytes | str]]:
    """Everything below the image's rootfs as (path, kind, mode, content), sorted so that parents come first.

    kind is "directory" (content b""), "file" (content bytes) or "symlink" (content the target, str). The same sources
    give the same members; owners are root, times are the builder's to set.
    """
    facts = FLAVORS[flavor]
    result: dict[str, tuple[str, int, bytes | str]] = dict.fromkeys(_DIRECTORIES, ("directory", 493, b""))
    result["flavor"] = ("symlink", 0o777, flavor)
    for path, source in facts.programs.items():
        result[path] = ("file", 0o755, (_PACKAGE / source).read_bytes())
    result["usr/lib/podwright/stages"] = result[_LIBRARY] = ("directory", 0o755, b"")
    result["usr/lib/podwright/stages/__init__.py"] = ("file", 0o644, _EMPTY_PACKAGE)
    result[f"{_LIBRARY}/__init__.py"] = ("file", 0o644, _EMPTY_PACKAGE)
    programs = {_PACKAGE / source for other in FLAVORS.values() for source in other.programs.values()}
    for package in facts.packages:
        result[f"{_LIBRARY}/{package}"] = ("directory", 0o755, b"")
        for source_file in sorted((_PACKAGE / package).iterdir()):
            if source_file.suffix == ".py" and source_file not in programs:
                result[f"{_LIBRARY}/{package}/{source_file.name}"] = ("file", 0o644, source_file.read_bytes())
    return [(path, *member) for path, member in sorted(_with_bytecode(result).items())]


def _with_bytecode(found: dict[str, tuple[str, int, bytes | str]]) -> dict[str, tuple[str, int, bytes | str]]:
    """Add this Python's bytecode beside each module: compiling at every start would cost more than running.

    The files are marked as never to be checked against their source, so they hold no times; other versions of Python
    do not look at them. Version 2 of marshal is the last that does not depend on what else the process has in memory.
    """
    result = dict(found)
    for path, (kind, _, content) in found.items():
        if kind == "file" and path.endswith(".py") and isinstance(content, bytes):
            directory, _, name = path.rpartition("/")
            code = compile(content, f"/{path}", "exec", dont_inherit=True, optimize=0)
            header = importlib.util.MAGIC_NUMBER + (1).to_bytes(4, "little") + importlib.util.source_hash(content)
            cached = f"{name.removesuffix('.py')}.{sys.implementation.cache_tag}.pyc"
            result[f"{directory}/__pycache__"] = ("directory", 0o755, b"")
            result[f"{directory}/__pycache__/{cached}"] = ("file", 0o644, header + marshal.dumps(code, 2))
    return result
