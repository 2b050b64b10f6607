"""The built-in images: what they consist of, the same every time, and free of the rest of the project."""

from __future__ import annotations

import ast
import json
import subprocess
import sys
from pathlib import Path

import pytest

from stages.stage1 import WORDS, flavors
from stages.stage1.flavors import FLAVORS, manifest, members

PACKAGE = Path(flavors.__file__).parent


def test_every_word_of_a_spec_is_a_flavor() -> None:
    assert tuple(FLAVORS) == WORDS


@pytest.mark.parametrize("flavor", FLAVORS)
def test_every_entrypoint_is_an_executable_member(flavor: str) -> None:
    found = {path: (kind, mode) for path, kind, mode, _ in members(flavor)}
    annotations = FLAVORS[flavor].annotations
    for name in ("run", "enter", "gc", "stop"):
        assert found[annotations[f"coreos.com/rkt/stage1/{name}"].lstrip("/")] == ("file", 0o755)
    for directory in ("rkt/status", "rkt/env", "opt/stage2", "etc"):
        assert found[directory][0] == "directory"
    assert ("flavor", "symlink", 0o777, flavor) in members(flavor)


@pytest.mark.parametrize("flavor", FLAVORS)
def test_parents_come_before_their_members(flavor: str) -> None:
    seen = {""}
    for path, kind, _, _ in members(flavor):
        assert path.rpartition("/")[0] in seen
        if kind == "directory":
            seen.add(path)


def test_members_are_the_same_in_another_process() -> None:
    made = "hashlib.sha256(repr(flavors.members('crun')).encode()).hexdigest()"
    script = f"import hashlib; from stages.stage1 import flavors; print({made})"
    run = [sys.executable, "-c", f"import json, decimal, email.message; {script}"]
    first, second = (
        subprocess.run(command, capture_output=True, text=True, check=True, cwd=PACKAGE.parent.parent).stdout
        for command in (run, [sys.executable, "-c", script])
    )
    assert first == second


def test_the_manifest_is_an_image_manifest() -> None:
    document = json.loads(json.dumps(manifest("crun", "1.0.0", "amd64")))
    assert document["acKind"] == "ImageManifest" and document["name"] == "podwright.dev/stage1-crun"
    values = {pair["name"]: pair["value"] for pair in document["annotations"]}
    assert values["coreos.com/rkt/stage1/interface-version"].isdecimal()


def test_programs_import_the_standard_library_and_themselves_only() -> None:
    foreign = []
    for path in PACKAGE.glob("*/*.py"):
        for node in ast.walk(ast.parse(path.read_text())):
            names = [node.module or ""] if isinstance(node, ast.ImportFrom) else []
            names += [alias.name for alias in node.names] if isinstance(node, ast.Import) else []
            for name in names:
                top = name.split(".")[0]
                if not (name.startswith("stages.stage1.") or (top in sys.stdlib_module_names and top != "stages")):
                    foreign.append((path.name, name))
    assert foreign == []
