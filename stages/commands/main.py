"""doit's own command line, as our scripts have it: what follows `--` is left alone, and plugins are looked for once."""

from __future__ import annotations

import signal
from importlib import metadata

from doit import plugin
from doit.doit_cmd import DoitMain


def look_once() -> None:
    """Have doit look through the installed packages once in this process; it does for each kind, 5 ms each."""
    found = metadata.entry_points()
    plugin.entry_points_impl = lambda: found.select


def end_with_reader(words: list[str]) -> None:
    """Have doit's own commands of which we have none (stock.py) end in silence, as others do, when nobody reads on."""
    if words and words[0] in ("help", "tabcompletion", "--version", "--help"):
        signal.signal(signal.SIGPIPE, signal.SIG_DFL)


class Main(DoitMain):  # type: ignore[misc]
    """doit takes every A=B word for a variable, those of somebody else's command line too, and stumbles over ""."""

    @staticmethod
    def print_version() -> None:
        """What `--version` says: doit's own is of doit alone."""
        print(f"podwright {metadata.version('podwright')}")
        print(f"doit {metadata.version('doit')}")

    def process_args(self, cmd_args: list[str]) -> list[str]:
        """The words without the variables, which are remembered."""
        cut = cmd_args.index("--") if "--" in cmd_args else len(cmd_args)
        return [*super().process_args([word for word in cmd_args[:cut] if word]), *cmd_args[cut:]]
