"""The command line of the `enter` entrypoint (contract H.4)."""

from __future__ import annotations

from stages.stage1.lib.errors import Stage1Error
from stages.stage1.lib.manifest import app_name


class Request:
    """Run `command` in `app` of the pod whose process is `pid`."""

    __slots__ = ("app", "command", "pid")

    def __init__(self, pid: int, app: str, command: list[str]) -> None:
        self.pid, self.app, self.command = pid, app, command


def parse(argv: list[str]) -> Request:
    """`--pid=N --appname=APP [--] CMD ARGS`; without a command, a shell. Raises Stage1Error."""
    pid, app, words = 0, "", list(argv)
    while words and words[0].startswith("--"):
        name, _, value = words.pop(0).partition("=")
        if name == "--":
            break
        if name == "--pid" and value.isdecimal():
            pid = int(value)
        elif name == "--appname":
            app = app_name(value, "an app")
        elif name != "--debug":
            raise Stage1Error(f"unknown flag {name!r}")
    if not app:
        raise Stage1Error("--appname is missing")
    return Request(pid, app, words or ["/bin/sh"])
