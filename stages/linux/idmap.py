"""User namespaces as maps of ids, and mounts that show files with shifted owners. Light: on the path of every run."""

from __future__ import annotations

import os

from stages.linux import kernel


def user_namespace(start: int, count: int) -> int:
    """A descriptor of a new user namespace that maps 0..count-1 to start..start+count-1, for users and groups.

    The namespace lives as long as the descriptor. Raises OSError.
    """
    told, tell = os.pipe2(os.O_CLOEXEC)
    held, hold = os.pipe2(os.O_CLOEXEC)
    child = os.fork()
    if child == 0:
        os.close(hold)
        _enter_and_wait(tell, held)
    os.close(tell)
    os.close(held)
    try:
        failure = os.read(told, 4)
        if failure:
            number = int.from_bytes(failure, "little")
            if number:
                raise OSError(number, f"unshare: {os.strerror(number)}", "user namespace")
        for kind in ("uid", "gid"):
            with open(f"/proc/{child}/{kind}_map", "w", encoding="ascii") as file:
                file.write(f"0 {start} {count}\n")
        return os.open(f"/proc/{child}/ns/user", os.O_RDONLY | os.O_CLOEXEC)
    finally:
        os.close(told)
        os.close(hold)
        os.waitpid(child, 0)


def mount_shifted(source: str, target: str, userns: int) -> None:
    """Attach a copy of the mount at `source` to `target`, with the ids mapped by `userns`. Raises OSError."""
    mount = kernel.copy_of_mount(source)
    try:
        kernel.mount_setattr_idmap(mount, userns)
        kernel.move_mount(mount, target)
    finally:
        os.close(mount)


def _enter_and_wait(tell: int, held: int) -> None:
    """In the child: into the new namespace, say so, and stay until the parent lets go, or is no more."""
    number = 0
    try:
        kernel.unshare(kernel.CLONE_NEWUSER)
    except OSError as error:
        number = error.errno or 1
    try:
        os.write(tell, number.to_bytes(4, "little"))
        os.read(held, 1)
    finally:
        os._exit(0)
