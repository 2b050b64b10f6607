"""Our commands as doit's plugins: `doit help` tells of them, and its configuration may have defaults for them."""

from __future__ import annotations

from typing import Any

from doit.cmd_base import Command
from doit.cmdparse import CmdOption

from stages.commands import light
from stages.commands.common import PodCommand
from stages.graph import words


class _Plugin(Command):  # type: ignore[misc]
    """doit's side of a command."""

    ours: type[PodCommand]

    def get_options(self) -> list[Any]:
        """As doit describes options."""
        return [CmdOption(dict(one)) for one in self.ours.options()]

    def parse_execute(self, in_args: list[str]) -> int:
        """What the words say; where they are silent, what doit knows: by configuration, environment, words before."""
        known, _ = self.cmdparser.parse([])
        return self.ours().main(words.whole(in_args), {**known, **self.opt_vals})


def __getattr__(name: str) -> type[_Plugin]:
    """The plugin of a command, by the name of the command's class (pyproject.toml)."""
    word = next((word for word, one in light.COMMANDS.items() if one == name), None)
    if word is None:
        raise AttributeError(name)
    ours = light.command(word)
    documented = {key: getattr(ours, key) for key in ("__doc__", "doc_purpose", "doc_usage", "doc_description")}
    return type(name, (_Plugin,), {"name": word, "ours": ours, **documented})
