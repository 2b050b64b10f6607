"""What stage1's kvm flavor needs of the host: a key by which `enter` reaches the virtual machine (contract J.2)."""

from __future__ import annotations

import contextlib
import os
import subprocess
import tempfile
from pathlib import Path

from stages.base import files
from stages.base.errors import HostError, PodError
from stages.base.paths import DataDir
from stages.linux import locks

_KEY, _PUBLIC = "ssh_kvm_key", "ssh_kvm_key.pub"
_DIRECTORY = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC
_NEW_FILE = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC


def give_key(data: DataDir, rootfs: Path) -> None:
    """Let the host's key into the virtual machine: root/.ssh/authorized_keys below `rootfs`, stage1's mounted root.

    Raises HostError when no key can be made, PodError when the image has something else in the place.
    """
    public = _public_key(data)
    with contextlib.ExitStack() as opened:
        at = os.open(rootfs, _DIRECTORY)
        opened.callback(os.close, at)
        owner = os.fstat(at)
        try:
            for name in ("root", ".ssh"):
                at = _inside(at, name, owner)
                opened.callback(os.close, at)
            _authorize(at, public, owner)
        except OSError as error:
            raise PodError(f"cannot put a key into stage1's root/.ssh: {error.strerror}", reason="kvm-key") from error


def _public_key(data: DataDir) -> bytes:
    """The host's public key, made with its private half on first use. Pods that start at one time make it once."""
    data.kvm.mkdir(mode=0o700, exist_ok=True)
    data.kvm.chmod(0o700)
    with locks.held(data.kvm / "lock"):
        public = files.read_or_none(data.kvm / _PUBLIC)
        if public is None or not (data.kvm / _KEY).exists():
            public = _generate(data.kvm)
    return public


def _generate(home: Path) -> bytes:
    """A new pair; the public half is published last, and vouches for the other."""
    with tempfile.TemporaryDirectory(dir=home) as folder:
        made = Path(folder) / _KEY
        command = ["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-C", "podwright kvm", "-f", str(made)]
        try:
            done = subprocess.run(command, stdin=subprocess.DEVNULL, capture_output=True, text=True, check=False)
        except FileNotFoundError as error:
            raise HostError(
                "stage1's kvm flavor needs a key and there is no ssh-keygen",
                hint="install it: the Debian package is openssh-client",
                reason="no-ssh-keygen",
            ) from error
        if done.returncode:
            raise HostError(f"ssh-keygen failed: {done.stderr.strip() or done.returncode}", reason="ssh-keygen")
        public = (Path(folder) / _PUBLIC).read_bytes()
        files.publish(home / _KEY, made.read_bytes(), 0o600)
        files.publish(home / _PUBLIC, public, 0o644)
    return public


def _inside(parent: int, name: str, owner: os.stat_result) -> int:
    """Open the directory `name` of `parent`, made if missing; whatever the image put there, no link is followed."""
    try:
        os.mkdir(name, 0o700, dir_fd=parent)
    except FileExistsError:
        return os.open(name, _DIRECTORY, dir_fd=parent)
    made = os.open(name, _DIRECTORY, dir_fd=parent)
    os.fchown(made, owner.st_uid, owner.st_gid)
    return made


def _authorize(directory: int, public: bytes, owner: os.stat_result) -> None:
    """Replace authorized_keys, whatever it was, and bring it to the disk."""
    os.fchmod(directory, 0o700)
    with contextlib.suppress(FileNotFoundError):
        os.unlink("authorized_keys", dir_fd=directory)
    descriptor = os.open("authorized_keys", _NEW_FILE, 0o600, dir_fd=directory)
    with open(descriptor, "wb") as file:
        file.write(public)
        os.fchmod(descriptor, 0o600)
        os.fchown(descriptor, owner.st_uid, owner.st_gid)
        file.flush()
        os.fsync(descriptor)
    os.fsync(directory)
