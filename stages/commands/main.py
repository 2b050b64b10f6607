"""doit's own command line, but for one thing: what follows `--` is left alone."""

from __future__ import annotations

from doit.doit_cmd import DoitMain


class Main(DoitMain):  # type: ignore[misc]
    """doit takes every A=B word for a variable, those of somebody else's command line too, and stumbles over ""."""

    def process_args(self, cmd_args: list[str]) -> list[str]:
        """The words without the variables, which are remembered."""
        cut = cmd_args.index("--") if "--" in cmd_args else len(cmd_args)
        return [*super().process_args([word for word in cmd_args[:cut] if word]), *cmd_args[cut:]]
