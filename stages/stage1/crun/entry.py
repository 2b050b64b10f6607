"""The `enter` entrypoint: another process in an app, with the app's own confinement, user, directory and variables."""

from __future__ import annotations

import os

from stages.stage1.crun import runtime
from stages.stage1.lib import command, entering, init, quickjson, terminal
from stages.stage1.lib.errors import FAILURE, Stage1Error, explain

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any


def main(argv: list[str]) -> int:
    """Becomes the runtime; returns an exit code only when it cannot (contract H.4, cwd is the pod)."""
    try:
        request = entering.parse(argv)
        program, words, variables = _prepare(os.getcwd(), request)
        os.execve(program, words, variables)
    except Stage1Error as error:
        sentence, code = str(error), error.code
    except OSError as error:
        sentence, code = explain(error), FAILURE
    init.say(sentence)
    return code


def _prepare(pod: str, request: entering.Request) -> tuple[str, list[str], dict[str, str]]:
    remembered = runtime.recall(pod)
    if remembered is None:
        raise Stage1Error("the pod is not running")
    oci = remembered[0]
    try:
        with open(os.path.join(oci.bundle(request.app), "config.json"), encoding="utf-8") as file:
            process = quickjson.load(file)["process"]
    except FileNotFoundError as error:
        raise Stage1Error(f"the pod has no app {request.app}") from error
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
    variables = {"PATH": os.environ.get("PATH", "/usr/sbin:/usr/bin:/sbin:/bin")}
    return oci.program, oci.execute(request.app, f"/proc/self/fd/{handle}"), variables


def _check(inside: int, request: entering.Request, process: dict[str, Any]) -> None:
    """Raises Stage1Error, with the code of shells, for a command that is not there: runtimes have another code each."""
    try:
        root = os.open(f"/proc/{inside}/root", os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    except OSError:
        return
    search = next((word[len("PATH=") :] for word in process["env"] if word.startswith("PATH=")), "")
    # The root is the one that the app sees, volumes and all.
    trouble = command.trouble(root, request.command[0], process["cwd"], search, lambda _: False)
    os.close(root)
    if trouble:
        raise Stage1Error(f"app {request.app}: {trouble.sentence}", trouble.code)
