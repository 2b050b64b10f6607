"""Overlay mounts: whether the kernel has them, how their options are written, one way to make one."""

from __future__ import annotations

from pathlib import Path

from stages.base.records import NamedTuple
from stages.linux import kernel

# File systems that the kernel takes no upper directory on (their names can change behind its back, or have no case):
# overlay itself, NFS, FUSE, 9p, CIFS and SMB, Ceph, FAT.
_WITHOUT_UPPER = frozenset((0x794C7630, 0x6969, 0x65735546, 0x01021997, 0xFF534D42, 0xFE534D42, 0x00C36400, 0x4D44))


class Overlay(NamedTuple):
    """One overlay mount: a plan before it is an act."""

    lower: str
    upper: str
    work: str
    target: str
    label: str = ""

    def options(self) -> str:
        """The data of mount(2): separators in the paths escaped, the SELinux label appended."""
        data = ",".join(
            f"{key}={escape(path)}"
            for key, path in (("lowerdir", self.lower), ("upperdir", self.upper), ("workdir", self.work))
        )
        return format_label(data, self.label)

    def mount(self) -> None:
        """Raises OSError naming the target."""
        kernel.mount("overlay", self.target, "overlay", 0, self.options())


def escape(path: str) -> str:
    """A path as overlay's option parser wants it: backslash, comma (ends an option) and colon (ends a layer)."""
    return path.replace("\\", "\\\\").replace(",", "\\,").replace(":", "\\:")


def format_label(data: str, label: str) -> str:
    """Append an SELinux context to mount data (contract J.1); no label leaves the data as it is."""
    if not label:
        return data
    return f'{data},context="{label}"' if data else f'context="{label}"'


def refusal(writable: Path) -> str:
    """Why there can be no overlays with upper directories below `writable`; "" if nothing speaks against it."""
    if not supported():
        return "this kernel has no overlayfs"
    try:
        kind = kernel.file_system_type(str(writable))
    except FileNotFoundError:
        return ""
    return f"{writable} is on a file system that takes no overlays" if kind in _WITHOUT_UPPER else ""


def supported() -> bool:
    """Whether the kernel has overlayfs (contract B.4): listed, or loadable as a module."""
    return _listed() or (_load_module() and _listed())


def _listed() -> bool:
    try:
        return "nodev\toverlay" in Path("/proc/filesystems").read_text().splitlines()
    except OSError:
        return False


def _load_module() -> bool:
    import subprocess

    try:
        subprocess.run(["modprobe", "overlay"], stdin=subprocess.DEVNULL, capture_output=True, check=False)
    except OSError:
        return False
    return True
