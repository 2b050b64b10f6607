"""The peers: podman with a store of its own, and crun with nothing around it."""

from __future__ import annotations

import contextlib
import json
import os
import resource
import shutil
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from benchmarks.findings import Sample
from benchmarks.sampling import FIRST_INSTRUCTION, Bench, BenchmarkError, NotHere, Signal, settle
from benchmarks.workshop import Workshop

_CGROUPS = Path("/sys/fs/cgroup")

# What podman and crun mount into a container of their own accord, in the fewest words that runtimes take.
_MOUNTS: tuple[tuple[str, str, list[str]], ...] = (
    ("/proc", "proc", []),
    ("/dev", "tmpfs", ["nosuid", "mode=755"]),
    ("/dev/pts", "devpts", ["nosuid", "noexec", "newinstance", "ptmxmode=0666"]),
    ("/dev/shm", "tmpfs", ["nosuid", "nodev", "mode=1777"]),
    ("/dev/mqueue", "mqueue", ["nosuid", "nodev"]),
    ("/sys", "sysfs", ["nosuid", "nodev", "ro"]),
)


class Podman:
    """podman, told nothing but where to work: rootful, overlay storage, crun, no network."""

    def __init__(self, workshop: Workshop) -> None:
        if shutil.which("podman") is None:
            raise NotHere("podman is not installed (tools/setup.sh test installs it)")
        self.apart = workshop.apart
        # A run root may have 50 characters.
        self._root = workshop.fresh("p")
        settings = self._root.with_suffix(".conf")
        settings.write_text(_settings())
        environment = {**workshop.bench.environment, "CONTAINERS_CONF": str(settings)}
        self.bench = Bench(workshop.scratch, workshop.bench.log, environment)
        self.say("info")

    def command(self, *words: str) -> list[str]:
        """podman's command line."""
        root = str(self._root)
        return ["podman", "--root", f"{root}/root", "--runroot", f"{root}/run", "--tmpdir", f"{root}/tmp", *words]

    def say(self, *words: str) -> str:
        """Run podman unmeasured; what it prints."""
        with self.apart.inside():
            return self.bench.said(self.command(*words))

    def sample(
        self, command: Sequence[str], signal: Signal | None = None, apps: int = 1, leaves_running: bool = False
    ) -> Sample:
        """Run a command line, measured."""
        with self.apart.inside():
            return self.bench.run(command, signal, apps=apps, leaves_running=leaves_running)

    def bring(self, layout: Path, name: str) -> None:
        """Pull an OCI layout into the store, as localhost/<name>."""
        found = self.say("pull", "--quiet", f"oci:{layout}:latest")
        self.say("tag", found.splitlines()[-1], f"localhost/{name}:latest")

    def bring_tar(self, archive: Path, name: str) -> None:
        """Import the tar archive of a root file system, as localhost/<name>."""
        self.say("import", "--quiet", str(archive), f"localhost/{name}:latest")

    def volume(self, signal: Signal) -> tuple[str, ...]:
        """The options of `run` and `create` that mount the signal and leave the network out."""
        return ("--network=none", "-v", f"{signal.folder}:/signal")

    def close(self) -> None:
        """Stop all of this store, and remove the cgroups that podman leaves empty."""
        with contextlib.suppress(BenchmarkError):
            self.say("pod", "rm", "--all", "--force", "--time", "0")
            self.say("rm", "--all", "--force", "--time", "0")
        settle()
        for hierarchy in _CGROUPS.glob("*/"):
            for folder, _, _ in os.walk(hierarchy / "libpod_parent", topdown=False):
                with contextlib.suppress(OSError):
                    os.rmdir(folder)


def kube(name: str, apps: dict[str, str], signal: Signal, command: Sequence[str], change: str) -> dict[str, Any]:
    """A Kubernetes pod of apps (name -> image) that run `command`; `change` is the value of a variable."""
    containers = [
        {
            "name": app,
            "image": image,
            "imagePullPolicy": "Never",
            "command": list(command),
            "env": [{"name": "CHANGE", "value": change}],
            "volumeMounts": [{"name": "signal", "mountPath": "/signal"}],
        }
        for app, image in apps.items()
    ]
    volumes = [{"name": "signal", "hostPath": {"path": str(signal.folder)}}]
    body = {"containers": containers, "volumes": volumes, "restartPolicy": "Never"}
    return {"apiVersion": "v1", "kind": "Pod", "metadata": {"name": name}, "spec": body}


def crun_bundle(workshop: Workshop, root: Path, signal: Signal) -> Path:
    """A bundle that runs the first instruction in the directory `root` under the usual namespaces and mounts."""
    bundle = workshop.fresh("bundle")
    bundle.mkdir()
    mounts = [{"destination": at, "type": kind, "source": kind, "options": options} for at, kind, options in _MOUNTS]
    mounts.append({"destination": "/signal", "type": "bind", "source": str(signal.folder), "options": ["bind"]})
    process = {"args": list(FIRST_INSTRUCTION), "cwd": "/", "env": ["PATH=/usr/bin:/bin"]}
    namespaces = [{"type": kind} for kind in ("mount", "pid", "network", "ipc", "uts")]
    document = {
        "ociVersion": "1.0.0",
        "process": process,
        "root": {"path": str(root)},
        "mounts": mounts,
        "linux": {"namespaces": namespaces},
    }
    (bundle / "config.json").write_text(json.dumps(document))
    return bundle


def _settings() -> str:
    """Limits that need no privilege to be set, and nothing that needs systemd."""
    files = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
    processes = resource.getrlimit(resource.RLIMIT_NPROC)[1]
    most = int(Path("/proc/sys/kernel/pid_max").read_text())
    files, processes = (most if one == resource.RLIM_INFINITY else min(one, 1 << 20) for one in (files, processes))
    limits = f'["nofile={files}:{files}", "nproc={min(processes, most)}:{min(processes, most)}"]'
    engine = 'cgroup_manager = "cgroupfs"\nevents_logger = "file"\nruntime = "crun"\n'
    return f"[containers]\ndefault_ulimits = {limits}\n[engine]\n{engine}"
