"""The OCI runtime of the host: which one, and the command lines that it is called with."""

from __future__ import annotations

import os

from stages.stage1.crun.cgroups import Layout
from stages.stage1.lib import init, quickjson
from stages.stage1.lib.errors import Stage1Error

RUN_DIRECTORY = "stage1-run"
_SEARCH = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"


class Runtime:
    """A runtime's program and how it is called for the pod at `pod` (absolute path)."""

    __slots__ = ("cgroups", "name", "pod", "program")

    def __init__(self, program: str, pod: str, cgroups: bool) -> None:
        self.program = program
        self.name = kind(program)
        self.pod = pod
        self.cgroups = cgroups

    def _base(self) -> list[str]:
        command = [self.program, "--root", os.path.join(self.pod, RUN_DIRECTORY, "state")]
        if self.name == "crun" and not self.cgroups:
            command.append("--cgroup-manager=disabled")
        return command

    def run(self, container: str, sockets: int = 0) -> list[str]:
        """Run `container`'s bundle in the foreground, with descriptors 3 and following if it gets `sockets`.

        What the runtime has to say goes to the bundle's log.
        """
        bundle = self.bundle(container)
        # crun reads what is before a colon as the kind of log; a data directory may have one in its name.
        kind = "file:" if self.name == "crun" else ""
        log = ["--log", f"{kind}{bundle}/log", "--log-format", "json"]
        passing = ["--preserve-fds", str(sockets)] if sockets else []
        return [*self._base(), *log, "run", *passing, "--bundle", bundle, "--pid-file", f"{bundle}/pid", container]

    def execute(self, container: str, process_file: str, pid_file: str = "") -> list[str]:
        """Run another process, described by the file, in the running `container`; its number goes to `pid_file`."""
        noting = ["--pid-file", pid_file] if pid_file else []
        return [*self._base(), "exec", *noting, "--process", process_file, container]

    def delete(self, container: str) -> list[str]:
        """Kill and forget `container`."""
        return [*self._base(), "delete", "--force", container]

    def bundle(self, container: str) -> str:
        """The directory with `container`'s configuration."""
        return os.path.join(self.pod, RUN_DIRECTORY, "bundles", container)

    def process(self, container: str) -> int:
        """The first process of `container`, 0 as long as there is none."""
        try:
            with open(f"{self.bundle(container)}/pid", encoding="ascii") as file:
                return int(file.read())
        except (OSError, ValueError):
            return 0

    def state(self, container: str) -> str:
        """The directory in which the runtime keeps `container` while it exists."""
        return os.path.join(self.pod, RUN_DIRECTORY, "state", container)

    def complaint(self, container: str) -> str:
        """The last error in the log of `container`'s run, or nothing if the runtime had no trouble."""
        message = ""
        try:
            with open(f"{self.bundle(container)}/log", encoding="utf-8", errors="replace") as file:
                lines = file.read().splitlines()
        except FileNotFoundError:
            return ""
        for line in lines:
            try:
                record = quickjson.loads(line)
            except ValueError:
                continue
            if record.get("level") in ("error", "fatal"):
                message = str(record.get("msg", "")).strip()
        return message


def kind(program: str) -> str:
    """Whose command line a program has, by its name: "runc" or "crun"."""
    return "runc" if "runc" in os.path.basename(program) else "crun"


def control_group(parent: str, pod: str, uuid: str) -> str:
    """The pod's control group, from the top of every hierarchy, in the group `parent`.

    Its directory is part of the name: two data directories may have pods of one UUID, and neither may end the other's.
    """
    status = os.stat(pod)
    return f"{parent}/podwright-{uuid}-{status.st_dev:x}-{status.st_ino:x}"


def find(environment: dict[str, str]) -> str:
    """The program: PODWRIGHT_RUNTIME (a name or a path) if set, else crun, else runc. Raises Stage1Error."""
    chosen = environment.get("PODWRIGHT_RUNTIME")
    search = f"{environment.get('PATH', '')}:{_SEARCH}"
    for name in [chosen] if chosen else ["crun", "runc"]:
        for directory in [""] if "/" in name else search.split(":"):
            path = os.path.join(directory, name) if directory else name
            if path.startswith("/") and os.access(path, os.X_OK) and os.path.isfile(path):
                return path
    if chosen:
        raise Stage1Error(f"the OCI runtime {chosen!r} of PODWRIGHT_RUNTIME is not there")
    raise Stage1Error("no OCI runtime on this host: install crun or runc")


def remember(runtime: Runtime, layout: Layout) -> None:
    """Leave in the pod what `enter` and `gc` need to know about the run."""
    facts = {
        "program": runtime.program,
        "cgroups": runtime.cgroups,
        "roots": list(layout.roots),
        "parent": layout.parent,
    }
    init.publish(os.path.join(runtime.pod, RUN_DIRECTORY, "runtime.json"), quickjson.dumps(facts))


def recall(pod: str) -> tuple[Runtime, tuple[str, ...], str] | None:
    """The runtime, the cgroup hierarchies and the group around the pod's of its last run, or None if it left none."""
    try:
        with open(os.path.join(pod, RUN_DIRECTORY, "runtime.json"), encoding="utf-8") as file:
            facts = quickjson.load(file)
        return Runtime(facts["program"], pod, bool(facts["cgroups"])), tuple(facts["roots"]), facts.get("parent", "")
    except (OSError, ValueError, KeyError, TypeError):
        return None
