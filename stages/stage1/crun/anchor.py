"""The process that holds a pod's namespaces: pid 1 of its pid namespace, so the apps end when it does.

It dies with stage1's init, whatever kills that, and the kernel then kills every process of the pod. What apps
leave behind is reaped. It runs no code of an image, has no rights, no files and an empty root with nothing above it.
"""

from __future__ import annotations

import os

from stages.stage1.lib import syscalls
from stages.stage1.lib.errors import Stage1Error
from stages.stage1.lib.signals import signal

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import IO, NoReturn

SHARED = {
    "pid": syscalls.CLONE_NEWPID,
    "network": syscalls.CLONE_NEWNET,
    "ipc": syscalls.CLONE_NEWIPC,
    "uts": syscalls.CLONE_NEWUTS,
    "user": syscalls.CLONE_NEWUSER,
}
# Seconds after which the end of a pod is looked into.
_LOOK = 0.1
_FILES = {"pid": "pid", "network": "net", "ipc": "ipc", "uts": "uts", "user": "user"}


class Anchor:
    """An anchor: its `pid` on the host and the namespaces that it holds by OCI name.

    `begin` makes one; another processor is then busy with its namespaces until `ready` waits for them.
    """

    __slots__ = ("_answers", "_child", "_leash", "_private_users", "_skipped", "alive", "held", "pid")

    def __init__(
        self, child: int, held: tuple[str, ...], private_users: tuple[int, int] | None, leash: int, answers: IO[str]
    ) -> None:
        self.pid = 0
        self.alive = False
        self.held = held
        self._child = child
        self._private_users = private_users
        self._leash = leash
        self._answers = answers
        self._skipped = 0

    def ready(self) -> None:
        """Wait until the namespaces are set up. Raises Stage1Error with what failed."""
        with self._answers as answers:
            if self._private_users and self._answer(answers.readline()) == "map":
                _write_maps(self._child, self._private_users)
                os.write(self._leash, b"m")
            pid = int(self._answer(answers.readline()))
            self._wait_for_child()
            # Not before the short-lived parent is gone: the anchor then takes the init for its parent.
            os.write(self._leash, b"g")
            self._answer(answers.readline())
        self.pid, self.alive = pid, True

    def _answer(self, line: str) -> str:
        kind, _, rest = line.rstrip("\n").partition(" ")
        if kind == "ok":
            return rest
        if not rest:
            child, self._child = self._child, 0
            status = os.waitpid(child, 0)[1] if child else 0
            filtered = os.WIFSIGNALED(status) and os.WTERMSIG(status) == signal.SIGSYS
            rest = "the caller's filter of system calls forbids what it takes" if filtered else "their process died"
        raise Stage1Error(f"cannot make the pod's namespaces: {rest}")

    def _wait_for_child(self) -> None:
        if self._child:
            os.waitpid(self._child, 0)
            self._child = 0

    def path(self, namespace: str) -> str:
        """The file through which a runtime joins `namespace`."""
        return f"/proc/{self.pid}/ns/{_FILES[namespace]}"

    def skip_ids(self) -> int:
        """Let the ids of the pid namespace go on after a number that is used for this once, and return that.

        0 where the kernel has no way to do it, or the host forbids it (/proc/sys/kernel/ns_last_pid).
        """
        self._skipped += 1000
        child = os.fork()
        if child == 0:
            _skip_to(self._skipped, self.path("pid"))
        return self._skipped if os.waitpid(child, 0)[1] == 0 else 0

    def kill(self) -> None:
        """End the pod: SIGKILL to the anchor, and thereby to every process in its pid namespace. Does not wait."""
        if self.alive:
            os.kill(self.pid, signal.SIGKILL)

    def end(self) -> None:
        """`kill`, and wait until nothing of the pod runs any more. One that was not ready ends by itself.

        All children are waited for on the way: the kernel keeps the anchor until none of its namespace is left, and one
        whose runtime died is ours to wait for. One that somebody else must wait for, who may never do it, is dead too:
        what a failed `enter` leaves, where the host's first process waits for nobody. SIGCHLD must be blocked.
        """
        if self.alive:
            self.kill()
            while not self._reaped() and (signal.sigtimedwait((signal.SIGCHLD,), _LOOK) or self._others_run()):
                pass
            self.alive = False
        elif self._leash >= 0:
            os.close(self._leash)
            self._wait_for_child()
        self._leash = -1

    def _reaped(self) -> bool:
        """Wait for all children that have ended; whether the anchor is among them."""
        while process := os.waitpid(-1, os.WNOHANG)[0]:
            if process == self.pid:
                return True
        return False

    def _others_run(self) -> bool:
        """Whether anything but the anchor has not ended yet in its pid namespace."""
        namespace = _link(self.path("pid"))
        others = [name for name in os.listdir("/proc") if name.isdecimal() and name != str(self.pid)]
        return any(_link(f"/proc/{name}/ns/pid") == namespace and not _has_ended(name) for name in others)


def _link(path: str) -> str:
    try:
        return os.readlink(path)
    except OSError:
        return ""


def _has_ended(process: str) -> bool:
    try:
        with open(f"/proc/{process}/stat", encoding="utf-8", errors="replace") as file:
            return file.read().rpartition(")")[2].split()[0] in "ZX"
    except OSError:
        return True


def _skip_to(last: int, namespace: str) -> NoReturn:
    """Leaves by _exit: this is a copy of the init. Only a process inside of the namespace can say it."""
    code = 1
    try:
        with open(namespace, "rb") as file:
            syscalls.setns(file.fileno(), syscalls.CLONE_NEWPID)
        inside = os.fork()
        if inside == 0:
            with open("/proc/sys/kernel/ns_last_pid", "w", encoding="ascii") as file_inside:
                file_inside.write(str(last))
            os._exit(0)
        code = 0 if os.waitpid(inside, 0)[1] == 0 else 1
    finally:
        os._exit(code)


def begin(held: tuple[str, ...], hostname: str, private_users: tuple[int, int] | None, empty_root: str) -> Anchor:
    """Start an anchor with new namespaces `held` (OCI names).

    The caller must be a subreaper: the anchor is the child of a short-lived one.
    """
    to_child, from_parent = os.pipe()
    from_child, to_parent = os.pipe()
    child = os.fork()
    if child == 0:
        os.close(from_parent)
        os.close(from_child)
        _in_child(held, hostname, private_users, empty_root, to_child, to_parent)
    os.close(to_child)
    os.close(to_parent)
    return Anchor(child, held, private_users, from_parent, open(from_child, encoding="utf-8"))


def _write_maps(child: int, private_users: tuple[int, int]) -> None:
    shift, count = private_users
    for name in ("uid_map", "gid_map"):
        with open(f"/proc/{child}/{name}", "w", encoding="ascii") as file:
            file.write(f"0 {shift} {count}\n")


def _in_child(
    held: tuple[str, ...],
    hostname: str,
    private_users: tuple[int, int] | None,
    empty_root: str,
    orders: int,
    answers: int,
) -> None:
    """Leaves by _exit, always: this is a copy of the init, and none of its clean-up may run twice."""
    try:
        # While this is still the host's root: the way to the directory may be closed to the pod's. An app that may
        # trace others can go to where this process's root is, and from there up: that must not lead to the host.
        os.fchdir(syscalls.copy_of_mount(empty_root))
        if private_users:
            # The user namespace comes first: the others then belong to it, and root inside has power over them.
            syscalls.unshare(syscalls.CLONE_NEWUSER)
            os.write(answers, b"ok map\n")
            if os.read(orders, 1) != b"m":
                os._exit(1)
            os.setresgid(0, 0, 0)
            os.setresuid(0, 0, 0)
        flags = 0
        for namespace in held:
            flags |= SHARED[namespace] if namespace != "user" else 0
        syscalls.unshare(flags)
        if "uts" in held:
            syscalls.set_hostname(hostname)
        if "network" in held:
            syscalls.loopback_up()
        anchor = os.fork()
        if anchor == 0:
            _be_anchor(orders, answers)
        os.write(answers, f"ok {anchor}\n".encode())
        os._exit(0)
    except BaseException as error:
        os.write(answers, f"error {error}\n".encode())
    finally:
        os._exit(1)


def _be_anchor(orders: int, answers: int) -> None:
    """Give up everything, then wait until killed; what is left behind here the kernel reaps, as nobody asks for it."""
    signal.pthread_sigmask(signal.SIG_SETMASK, signal.valid_signals())
    signal.signal(signal.SIGCHLD, signal.SIG_IGN)
    os.setsid()
    os.dup2(os.open("/dev/null", os.O_RDWR), 2)
    os.chroot(".")
    syscalls.set_name("podwright-pod")
    syscalls.no_new_privileges()
    syscalls.set_capabilities(0)
    syscalls.hide_from_ptrace()
    # The go-ahead comes when the short-lived parent is gone, so the parent meant here is the init. If that has died
    # in between, the pipe has ended and there is nothing to wait for.
    if os.read(orders, 1) != b"g":
        os._exit(1)
    syscalls.die_with_parent(signal.SIGKILL)
    os.dup2(orders, 0)
    os.dup2(answers, 1)
    os.closerange(3, 1 << 16)
    # An app that may trace others could have this process, which no control group holds, open what it must not.
    try:
        syscalls.only_read_and_write()
    except OSError as error:
        os.write(1, f"error {error}\n".encode())
        os._exit(1)
    os.write(1, b"ok\n")
    while os.read(0, 1):
        pass
    os._exit(0)
