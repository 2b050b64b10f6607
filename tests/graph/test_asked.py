"""Which command doit makes of its words."""

from __future__ import annotations

import pytest

from stages.graph import asked


@pytest.mark.parametrize(
    ("line", "command"),
    [
        ("", "run"),
        ("pod=web", "run"),
        ("run pod=web", "run"),
        ("pod=web run -n 2", "run"),
        ("manifest pod=web", "run"),
        ("-n 2 pod=web", "run"),
        ("-f ../dodo.py run pod=web", "run"),
        ("-f ../dodo.py pod=web", "run"),
        ("list pod=web", "list"),
        ("pod=web list", "list"),
        ("-f ../dodo.py list pod=web", "list"),
        ("-f../dodo.py -k info pod=web manifest", "info"),
        ("--file=dodo.py forget pod=web", "forget"),
        ("clean pod=web", "clean"),
        ("clean -a pod=web manifest", "clean"),
        ("-f dodo.py clean pod=web", "clean"),
        ("clean -n pod=web", ""),
        ("clean -an pod=web", ""),
        ("pod=web clean --dry-run", ""),
        ("--version", "--version"),
    ],
)
def test_the_command_is_the_one_that_doit_would_take(line: str, command: str) -> None:
    assert asked.command(line.split()) == command
