"""The `enter` entrypoint of the fly flavor: another process in the app's chroot, as the app's user."""

from __future__ import annotations

import os

from stages.stage1.fly import rights
from stages.stage1.lib import accounts, command, entering, init, manifest, syscalls
from stages.stage1.lib.errors import NOT_EXECUTABLE, NOT_FOUND, Stage1Error, explain


def main(argv: list[str]) -> int:
    """Becomes the command; returns an exit code only when it cannot (contract H.4, cwd is the pod)."""
    return init.guarded(lambda: _enter(entering.parse(argv), os.getcwd()))


def _enter(request: entering.Request, pod_directory: str) -> int:
    process = request.pid or _read_pid(pod_directory)
    app = next((app for app in manifest.load(pod_directory).apps if app.name == request.app), None)
    if app is None:
        raise Stage1Error(f"the pod has no app {request.app}")
    with open(f"/proc/{process}/environ", "rb") as file:
        variables = dict(word.split(b"=", 1) for word in file.read().split(b"\0") if b"=" in word)
    namespace = os.open(f"/proc/{process}/ns/mnt", os.O_RDONLY | os.O_CLOEXEC)
    root = os.open(f"/proc/{process}/root", os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    syscalls.setns(namespace, syscalls.CLONE_NEWNS)
    account = accounts.of(app, root)
    held = rights.read(app, lambda _: None)
    rights.set_score(held)
    os.chdir(f"/proc/self/fd/{root}")
    os.chroot(".")
    os.chdir(app.working_directory)
    os.setgroups([account.gid, *app.supplementary_gids])
    os.setresgid(account.gid, account.gid, account.gid)
    rights.apply(held, account.uid)
    init.default_signals()
    try:
        command.become(request.command, variables)
    except OSError as error:
        code = NOT_FOUND if isinstance(error, FileNotFoundError) else NOT_EXECUTABLE
        raise Stage1Error(f"app {app.name}: {explain(error)}", code) from error


def _read_pid(pod_directory: str) -> int:
    try:
        with open(os.path.join(pod_directory, "pid"), encoding="ascii") as file:
            return int(file.read())
    except (OSError, ValueError) as error:
        raise Stage1Error("the pod is not running") from error
