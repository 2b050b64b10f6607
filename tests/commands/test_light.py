"""Our commands with doit and without: the same words mean the same."""

from __future__ import annotations

import subprocess
import sys
import tomllib
from collections.abc import Mapping
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


@pytest.mark.parametrize(
    ("line", "said_of_it"),
    [
        ("images verify name=x", "'name=x'"),
        ("images import https://127.0.0.1:1/a?b=c", "'https://127.0.0.1:1/a?b=c'"),
        ("trust add --prefix example.com/x key=1.asc", "'key=1.asc'"),
        ("lock Pod=web", "did you mean pod=?"),
        ("prepare pods=web", "did you mean pod=?"),
        ("gc dry=1", "'dry=1'"),
    ],
)
@pytest.mark.parametrize("program", ["doit.doit_cmd", "podwright"])
def test_a_word_that_nobody_would_hear_is_refused(line: str, said_of_it: str, program: str, tmp_path: Path) -> None:
    """doit takes it for a variable: all images were verified, all pods locked, and another key was trusted."""
    make_project(tmp_path)
    code, out, err = said(tmp_path, line, program)
    assert (code, out) == (1, "") and said_of_it in err, err


@pytest.mark.parametrize("program", ["doit.doit_cmd", "podwright", "stock"])
def test_behind_the_dashes_it_is_a_word_like_others(program: str, tmp_path: Path) -> None:
    make_project(tmp_path)
    assert said(tmp_path, "rm -- a=b", program)[2].startswith("ERROR: no pod 'a=b'")


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


def test_the_dodo_py_that_doits_variable_names_is_the_projects(tmp_path: Path) -> None:
    """It was forgotten, as doit's own reader of options was not asked any more; and a run never knew of it."""
    make_project(tmp_path / "here")
    make_project(tmp_path / "there")
    app = "{name: web, image: images/none.aci}"
    (tmp_path / "there/pods/web.yaml").write_text(
        "apiVersion: v1\nkind: Pod\nmetadata: {name: web, uid: 5d2f9a86-41c3-4b0b-8a0d-9b7e6c5d4e22}\n"
        f"spec: {{containers: [{app}]}}\n"
    )
    named = {"DOIT_FILE": str(tmp_path / "there/dodo.py")}
    for program in ("doit.doit_cmd", "podwright"):
        assert said(tmp_path / "here", "check", program, named)[:2] == (0, "1 of 1 specs are right\n")
        assert said(tmp_path / "here", "check -f dodo.py", program, named)[1] == "0 of 0 specs are right\n"
        assert "no pod" not in said(tmp_path / "here", "run pod=web", program, named)[2]


def test_a_name_that_no_terminal_can_write_is_told_as_far_as_it_goes(tmp_path: Path) -> None:
    done = said(tmp_path, "new \udcff", "podwright", {"PYTHONIOENCODING": "utf-8:strict"})
    assert done[0] == 0 and "\\udcff is a project" in done[1] and done[2] == ""


def make_project(folder: Path) -> None:
    (folder / "pods").mkdir(parents=True)
    (folder / "dodo.py").write_text((ROOT / "dodo.py").read_text())


def said(folder: Path, line: str, by: str, more: Mapping[str, str] | None = None) -> tuple[int, str, str]:
    """Exit code, stdout and stderr of a command line in a project, by doit itself or by our script."""
    programs = {
        "doit.doit_cmd": "from stages.commands.main import Main; sys.exit(Main().run(sys.argv[1:]))",
        "stock": "from doit.doit_cmd import DoitMain; sys.exit(DoitMain().run(sys.argv[1:]))",
        "podwright": "from stages.commands.podwright import main; sys.exit(main())",
    }
    start = f"import sys; sys.path.insert(0, {str(ROOT)!r}); {programs[by]}"
    environment = {"PATH": "/usr/bin:/bin", "PODWRIGHT_DIR": str(folder / "data"), **(more or {})}
    command = [sys.executable, "-Bc", start, *line.split()]
    done = subprocess.run(command, cwd=folder, env=environment, capture_output=True, text=True, check=False)
    return done.returncode, done.stdout, done.stderr
