"""The init of a fly pod: mounts what the app needs in a private mount namespace, starts it in a chroot."""

from __future__ import annotations

import os
import time

from stages.stage1.fly import rights
from stages.stage1.lib import (
    accounts,
    arguments,
    beneath,
    command,
    environment,
    init,
    manifest,
    rootfiles,
    sockets,
    stopping,
    syscalls,
    volumes,
)
from stages.stage1.lib.errors import NOT_EXECUTABLE, NOT_FOUND, Stage1Error, explain
from stages.stage1.lib.signals import signal

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable

_SI_KERNEL = 0x80
_NEVER = float("inf")
_BORROWED = ("/dev", "/proc", "/sys")


class Fly:
    """The one app, ready to start: its root (descriptor), account, variables and rights."""

    __slots__ = ("account", "app", "listeners", "rights", "root", "variables")

    def __init__(self, app: manifest.App, root: int) -> None:
        self.app, self.root = app, root
        self.account = accounts.of(app, root)
        self.variables = environment.of(app, self.account, os.environ.get("TERM", "dumb"))
        self.rights = rights.read(app, init.say)
        self.listeners: list[sockets.Listener] = []


def main(argv: list[str]) -> int:
    """The `run` entrypoint (contract H.3, H.8): `argv` without the program's name, cwd is the pod."""
    return init.guarded(lambda: _run(arguments.parse(argv), os.getcwd()))


def _run(options: arguments.Arguments, pod_directory: str) -> int:
    signals = init.block_signals()
    init.keep_lock()
    pod = manifest.load(pod_directory)
    app = _only_app(pod, options)
    init.forget(os.path.join(pod_directory, init.ENDED))
    syscalls.unshare(syscalls.CLONE_NEWNS)
    syscalls.mount("none", "/", "none", syscalls.MS_SLAVE | syscalls.MS_REC)
    stage1_root = os.path.join(pod_directory, "stage1/rootfs")
    root_path = os.path.join(stage1_root, "opt/stage2", app.name, "rootfs")
    syscalls.mount(root_path, root_path, "none", syscalls.MS_BIND | syscalls.MS_REC)
    root = os.open(root_path, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    fly = Fly(app, root)
    fly.listeners = sockets.assign(pod, sockets.taken_over(os.environ), init.say)
    sockets.open_missing(fly.listeners, "")
    covered = _mount_all(fly, pod, pod_directory, options, stage1_root)
    environment.save(os.path.join(stage1_root, "rkt/env", app.name), fly.variables)
    status = os.path.join(stage1_root, "rkt/status", app.name)
    init.forget(status)
    search = dict(fly.variables).get("PATH", "")
    found = command.trouble(root, app.command[0], app.working_directory, search, covered)
    if found:
        init.say(f"app {app.name}: {found.sentence}")
        code = found.code
    else:
        code = _run_app(fly, pod_directory, signals, pod.grace())
    init.publish(status, str(code))
    init.publish(os.path.join(pod_directory, init.ENDED), "")
    return code


def _only_app(pod: manifest.Pod, options: arguments.Arguments) -> manifest.App:
    if len(pod.apps) != 1:
        raise Stage1Error(f"the fly flavor runs one app, and the pod has {len(pod.apps)}")
    if options.private_users:
        raise Stage1Error("the fly flavor cannot use private users")
    if any(name not in ("host", "default") for name, _ in options.net):
        init.say("the fly flavor stays in the host's network, whatever --net says")
    app = pod.apps[0]
    for handler in app.handlers:
        init.say(f"app {app.name}: the fly flavor runs no {handler} handler")
    return app


def _mount_all(
    fly: Fly, pod: manifest.Pod, pod_directory: str, options: arguments.Arguments, stage1_root: str
) -> Callable[[str], bool]:
    """Mount volumes and the host's /dev, /proc, /sys, write the usual files; returns which paths are mounted over."""
    wanted = volumes.mounts_of(fly.app, pod, init.say)
    placed = rootfiles.place_mounts(fly.app.name, fly.root, wanted, pod_directory)
    rootfiles.fill_volumes(fly.app, fly.root, wanted, pod_directory)
    covered = rootfiles.covering([mount.target for mount in placed])
    rootfiles.write_defaults(fly.root, options, covered, stage1_root)
    borrowed = [path for path in _BORROWED if not covered(path)]
    for path in borrowed:
        beneath.make_target(fly.root, path, True, (0, 0))
    if fly.app.read_only_root:
        syscalls.make_read_only(f"/proc/self/fd/{fly.root}", recursive=False)
    for path in borrowed:
        _bind(fly.root, path, path, recursive=True, read_only=False)
    for mount in placed:
        _bind(fly.root, mount.source, mount.target, mount.recursive, mount.read_only)
    return covered


def _bind(root: int, source: str, target: str, recursive: bool, read_only: bool) -> None:
    with beneath.Walk(root) as walk:
        walk.go(target)
        place = f"/proc/self/fd/{walk.here}"
        syscalls.mount(source, place, "none", syscalls.MS_BIND | (syscalls.MS_REC if recursive else 0))
    if read_only:
        # The new mount lies over what the descriptor stood for, so it has to be walked to again.
        with beneath.Walk(root) as walk:
            walk.go(target)
            syscalls.make_read_only(f"/proc/self/fd/{walk.here}", recursive)


def _run_app(fly: Fly, pod_directory: str, signals: set[signal.Signals], grace: float) -> int:
    """Run the app and pass signals on. TERM becomes the app's own stop signal, and after `grace` seconds KILL."""
    parent = os.getpid()
    child = os.fork()
    if child == 0:
        _become_app(fly, parent)
    # `pid` is the app's, for enter; who stops the pod has to ask us (lib.stopping).
    init.publish(os.path.join(pod_directory, stopping.SUPERVISOR), str(parent))
    init.publish(os.path.join(pod_directory, "pid"), str(child))
    deadline = _NEVER
    while True:
        received = signal.sigtimedwait(signals | {signal.SIGCHLD}, max(0.0, min(deadline - time.monotonic(), 3600.0)))
        if received is None:
            if time.monotonic() >= deadline:
                os.kill(child, signal.SIGKILL)
                deadline = _NEVER
        elif received.si_signo == signal.SIGCHLD:
            process, status = os.waitpid(child, os.WNOHANG)
            if process:
                return init.exit_code(status)
        elif received.si_code != _SI_KERNEL or (received.si_signo == signal.SIGHUP and os.getsid(0) == parent):
            # What the terminal sends has reached the app already: it is in the same process group. That the terminal
            # itself is gone is sent to the first process of the session alone.
            ends = received.si_signo == signal.SIGTERM
            deadline = min(deadline, time.monotonic() + grace) if ends else deadline
            os.kill(child, fly.app.stop_signal if ends else received.si_signo)


def _become_app(fly: Fly, parent: int) -> None:
    """Leaves by exec or _exit: this is a copy of the init."""
    try:
        init.default_signals()
        rights.set_score(fly.rights)
        os.chroot(f"/proc/self/fd/{fly.root}")
        os.chdir(fly.app.working_directory)
        os.setgroups([fly.account.gid, *fly.app.supplementary_gids])
        os.setresgid(fly.account.gid, fly.account.gid, fly.account.gid)
        rights.apply(fly.rights, fly.account.uid)
        syscalls.die_with_parent(signal.SIGKILL)
        if os.getppid() != parent:
            os._exit(1)
        variables = dict(fly.variables)
        if fly.listeners:
            variables |= {**dict(sockets.variables(fly.listeners)), "LISTEN_PID": str(os.getpid())}
            sockets.put([one.handle for one in fly.listeners])
        command.become(fly.app.command, {os.fsencode(key): os.fsencode(value) for key, value in variables.items()})
    except OSError as error:
        init.say(f"app {fly.app.name}: {explain(error)}")
        os._exit(NOT_FOUND if isinstance(error, FileNotFoundError) else NOT_EXECUTABLE)
    finally:
        os._exit(NOT_EXECUTABLE)
