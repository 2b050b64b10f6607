"""The `enter` entrypoint: another process in an app, with the app's own confinement, user, directory and variables."""

from __future__ import annotations

import os

from stages.stage1.crun import runtime, streams
from stages.stage1.lib import command, entering, init, quickjson, terminal
from stages.stage1.lib.errors import FAILURE, Stage1Error, explain
from stages.stage1.lib.signals import signal

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any


def main(argv: list[str]) -> int:
    """Becomes the runtime, or waits for it; returns an exit code (contract H.4, cwd is the pod)."""
    try:
        request = entering.parse(argv)
        words, process, told = _prepare(os.getcwd(), request)
        if told >= 0 or (not process["terminal"] and _would_lend(process["user"])):
            return _wait_for(words, told)
        os.execve(words[0], words, {"PATH": os.environ.get("PATH", "/usr/sbin:/usr/bin:/sbin:/bin")})
    except Stage1Error as error:
        sentence, code = str(error), error.code
    except OSError as error:
        sentence, code = explain(error), FAILURE
    init.say(sentence)
    return code


def _prepare(pod: str, request: entering.Request) -> tuple[list[str], dict[str, Any], int]:
    """The runtime's command line, the process that it is to run, and where it tells the number of that, or -1."""
    remembered = runtime.recall(pod)
    if remembered is None:
        raise Stage1Error("the pod is not running")
    oci = remembered[0]
    try:
        with open(os.path.join(oci.bundle(request.app), "config.json"), encoding="utf-8") as file:
            process = quickjson.load(file)["process"]
    except FileNotFoundError as error:
        raise Stage1Error(f"the pod has no app {request.app}") from error
    except (ValueError, KeyError, TypeError) as error:
        raise Stage1Error(f"the configuration of app {request.app} is damaged") from error
    if not os.path.isdir(oci.state(request.app)):
        raise Stage1Error(f"app {request.app} is not running")
    _check(oci.process(request.app), request, process)
    process["args"] = request.command
    # They are the app's, not this process's.
    process["env"] = [word for word in process["env"] if not word.startswith("LISTEN_")]
    process["terminal"] = all(os.isatty(number) for number in (0, 1))
    process.pop("consoleSize", None)
    if process["terminal"]:
        if size := terminal.size(0):
            process["consoleSize"] = size
        term = os.environ.get("TERM", "xterm")
        process["env"] = [word for word in process["env"] if not word.startswith("TERM=")] + [f"TERM={term}"]
    # The description needs no name on disk: it lives as long as the runtime that reads it.
    handle = os.memfd_create("process")
    os.write(handle, quickjson.dumps(process).encode())
    os.set_inheritable(handle, True)
    told = -1
    if process["terminal"] and oci.name == "crun":  # which has terminals follow no resize
        told = os.memfd_create("pid")
        os.set_inheritable(told, True)
    noted = f"/proc/self/fd/{told}" if told >= 0 else ""
    return oci.execute(request.app, f"/proc/self/fd/{handle}", noted), process, told


def _would_lend(user: dict[str, Any]) -> bool:
    """Whether the runtime would give a stream of the caller's to the app's user: somebody has to take it back."""
    return any(owner != (user["uid"], user["gid"]) for owner in streams.owners().values())


def _wait_for(words: list[str], told: int) -> int:
    """Run the runtime, with the signals that come for it, and give back to the caller what is the caller's.

    The terminal of the process whose number the runtime has `told` follows the caller's.
    """
    from stages.stage1.crun import supervise

    signals = init.block_signals() | {signal.SIGCHLD}
    owners = streams.owners()
    child = supervise.spawn(words, 0)
    try:
        while True:
            number = signal.sigwaitinfo(signals).si_signo
            if number == signal.SIGWINCH and told >= 0:
                terminal.follow_entered(0, int(os.pread(told, 32, 0) or b"0"))
            elif number != signal.SIGCHLD:
                os.kill(child, number)
            elif (ended := os.waitpid(child, os.WNOHANG))[0]:
                return init.exit_code(ended[1])
    finally:
        streams.give_back(owners)


def _check(inside: int, request: entering.Request, process: dict[str, Any]) -> None:
    """Raises Stage1Error, with the code of shells, for a command that is not there: runtimes have another code each.

    And of the streams the host's /dev/null becomes the app's.
    """
    try:
        root = os.open(f"/proc/{inside}/root", os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    except OSError:
        return
    try:
        _check_in(root, request, process)
    finally:
        os.close(root)


def _check_in(root: int, request: entering.Request, process: dict[str, Any]) -> None:
    search = next((word[len("PATH=") :] for word in process["env"] if word.startswith("PATH=")), "")
    # The root is the one that the app sees, volumes and all.
    trouble = command.trouble(root, request.command[0], process["cwd"], search, lambda _: False)
    if trouble:
        raise Stage1Error(f"app {request.app}: {trouble.sentence}", trouble.code)
    streams.take_null_of(root, request.app)
