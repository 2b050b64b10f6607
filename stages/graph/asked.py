"""Which of doit's commands this process is: doit tells nobody, so its words are read as it reads them."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from doit.cmd_base import DodoTaskLoader
from doit.cmd_clean import Clean
from doit.cmdparse import CmdOption, CmdParse, CmdParseError
from doit.doit_cmd import DoitMain


def command(arguments: list[str]) -> str:
    """The command that stock doit makes of its arguments; "" for a clean that only shows what it would do."""
    loader = DodoTaskLoader.cmd_options
    words = [word for word in _parsed(loader, arguments)[1] if word.startswith("-") or "=" not in word]
    if not words or words[0] not in {*stock(), "--version", "--help"}:
        return "run"
    options, _ = _parsed((*loader, *Clean.base_options, *Clean.cmd_options), words[1:])
    return "" if words[0] == "clean" and options.get("dryrun") else words[0]


def stock() -> frozenset[str]:
    """The names of doit's own commands."""
    return frozenset(one.get_name() for one in DoitMain.DOIT_CMDS)


def _parsed(options: Sequence[dict[str, Any]], words: list[str]) -> tuple[dict[str, Any], list[str]]:
    """The options at the beginning of the words, and the rest."""
    try:
        found: tuple[dict[str, Any], list[str]] = CmdParse([CmdOption(one) for one in options]).parse_only(words)
    except CmdParseError:
        return {}, words
    return found
