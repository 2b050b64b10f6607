"""What a run asks before it does anything, and what stands before an app's first instruction, is quick to load."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from stages.stage1 import flavors

ROOT = Path(__file__).parent.parent
# Each of these, or what it loads in turn, takes from a tenth of Python's own start to all of it.
HEAVY = frozenset(
    {
        *("argparse", "collections", "contextlib", "copy", "dataclasses", "doit", "enum", "functools", "hashlib"),
        *("inspect", "json", "logging", "pathlib", "random", "re", "shutil", "signal", "socket", "subprocess"),
        *("tempfile", "threading", "traceback", "typing", "yaml"),
    }
)
# What only a step that does something needs, or a spec that was not seen before.
OF_WORK = frozenset(
    {
        *("jsonschema", "psutil", "ssl", "stages.linux.workers", "stages.stage1.flavors", "yaml"),
        *(f"stages.images.{name}" for name in ("build", "compression", "entry", "guard", "intake", "inventory")),
        *(f"stages.images.{name}" for name in ("keys", "oci", "openpgp", "pull", "remote", "signature", "tar")),
        *(f"stages.pod.{name}" for name in ("inside", "kvm", "metadata", "start")),
        *(f"stages.spec.{name}" for name in ("checks", "document", "fitting", "schema", "words", "yaml")),
        *(f"stages.trees.{name}" for name in ("directory", "erofs", "erofs_probe", "merge", "model")),
    }
)


def loaded(root: Path, *modules: str) -> set[str]:
    """What Python has in memory when it has imported `modules`, which are under `root`."""
    program = f"import sys; sys.path.insert(0, {str(root)!r}); import {', '.join(modules)}; print(*sys.modules)"
    command = ["/usr/bin/python3", "-ISBc", program]
    names = set(subprocess.run(command, capture_output=True, text=True, check=True).stdout.split())
    assert names >= set(modules)
    return names


@pytest.mark.parametrize("flavor", ["crun", "fly"])
@pytest.mark.parametrize("module", ["main", "entry"])
def test_of_stage1(flavor: str, module: str, tmp_path: Path) -> None:
    for path, kind, _, content in flavors.members(flavor):
        if kind == "file" and isinstance(content, bytes):
            (tmp_path / path).parent.mkdir(parents=True, exist_ok=True)
            (tmp_path / path).write_bytes(content)
    assert not HEAVY & loaded(tmp_path / "usr/lib/podwright", f"stages.stage1.{flavor}.{module}")


def test_of_the_process_that_becomes_stage1() -> None:
    assert not HEAVY & loaded(ROOT, "stages.commands.podwright", "stages.commands.apart", "stages.linux.acts")


@pytest.mark.parametrize("command", ["ps", "status", "stop", "enter", "rm", "gc"])
def test_of_a_command(command: str) -> None:
    heavy = {"argparse", "dataclasses", "doit", "inspect", "logging", "psutil", "shutil", "socket", "tempfile", "yaml"}
    assert not heavy & loaded(ROOT, "stages.commands.light", f"stages.commands.{command}")


def test_of_a_run_that_does_everything() -> None:
    """dataclasses, with what it loads, takes as long as Python's own start; random and tempfile half of that."""
    steps = ("images.build", "images.finder", "images.oci_import", "linux.workers", "pod.start")
    steps += ("stage1.flavors", "trees.directory", "trees.erofs", "trees.fingerprint", "trees.merge")
    names = loaded(ROOT, "stages.graph.direct", *(f"stages.{name}" for name in steps))
    assert not {"dataclasses", "inspect", "random", "shutil", "tempfile"} & names


def test_of_a_run_that_asks_its_steps() -> None:
    """What asking them loads in turn, a system test looks at: test_cost.py."""
    program = "import dodo, sys; print(*sys.modules)"
    done = subprocess.run([sys.executable, "-Bc", program], cwd=ROOT, capture_output=True, text=True, check=True)
    names = set(done.stdout.split())
    assert names >= {"stages.graph.session", "stages.render_tree"} and not OF_WORK & names
