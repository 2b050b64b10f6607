"""Where the measures work: a directory of this run on the disk, its projects and data directories, and the images.

Nothing is deleted while it is measured: each sample that makes files gets a new directory, and what has to go is
renamed aside.
"""

from __future__ import annotations

import functools
import itertools
import os
import shutil
import sys
import uuid
from collections.abc import Sequence
from functools import cached_property
from pathlib import Path
from typing import Any, NamedTuple

from benchmarks import archives
from benchmarks.machine import Apart
from benchmarks.sampling import FIRST_INSTRUCTION, Bench, Signal
from stages.base.paths import DataDir, TreePaths
from stages.images import build
from stages.pod.context import Context
from stages.spec.catalog import Catalog
from stages.trees.recipe import Recipe
from stages.trees.store import TreeStore

CHECKOUT = Path(__file__).parents[1]
BIN = Path(sys.executable).parent
PYTHON, DOIT, PODWRIGHT = (BIN / name for name in ("python", "doit", "podwright"))

# Of a variable name each, so that nothing of the caller's changes what is measured.
_KEPT = ("PATH", "HOME", "LANG", "TERM", "USER")


class Project(NamedTuple):
    """A folder with dodo.py and pods/, the data directory in use, and the bench to run commands on."""

    root: Path
    data: Path
    bench: Bench

    def doit(self, *words: str) -> list[str]:
        """`doit` with these words, as somebody types it."""
        return [str(DOIT), *words]

    def podwright(self, *words: str) -> list[str]:
        """The same for `podwright`."""
        return [str(PODWRIGHT), *words]

    def write(self, spec: dict[str, Any]) -> None:
        """Write a spec to pods/<name>.yaml. JSON is YAML, and needs no dumper."""
        import yaml

        (self.root / "pods" / f"{spec['metadata']['name']}.yaml").write_text(yaml.safe_dump(spec, sort_keys=False))

    def store(self) -> DataDir:
        """The data directory, for functions that are called without a command."""
        return DataDir(self.data)


class Pod(NamedTuple):
    """One app of a prepared or half-prepared pod, as functions of podwright see it, for what is called in-process."""

    project: Project
    trees: TreeStore
    recipe: Recipe

    @classmethod
    def of(cls, project: Project, pod: str, app: str) -> Pod:
        """The app's image has to be in the store."""
        data = project.store()
        context = Context(project.root, data, Catalog(project.root, data.cache).select(pod), {})
        return cls(project, context.trees, context.recipe(app))

    @property
    def tree(self) -> TreePaths:
        """Where the app's tree is, or will be."""
        return self.trees.data.tree(self.recipe.tree_id)


class Workshop:
    """One run of the benchmarks. cache: archives that are kept from run to run. rounds: samples of each thing."""

    def __init__(self, scratch: Path, cache: Path, rounds: int) -> None:
        self.scratch, self.cache, self.rounds = scratch, cache, rounds
        self._numbers = itertools.count()
        self.bench = Bench(CHECKOUT, scratch / "log", {name: os.environ[name] for name in _KEPT if name in os.environ})

    def fresh(self, label: str) -> Path:
        """A name that nothing has yet, on the disk."""
        return self.scratch / f"{next(self._numbers)}-{label}"

    def aside(self, path: Path) -> None:
        """Take something away without deleting it."""
        path.rename(self.fresh("aside"))

    def project(self, label: str, data: Path | None = None) -> Project:
        """A new project, with a new data directory unless one is given."""
        root = self.fresh(label)
        (root / "pods").mkdir(parents=True)
        shutil.copy(CHECKOUT / "dodo.py", root)
        compile_all(self.bench, root)
        return self.with_data(root, data or self.fresh(f"{label}-data"))

    def with_data(self, root: Path, data: Path) -> Project:
        """The project at `root` with another data directory."""
        environment = {**self.bench.environment, "PODWRIGHT_DIR": str(data)}
        return Project(root, data, Bench(root, self.bench.log, environment))

    def signal(self) -> Signal:
        """A new fifo for apps to report on."""
        return Signal(self.fresh("signal"))

    @cached_property
    def apart(self) -> Apart:
        """The peers' mount namespace."""
        return Apart()

    # ---- images

    @cached_property
    def minbase_tar(self) -> Path:
        """A Debian root, 170 MB."""
        return archives.debian(self.cache / "minbase.tar")

    @cached_property
    def minbase(self) -> Path:
        """The same as an ACI file."""
        return self._kept("minbase.aci", lambda path: _aci(path, self.minbase_tar, compress=False))

    @cached_property
    def minbase_gz(self) -> Path:
        """The same compressed."""
        return self._kept("minbase.aci.gz", lambda path: _aci(path, self.minbase_tar, compress=True))

    @cached_property
    def minbase_oci(self) -> Path:
        """The same root as an OCI layout."""
        layer = self.fresh("layer.tar.gz")
        diff_id = archives.compressed(self.minbase_tar, layer)
        return archives.oci_layout(self.fresh("oci"), layer, diff_id)

    @cached_property
    def minbase_root(self) -> Path:
        """The same root as a directory, unpacked by tar."""
        target = self.fresh("root")
        target.mkdir()
        self.bench.run(["tar", "-xf", str(self.minbase_tar), "-C", str(target)])
        return target

    @cached_property
    def small(self) -> Path:
        """An ACI file with busybox, 2 MB."""
        return archives.write(self.fresh("small.aci"), "podwright.dev/bench-small", archives.busybox())

    @cached_property
    def small_tar(self) -> Path:
        """The same root as the plain tar archive that podman imports."""
        path = self.fresh("small.tar")
        with open(path, "wb") as out:
            build.write_tar(out, archives.busybox())
        return path

    @cached_property
    def stage1_true(self) -> Path:
        """A stage1 that ends at once."""
        return archives.stage1_true(self.fresh("stage1-true.aci"))

    @functools.cache  # noqa: B019 - one workshop a process
    def many_files(self, count: int, size: int) -> Path:
        """An ACI file of that many files of that size."""
        return archives.many_files(self.fresh(f"{count}.aci"), count, size)

    def _kept(self, name: str, make: Any) -> Path:
        path = self.cache / name
        if not path.exists() or path.stat().st_mtime < self.minbase_tar.stat().st_mtime:
            new = self.cache / f"new-{name}"
            make(new)
            new.rename(path)
        return path


def _aci(path: Path, root: Path, compress: bool) -> None:
    archives.write(path, "podwright.dev/bench-minbase", archives.members_of(root), compress)


def compile_all(bench: Bench, *places: Path) -> None:
    """Bytecode, as tools/setup.sh leaves it."""
    bench.said([str(PYTHON), "-m", "compileall", "-q", *map(str, places)])


def spec(
    name: str, containers: Sequence[dict[str, Any]], signal: Signal | None = None, **stage0: Any
) -> dict[str, Any]:
    """A spec with a new UUID and no network; with a signal, its directory is mounted into every app."""
    body: dict[str, Any] = {"containers": list(containers)}
    if signal is not None:
        body["volumes"] = [{"name": "signal", "hostPath": {"path": str(signal.folder)}}]
    return {
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {"name": name, "uid": str(uuid.uuid4())},
        "spec": body,
        "stage0": {"net": ["none"], **stage0},
    }


def signalling(name: str, image: Path, command: Sequence[str] = FIRST_INSTRUCTION) -> dict[str, Any]:
    """A container whose app says that it began, and ends."""
    mounts = [{"name": "signal", "mountPath": "/signal"}]
    return {"name": name, "image": str(image), "command": list(command), "volumeMounts": mounts}
