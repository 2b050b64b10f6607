"""The way into stage1: its entrypoints, its arguments by interface version, its environment (contract A.9, H)."""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from pathlib import Path, PurePosixPath
from typing import Any

from stages.base import files
from stages.base.errors import PodError
from stages.base.paths import PodPaths
from stages.base.records import NamedTuple

_ANNOTATION = "coreos.com/rkt/stage1/"
# A stage1 with this annotation leaves a file of that name in the pod's directory when it has left nothing else
# behind, anywhere: there is nothing for its gc to do then. Ours have it; where it is missing, gc is always called.
_MARK = "podwright.dev/stage1/ended"
# A stage1 with this annotation says that its `run` is a program in Python which the Python that we are may go on as.
_PYTHON = "podwright.dev/stage1/python"
KVM = "kvm"
NO_FLAVOR = "stage1 has no link that tells its flavor"
LOCK_FD = "RKT_LOCK_FD"
SELINUX_CONTEXT = "RKT_SELINUX_CONTEXT"
SELINUX_MOUNT_CONTEXT = "RKT_SELINUX_MOUNT_CONTEXT"

# From this interface version on stage1 knows --hostname= (contract H.2).
_KNOWS_HOSTNAME = 2
# From this one on its gc is told of the local configuration.
_GC_KNOWS_LOCAL_CONFIG = 5


class Interface(NamedTuple):
    """What a stage1 image's manifest says of the programs in it."""

    entrypoints: Mapping[str, str]
    version: int
    mark: str = ""
    python: bool = False

    def entrypoint(self, name: str) -> str:
        """Path of an entrypoint below stage1's root. Raises PodError when the image names none."""
        found = self.entrypoints.get(name)
        if found is None:
            raise PodError(
                f'entrypoint "{name}" not found in the stage1 image\'s manifest',
                hint=f"a stage1 image names it in the annotation {_ANNOTATION}{name}",
                reason="no-entrypoint",
            )
        return found


class Options(NamedTuple):
    """What a run tells stage1 (the seed's RunConfig)."""

    uuid: str
    net: tuple[str, ...] = ("default",)
    debug: bool = False
    interactive: bool = False
    private_users: str = ""
    mds_token: str = ""
    local_config: str = ""
    hostname: str = ""

    @classmethod
    def of(cls, values: Mapping[str, Any]) -> Options:
        """Options that were JSON in between."""
        return cls(**{**values, "net": tuple(values["net"])})


def interface(pod: PodPaths) -> Interface:
    """Read stage1's manifest in the pod. Raises PodError when it is missing or says nonsense."""
    data = files.read_small(pod.stage1_manifest)
    if data is None:
        hint = "`doit run pod=NAME` prepares the pod"
        raise PodError("the pod has no stage1 yet", hint=hint, reason="stage1-manifest")
    try:
        listed = json.loads(data).get("annotations")
        found = {one["name"]: one["value"] for one in listed or ()}
        if not all(isinstance(word, str) for pair in found.items() for word in pair):
            raise TypeError("an annotation is no text")
        version = int(found.get(f"{_ANNOTATION}interface-version", "1"))
    except (ValueError, RecursionError, KeyError, TypeError, AttributeError) as error:
        raise PodError(f"cannot read the stage1 manifest of the pod: {error}", reason="stage1-manifest") from error
    own = {name: value for name, value in found.items() if name.startswith(_ANNOTATION)}
    mark = found.get(_MARK, "")
    if "/" in mark or mark in (".", ".."):
        mark = ""
    entrypoints = {name.removeprefix(_ANNOTATION): value for name, value in own.items()}
    return Interface(entrypoints, version, mark, found.get(_PYTHON) == "run")


def program(rootfs: Path, entrypoint: str) -> str:
    """Absolute path of an entrypoint's program: the annotation is relative to the root, and stays beneath it."""
    parts = [part for part in PurePosixPath("/", entrypoint).parts[1:] if part not in ("..", ".")]
    return str(rootfs.joinpath(*parts))


def executable(rootfs: Path, path: str) -> str:
    """What is executed for the program at `path` below `rootfs`: links in the image lead where they do in its root.

    The path itself where that cannot be found out and it is no link: the exec then tells what is wrong with it.
    Raises PodError for a link that leads nowhere in the image: the exec would follow it on the host.
    """
    from stages.linux import kernel

    try:
        root = os.open(rootfs, os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC)
        try:
            found = kernel.open_in_root(root, os.path.relpath(path, rootfs))
        finally:
            os.close(root)
    except OSError as error:
        if not os.path.islink(path):
            return path
        raise PodError(f"stage1's program {path} leads nowhere: {error.strerror}", reason="entrypoint-link") from error
    try:
        return os.readlink(f"/proc/self/fd/{found}")
    finally:
        os.close(found)


def arguments(path: str, options: Options, version: int) -> list[str]:
    """argv of `run` in the contract's order (A.9); flags that the interface version does not know are left out."""
    argv = [path]
    if options.debug:
        argv.append("--debug")
    argv.append("--net=" + (",".join(options.net) or "default"))
    if options.interactive:
        argv.append("--interactive")
    if options.private_users:
        argv.append(f"--private-users={options.private_users}")
    if options.mds_token:
        argv.append(f"--mds-token={options.mds_token}")
    if options.local_config:
        argv.append(f"--local-config={options.local_config}")
    if options.hostname and version >= _KNOWS_HOSTNAME:
        argv.append(f"--hostname={options.hostname}")
    argv.append(options.uuid)
    return argv


def gc_arguments(path: str, uuid: str, local_config: str, version: int) -> list[str]:
    """argv of `gc` (contract H.5); the directory of local configuration is a word of its own there."""
    config = ["--local-config", local_config] if local_config and version >= _GC_KNOWS_LOCAL_CONFIG else []
    return [path, *config, uuid]


def flavor(rootfs: Path) -> str | None:
    """What stage1 is called: the text of the link `flavor` in its root; None when it has none."""
    try:
        return os.readlink(rootfs / "flavor")
    except OSError:
        return None


def environment(own: Mapping[str, str], lock_fd: int, labels: Mapping[str, str]) -> dict[str, str]:
    """stage1 gets the whole environment, its lock and its SELinux labels, empty ones too (contract A.10, B.3).

    labels: of its processes ("process") and of the pod's files ("mount").
    """
    named = {SELINUX_CONTEXT: labels["process"], SELINUX_MOUNT_CONTEXT: labels["mount"]}
    return {**own, LOCK_FD: str(lock_fd), **named}
