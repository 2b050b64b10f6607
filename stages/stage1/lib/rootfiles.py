"""What stage1 puts into an app's root file system before the app starts, all of it beneath the root's descriptor."""

from __future__ import annotations

import os
import stat

from stages.stage1.lib import beneath, copying, volumes
from stages.stage1.lib.errors import Stage1Error, explain

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable

    from stages.stage1.lib.arguments import Arguments
    from stages.stage1.lib.manifest import App
    from stages.stage1.lib.volumes import Mount

    Covered = Callable[[str], bool]

# What converters of Docker's images write; the second one stage0's, too.
_DOCKER = frozenset(("appc.io/docker/repository", "appc.io/docker/entrypoint"))


class Prepared:
    """A mount with its place found: `source` on the host, `target` in the app's root free of links."""

    __slots__ = ("device", "directory", "empty", "read_only", "recursive", "source", "target")

    def __init__(self, mount: Mount, source: str, mode: int, target: str) -> None:
        self.source = source
        self.target = target
        self.directory = stat.S_ISDIR(mode)
        self.read_only = mount.read_only
        self.recursive = mount.volume.recursive
        self.empty = mount.volume.kind == "empty"
        self.device: tuple[str, int, int] | None = None
        if stat.S_ISCHR(mode) or stat.S_ISBLK(mode):
            number = os.stat(source).st_rdev
            self.device = ("c" if stat.S_ISCHR(mode) else "b", os.major(number), os.minor(number))

    def options(self, devices: bool) -> list[str]:
        """The mount's options for an OCI runtime. devices: whether one that an image has brought could be opened."""
        kind = "rbind" if self.recursive else "bind"
        # rro: what is mounted below the source is read-only with it. Below a file there is nothing, and crun, which
        # opens the target of rro as a directory, would fail.
        write = ("rro" if self.recursive and self.directory else "ro") if self.read_only else "rw"
        ours = ["nodev"] if self.empty and not devices else []
        return [kind, "rslave" if self.recursive else "slave", write, *ours]


def place_mounts(app: str, root: int, mounts: list[Mount], pod: str, shift: int = 0) -> list[Prepared]:
    """Find the sources, and make the targets in the root behind descriptor `root` where the image has none.

    Raises Stage1Error with the app, the path and the reason.
    """
    result = []
    for mount in mounts:
        source, mode = volumes.source_of(mount.volume, pod, shift)
        try:
            target = beneath.make_target(root, mount.path, stat.S_ISDIR(mode), (shift, shift))
        except OSError as error:
            raise Stage1Error(f"app {app}: cannot mount volume {mount.volume.name} at {explain(error)}") from error
        if target == "/":
            raise Stage1Error(f"app {app}: volume {mount.volume.name} would hide the whole root file system")
        result.append(Prepared(mount, source, mode, target))
    result.sort(key=lambda mount: mount.target.count("/"))
    return result


def fill_volumes(app: App, root: int, mounts: list[Mount], pod: str) -> None:
    """Copy the image's content, owner and mode into the empty volumes that an image from Docker asked for itself.

    Those are what the pod manifest names in app.image_volumes, and volumes of our own making (contract F.6). Raises
    Stage1Error.
    """
    for mount in mounts:
        volume = mount.volume
        asked = volume.name in app.image_volumes or (mount.implicit and not _DOCKER.isdisjoint(app.annotations))
        if not asked or volume.kind != "empty":
            continue
        try:
            _fill(root, mount.path, os.path.join(pod, "sharedVolumes", volume.name))
        except OSError as error:
            what = f"cannot copy the image's content to volume {volume.name}"
            raise Stage1Error(f"app {app.name}: {what}: {explain(error)}") from error


def _fill(root: int, path: str, volume: str) -> None:
    """Copy the directory at `path` below `root` into the volume, unless that has something."""
    flags = os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC
    target = os.open(volume, flags | os.O_NOFOLLOW)
    try:
        if os.listdir(target):
            return
        with beneath.Walk(root) as walk:
            walk.go(path)
            source = os.open(f"/proc/self/fd/{walk.here}", flags)
        try:
            copying.Copier(source, target).run()
        finally:
            os.close(source)
    finally:
        os.close(target)


def covering(targets: list[str]) -> Covered:
    """A function that tells whether a path lies at or below one of `targets`."""

    def covered(path: str) -> bool:
        return any(path == target or path.startswith(target + "/") for target in targets)

    return covered


def write_defaults(
    root: int, arguments: Arguments, covered: Covered, stage1_root: str, nameservers: bytes = b""
) -> None:
    """Write /etc/hosts, hostname, resolv.conf and mtab, each only where neither image nor volume has it (contract H.7).

    `nameservers` is the resolv.conf that the network's set-up asks for. /etc/hostname is written over the image's, and
    so are hosts and resolv.conf when --dns-conf-mode names where to take them from.
    """
    shift = arguments.private_users[0] if arguments.private_users else 0
    owner = (shift, shift)
    for path, content in _contents(arguments, stage1_root, nameservers).items():
        asked = arguments.dns["hosts" if path == "/etc/hosts" else "resolv"] != "default"
        if not covered(path) and (asked or not beneath.exists(root, path)):
            _replace(root, path, content, owner)
    if not covered("/etc/mtab") and not beneath.exists(root, "/etc/mtab"):
        with beneath.Walk(root) as walk:
            walk.go("/etc", make=owner)
            os.symlink("../proc/self/mounts", "mtab", dir_fd=walk.here)
            os.chown("mtab", *owner, dir_fd=walk.here, follow_symlinks=False)
    if not covered("/etc/hostname"):
        _replace(root, "/etc/hostname", arguments.hostname.encode() + b"\n", owner)


def _replace(root: int, path: str, content: bytes, owner: tuple[int, int]) -> None:
    """Have a file with `content` at `path`, whatever file or link was there; a directory in the way is left."""
    parent, _, name = path.rpartition("/")
    with beneath.Walk(root) as walk:
        walk.go(parent, make=owner)
        try:
            os.unlink(name, dir_fd=walk.here)
        except FileNotFoundError:
            pass
        except IsADirectoryError:
            return
    beneath.make_file(root, path, content, 0o644, owner)


def _contents(arguments: Arguments, stage1_root: str, nameservers: bytes) -> dict[str, bytes]:
    result = {}
    hosts, resolv = arguments.dns["hosts"], arguments.dns["resolv"]
    if hosts == "default":
        result["/etc/hosts"] = hosts_file(arguments.hostname)
    else:
        result["/etc/hosts"] = _of_host("/etc/hosts", f"{stage1_root}/etc/rkt-hosts", hosts)
    if resolv == "default" and nameservers:
        result["/etc/resolv.conf"] = nameservers
    elif resolv in ("host", "stage0") or (resolv == "default" and not arguments.no_network):
        result["/etc/resolv.conf"] = _of_host("/etc/resolv.conf", f"{stage1_root}/etc/rkt-resolv.conf", resolv)
    return {path: content for path, content in result.items() if content}


def hosts_file(hostname: str) -> bytes:
    """The /etc/hosts of a pod whose image brings none."""
    return f"127.0.0.1\t{hostname} localhost localhost.localdomain\n::1\tlocalhost ip6-localhost\n".encode()


def _of_host(host_path: str, stage0_path: str, mode: str) -> bytes:
    try:
        with open(stage0_path if mode == "stage0" else host_path, "rb") as file:
            return file.read(1 << 20)
    except FileNotFoundError:
        return b""
