"""Pods made by hand, without stage0: a directory as the contract describes it, and a caller that holds the lock."""

from __future__ import annotations

import fcntl
import json
import os
import shutil
import subprocess
import sys
import uuid as uuids
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from stages.stage1.flavors import FLAVORS, members

BUSYBOX = Path("/bin/busybox")
APPLETS = "sh sleep cat echo id env stat ls touch mkdir ps kill grep head hostname mknod ip nc httpd wget test".split()

_FILTER = """\
import ctypes, os, struct, sys
words = [(0x20, 0, 0), (0x15, 1, int(sys.argv[1])), (6, 0, 0x80000000), (6, 0, 0x7fff0000)]
code = b"".join(struct.pack("=HBBI", what, 0, unless, value) for what, unless, value in words)
steps = ctypes.create_string_buffer(code)
program = (ctypes.c_uint64 * 2)(len(words), ctypes.addressof(steps))
prctl = ctypes.CDLL(None).prctl
assert prctl(38, 1, 0, 0, 0) == 0 and prctl(22, 2, ctypes.byref(program)) == 0
os.execvp(sys.argv[2], sys.argv[2:])
"""


def filtered(call: int = 1 << 30) -> tuple[str, ...]:
    """Goes before a command, which then has a seccomp filter, as under systemd or in a container. call: who makes it is
    killed; there is none of the default's number.
    """
    return (sys.executable, "-c", _FILTER, str(call))


def put(root: Path, flavor: str) -> None:
    """Write the image of `flavor` into the directory `root`."""
    root.mkdir(parents=True)
    for path, kind, mode, content in members(flavor):
        target = root / path
        if kind == "directory":
            target.mkdir(exist_ok=True)
            target.chmod(mode)
        elif kind == "symlink":
            target.symlink_to(str(content))
        else:
            assert isinstance(content, bytes)
            target.write_bytes(content)
            target.chmod(mode)


def busybox_root(root: Path) -> None:
    """A small root file system: busybox, two accounts, a few files."""
    for directory in ("bin", "etc", "proc", "sys", "dev", "tmp", "root", "dir1", "dir2"):
        (root / directory).mkdir(parents=True)
    shutil.copy2(BUSYBOX, root / "bin/busybox")
    for applet in APPLETS:
        (root / "bin" / applet).symlink_to("busybox")
    (root / "etc/passwd").write_text("root:x:0:0::/root:/bin/sh\nuser1:x:1000:100::/home/user1:/bin/sh\n")
    (root / "etc/group").write_text("root:x:0:\ngroup1:x:100:\n")
    (root / "dir1/file").write_text("dir1")
    (root / "dir2/file").write_text("dir2")
    (root / "tmp").chmod(0o1777)


def sh(script: str) -> list[str]:
    """The exec of an app that runs a shell script."""
    return ["/bin/sh", "-c", script]


def passing(sockets: Sequence[int], lock: int) -> list[str]:
    """The command that puts `sockets` to descriptors 3 and following and becomes the rest of the command line."""
    if not sockets:
        return []
    assert lock >= 3 + len(sockets), "the lock would be overwritten"
    script = "import fcntl, os, sys; "
    script += "moved = [fcntl.fcntl(int(one), fcntl.F_DUPFD_CLOEXEC, 100) for one in sys.argv[1].split()]; "
    script += "[os.dup2(one, place) for place, one in enumerate(moved, 3)]; "
    script += "os.environ.update(LISTEN_PID=str(os.getpid()), LISTEN_FDS=str(len(moved))); "
    script += "os.execv(sys.argv[2], sys.argv[2:])"
    return [sys.executable, "-c", script, " ".join(map(str, sockets))]


class HandMadePod:
    """One pod directory, run as stage0 would run it."""

    def __init__(self, directory: Path, flavor: str = "crun") -> None:
        self.uuid = str(uuids.uuid4())
        self.path = directory / self.uuid
        self.flavor = flavor
        self.manifest: dict[str, Any] = {"acKind": "PodManifest", "acVersion": "0.8.11", "apps": [], "volumes": []}
        self.path.mkdir()
        put(self.path / "stage1/rootfs", flavor)

    def entrypoint(self, name: str) -> str:
        """The program behind the entrypoint `name`."""
        path = FLAVORS[self.flavor].annotations[f"coreos.com/rkt/stage1/{name}"]
        return str(self.path / "stage1/rootfs") + path

    def root(self, app: str) -> Path:
        """The root file system of `app`."""
        return self.path / "stage1/rootfs/opt/stage2" / app / "rootfs"

    def add(
        self, name: str, command: Sequence[str], *, runtime: Mapping[str, Any] | None = None, **section: Any
    ) -> Path:
        """Add an app with a busybox root; `section` goes into its app section. Returns the root."""
        root = self.root(name)
        busybox_root(root)
        app = {"exec": list(command), "user": "0", "group": "0", "environment": [], **section}
        image = {"acKind": "ImageManifest", "acVersion": "0.8.11", "name": "example.com/busybox", "labels": []}
        (root.parent / "manifest").write_text(json.dumps(image))
        entry = {"name": name, "image": {"id": "sha512-" + "0" * 128}, "app": app, **(runtime or {})}
        self.manifest["apps"].append(entry)
        return root

    def start(
        self,
        *flags: str,
        environment: Mapping[str, str] | None = None,
        prefix: Sequence[str] = (),
        sockets: Sequence[int] = (),
        **streams: Any,
    ) -> subprocess.Popen[str]:
        """Write the manifest, take the lock and start the run entrypoint, through the command `prefix` if any.

        `sockets` are passed to it as systemd would.
        """
        (self.path / "pod").write_text(json.dumps(self.manifest))
        lock = os.open(self.path, os.O_RDONLY | os.O_DIRECTORY)
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        variables = {**os.environ, "RKT_LOCK_FD": str(lock), "RKT_SELINUX_CONTEXT": "", **(environment or {})}
        net = [] if any(flag.startswith("--net=") for flag in flags) else ["--net=none"]
        command = [*prefix, *passing(sockets, lock), self.entrypoint("run"), *net, *flags, self.uuid]
        streams = {"stdin": subprocess.DEVNULL, "stdout": subprocess.PIPE, "stderr": subprocess.PIPE, **streams}
        try:
            return subprocess.Popen(
                command, cwd=self.path, env=variables, pass_fds=(lock, *sockets), text=True, **streams
            )
        finally:
            os.close(lock)

    def run(self, *flags: str, **options: Any) -> subprocess.CompletedProcess[str]:
        """`start`, and wait for the end."""
        process = self.start(*flags, **options)
        out, error = process.communicate()
        return subprocess.CompletedProcess(process.args, process.returncode, out, error)

    def status(self, app: str) -> str | None:
        """The app's exit status as stage1 left it."""
        path = self.path / "stage1/rootfs/rkt/status" / app
        return path.read_text() if path.exists() else None

    def locked(self) -> bool:
        """Whether anybody holds the pod's lock."""
        handle = os.open(self.path, os.O_RDONLY | os.O_DIRECTORY)
        try:
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            return True
        finally:
            os.close(handle)
        return False
