"""Which volume lands where in which app, and whether it may be written to (contract F.6, L.2, L.3)."""

from __future__ import annotations

import os
import stat

from stages.stage1.lib.errors import Stage1Error
from stages.stage1.lib.manifest import Volume

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable

    from stages.stage1.lib.manifest import App, Pod


class Mount:
    """A volume at a path of an app, as the manifest writes the path."""

    __slots__ = ("implicit", "path", "read_only", "volume")

    def __init__(self, volume: Volume, path: str, read_only: bool, implicit: bool = False) -> None:
        self.volume, self.path, self.read_only, self.implicit = volume, path, read_only, implicit


def mounts_of(app: App, pod: Pod, warn: Callable[[str], None]) -> list[Mount]:
    """The mounts of `app`: its own first, then one for every mount point that none of them covers.

    A volume's own readOnly wins where it is set; else the flag of the mount point at that path, else of the mount point
    with the volume's name. A mount point without a volume gets an empty one of its own, with a warning.
    Raises Stage1Error for a mount that names no volume.
    """
    points = {_clean(str(point["path"])): point for point in app.mount_points}
    named = {str(point["name"]): point for point in app.mount_points}
    result: dict[str, Mount] = {}
    for fields in app.mounts:
        path, name = str(fields["path"]), str(fields["volume"])
        volume = Volume(fields["appVolume"]) if fields.get("appVolume") else pod.volumes.get(name)
        if volume is None:
            raise Stage1Error(f"app {app.name} mounts the volume {name!r}, which the pod does not have")
        point = points.get(_clean(path)) or named.get(name) or {}
        result[_clean(path)] = Mount(volume, path, _read_only(volume, bool(point.get("readOnly"))))
    for clean, point in points.items():
        if clean in result:
            continue
        volume = pod.volumes.get(str(point["name"]))
        implicit = volume is None
        if volume is None:
            volume = Volume({"name": f"{app.name}-{point['name']}", "kind": "empty"})
            warn(f"app {app.name}: no volume for mount point {point['name']}:{point['path']}, using an empty one")
        read_only = _read_only(volume, bool(point.get("readOnly")))
        result[clean] = Mount(volume, str(point["path"]), read_only, implicit)
    return sorted(result.values(), key=lambda mount: _clean(mount.path).count("/"))


def _read_only(volume: Volume, point: bool) -> bool:
    return point if volume.read_only is None else volume.read_only


def _clean(path: str) -> str:
    return os.path.normpath("/" + path.lstrip("/"))


def check_owners(mounts: list[Mount], count: int) -> None:
    """Raises Stage1Error for an empty volume of somebody whom a pod with `count` ids does not have."""
    for volume in (mount.volume for mount in mounts if mount.volume.kind == "empty"):
        if max(volume.uid, volume.gid) >= count:
            owner = f"{volume.uid}:{volume.gid}"
            raise Stage1Error(f"volume {volume.name} belongs to {owner}, and the pod has the ids 0 to {count - 1}")


def source_of(volume: Volume, pod_directory: str, shift: int = 0) -> tuple[str, int]:
    """The path on the host that `volume` stands for, and its file mode; an empty volume's directory is made if needed.

    Raises Stage1Error naming a host source that is not there: it is never created (contract K.8).
    """
    if volume.kind == "host":
        try:
            return volume.source, os.stat(volume.source).st_mode
        except OSError as error:
            raise Stage1Error(f"volume {volume.name}: Failed to stat {volume.source}: {error.strerror}") from error
    shared = os.path.join(pod_directory, "sharedVolumes")
    os.makedirs(shared, mode=0o755, exist_ok=True)
    path = os.path.join(shared, volume.name)
    try:
        os.mkdir(path, 0o700)
    except FileExistsError:
        if not stat.S_ISDIR(os.lstat(path).st_mode):
            raise Stage1Error(f"volume {volume.name}: {path} is not a directory") from None
    os.chown(path, volume.uid + shift, volume.gid + shift)
    os.chmod(path, volume.mode)
    return path, stat.S_IFDIR | volume.mode
