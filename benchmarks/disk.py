"""A disk of this run's own: a new ext4 in a file, mounted where only the benchmarks see it.

Some file systems are slow at creating files for minutes after many were deleted, by us or by anybody else; a new one
has nothing behind it, and all of it goes with one file. The mount is in this process's mount namespace and the file
has no name any more: killed or not, nothing stays.
"""

from __future__ import annotations

import os
import subprocess
from pathlib import Path

from stages.linux import kernel

_MOST = 60 << 30


def mount(place: Path) -> None:
    """Mount a new file system at `place`, a directory to be, backed by its parent's. Raises OSError."""
    place.mkdir(parents=True)
    free = os.statvfs(place).f_bavail * os.statvfs(place).f_frsize
    file = place.with_suffix(".ext4")
    with open(file, "xb") as new:
        new.truncate(min(_MOST, free * 7 // 10) >> 20 << 20)
    try:
        _run("mkfs.ext4", "-q", "-F", "-E", "lazy_itable_init=0,lazy_journal_init=0", "-i", "32768", str(file))
        kernel.private_mounts()
        # Past the page cache of the file below: what is read cold is read from the disk.
        device = _run("losetup", "--find", "--show", "--direct-io=on", str(file))
        try:
            kernel.mount(device, str(place), "ext4")
        finally:
            # With the last mount of it the device goes by itself.
            _run("losetup", "--detach", device)
    finally:
        file.unlink()


def unmount(place: Path) -> None:
    """Take it away again."""
    kernel.umount(str(place), kernel.MNT_DETACH)
    place.rmdir()


def _run(*command: str) -> str:
    environment = {**os.environ, "PATH": f"{os.environ.get('PATH', '')}:/usr/sbin:/sbin"}
    done = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
    if done.returncode:
        raise OSError(f"{command[0]}: {done.stderr.strip()}")
    return done.stdout.strip()
