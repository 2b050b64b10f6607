"""A scratch project with a data directory of its own, driven through the real `doit` as a user would."""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import sys
from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import yaml

from stages.images import build
from stages.images.build import Member
from stages.linux import host

CHECKOUT = Path(__file__).parents[2]
DOIT = Path(sys.executable).parent / "doit"
BUSYBOX = Path("/bin/busybox")
LABELS = {"os": host.OS, "arch": host.arch()}


DID = re.compile(r"(\S+) +\S.*  \(\d+\.\d\d s\)")


def told(err: str) -> frozenset[str]:
    """The tasks that a run says on stderr to have done."""
    return frozenset(found[1] for line in err.splitlines() if (found := DID.fullmatch(line)))


@dataclass(frozen=True)
class Result:
    """What a command left. tasks: those whose actions were executed (for `run` with a report)."""

    code: int
    out: str
    err: str
    tasks: frozenset[str] = frozenset()


@dataclass
class Project:
    """A folder with dodo.py and pods/, and the data directory beside it.

    own_code: with a copy of stages/ to edit. program: another doit than that of the virtual environment. wrapper:
    words before the command. away: where it is called from, if not in the folder.
    """

    root: Path
    data: Path
    own_code: bool = False
    environment: dict[str, str] = field(default_factory=dict)
    program: list[str] | None = None
    wrapper: list[str] = field(default_factory=list)
    away: Path | None = None

    def __post_init__(self) -> None:
        for folder in ("pods", "images"):
            (self.root / folder).mkdir(parents=True, exist_ok=True)
        shutil.copy(CHECKOUT / "dodo.py", self.root)
        if self.own_code:
            # With the bytecode, which goes with the time of its source; another process may just write some.
            unfinished = shutil.ignore_patterns("*.pyc.*")
            shutil.copytree(CHECKOUT / "stages", self.root / "stages", ignore=unfinished)
            shutil.copytree(CHECKOUT / "schemas", self.root / "schemas")

    def write(self, spec: dict[str, Any]) -> Path:
        """Write the spec of one pod, to pods/<name>.yaml."""
        path = self.root / "pods" / f"{spec['metadata']['name']}.yaml"
        path.write_text(yaml.safe_dump(spec, sort_keys=False))
        return path

    def image(self, file: str, manifest: dict[str, Any], members: Iterable[Member], *, compress: bool = False) -> Path:
        """Build an image in images/."""
        path = self.root / "images" / file
        with open(path, "wb") as out:
            build.write_archive(out, manifest, members, compress=compress)
        return path

    def command(self, *words: str) -> list[str]:
        """The real command, with this project's code first if it has its own."""
        if not self.own_code:
            return [*self.wrapper, *(self.program or [str(DOIT)]), *words]
        start = f"import sys; sys.path.insert(0, {str(self.root)!r}); from doit.__main__ import main; sys.exit(main())"
        return [*self.wrapper, sys.executable, "-c", start, *words]

    def started(self, *words: str, **options: Any) -> subprocess.Popen[str]:
        """The command, running."""
        environment = {**os.environ, "PODWRIGHT_DIR": str(self.data), **self.environment}
        options = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE, "stdin": subprocess.DEVNULL, **options}
        return subprocess.Popen(self.command(*words), cwd=self.away or self.root, env=environment, text=True, **options)

    def doit(self, *words: str) -> Result:
        """The command, to its end."""
        process = self.started(*words)
        out, err = process.communicate()
        return Result(process.returncode, out, err)

    def run(self, pod: str, *words: str) -> Result:
        """`doit run pod=…` with a report of the tasks that were executed; groups are no tasks."""
        report = self.data.parent / "report.json"
        report.unlink(missing_ok=True)
        done = self.doit("run", "-r", "json", "-o", str(report), f"pod={pod}", *words)
        tasks = json.loads(report.read_text())["tasks"] if report.exists() and report.stat().st_size else []
        executed = {one["name"] for one in tasks if one["result"] not in ("up-to-date", None)}
        groups = {name.partition(":")[0] for name in (one["name"] for one in tasks) if ":" in name}
        return Result(done.code, done.out, done.err, frozenset(executed - groups))

    def pod(self, uid: str) -> Path:
        """The pod's directory."""
        return self.data / "pods" / uid


def debian(archive: Path) -> Path:
    """Make a small Debian, as one tar archive. What mmdebstrap mounts is seen by nobody else."""
    command = ["unshare", "--mount", "mmdebstrap", "--quiet", "--variant=minbase", "--format=tar"]
    command += ["--aptopt=Acquire::Retries 5", "bookworm", str(archive)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return archive


def manifest(name: str, **more: Any) -> dict[str, Any]:
    """An image manifest for this host. app=[...]: an app section that executes these words as root."""
    labels = {**LABELS, **more.pop("labels", {})}
    document: dict[str, Any] = {
        "acKind": "ImageManifest",
        "acVersion": "0.8.11",
        "name": name,
        "labels": [{"name": key, "value": value} for key, value in labels.items()],
    }
    if "app" in more:
        document["app"] = {"exec": more.pop("app"), "user": "0", "group": "0"}
    return document | more


def busybox(*extra: Member) -> list[Member]:
    """A root file system with the host's static busybox under its usual names."""
    names = "sh true false cat echo sleep ls id env stat touch rm chmod hostname kill".split()
    return [
        build.directory("bin"),
        build.directory("etc"),
        build.directory("tmp", 0o1777),
        build.regular("bin/busybox", BUSYBOX.read_bytes(), 0o755),
        *(build.symlink(f"bin/{name}", "busybox") for name in names),
        *extra,
    ]


def spec(name: str, uid: str, containers: list[dict[str, Any]], **stage0: Any) -> dict[str, Any]:
    """A spec; net is none unless stage0 says otherwise."""
    return {
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {"name": name, "uid": uid},
        "spec": {"containers": containers},
        "stage0": {"net": ["none"], **stage0},
    }
