"""Our commands with doit and without: the same words mean the same."""

from __future__ import annotations

import subprocess
import sys
import tomllib
from pathlib import Path

import pytest

from stages.commands import light

ROOT = Path(__file__).parent.parent.parent


def test_doit_knows_them_all() -> None:
    plugins = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["entry-points"]["doit.COMMAND"]
    ours = {word: f"stages.commands.of_doit:{name}" for word, name in light.COMMANDS.items()}
    assert ours.items() <= plugins.items()
    assert {word: light.command(word).called() for word in ours} == {word: word for word in ours}


LINES = (
    *("ps", "ps --format json", "ps web", "ps pod=web", "ps --nope", "ps --format xml", "ps -f nowhere", "ps -k"),
    *(
        "status",
        "status pod=web",
        "status pod=web pod=two",
        "stop pods=web",
        "enter web ls",
        "enter -x",
        "check",
        "gc -n",
    ),
    *("check --locked pod=shop", "images rm nothing", "images nothing", "lock --format json", "trust add", "rm -- web"),
)


@pytest.mark.parametrize("line", LINES)
def test_as_with_doit(line: str, tmp_path: Path) -> None:
    make_project(tmp_path)
    assert said(tmp_path, line, "doit.doit_cmd") == said(tmp_path, line, "podwright")


@pytest.mark.parametrize(
    ("file", "text"),
    [("doit.cfg", "[ps]\nformat = json\n"), ("pyproject.toml", '[tool.doit.commands.ps]\nformat = "json"\n')],
)
def test_options_in_doits_files_count(file: str, text: str, tmp_path: Path) -> None:
    make_project(tmp_path)
    (tmp_path / file).write_text(text)
    assert said(tmp_path, "ps", "podwright") == (0, "[]\n", "")


def test_a_file_that_nobody_can_read_has_no_options(tmp_path: Path) -> None:
    make_project(tmp_path)
    (tmp_path / "pyproject.toml").mkdir()
    assert said(tmp_path, "ps --no-legend", "podwright") == (0, "", "")


def test_options_before_the_command_count(tmp_path: Path) -> None:
    make_project(tmp_path / "project")
    (tmp_path / "pyproject.toml").write_text("")
    assert said(tmp_path, "-f project/dodo.py check", "podwright")[1] == "0 of 0 specs are right\n"


def make_project(folder: Path) -> None:
    (folder / "pods").mkdir(parents=True)
    (folder / "dodo.py").write_text((ROOT / "dodo.py").read_text())


def said(folder: Path, line: str, by: str) -> tuple[int, str, str]:
    """Exit code, stdout and stderr of a command line in a project, by doit itself or by our script."""
    programs = {
        "doit.doit_cmd": "from stages.commands.main import Main; sys.exit(Main().run(sys.argv[1:]))",
        "podwright": "from stages.commands.podwright import main; sys.exit(main())",
    }
    start = f"import sys; sys.path.insert(0, {str(ROOT)!r}); {programs[by]}"
    environment = {"PATH": "/usr/bin:/bin", "PODWRIGHT_DIR": str(folder / "data")}
    command = [sys.executable, "-Bc", start, *line.split()]
    done = subprocess.run(command, cwd=folder, env=environment, capture_output=True, text=True, check=False)
    return done.returncode, done.stdout, done.stderr
