"""Becoming a program: what a program in Python finds is the same, whether it is executed or gone on as."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

ROOT = Path(__file__).parents[2]

TELLING = """\
import gc, json, os, sys
status = open("/proc/self/status").read().splitlines()
found = {
    "name": __name__, "file": __file__, "argv": sys.argv, "directory": os.getcwd(),
    "environment": {name: value for name, value in os.environ.items() if name != "LISTEN_PID"},
    "own": os.environ["LISTEN_PID"] == str(os.getpid()),
    "descriptors": sorted(name for name in os.listdir("/proc/self/fd") if os.path.exists(f"/proc/self/fd/{name}")),
    "signals": [line for line in status if line.startswith(("SigBlk", "SigIgn", "SigCgt"))],
    "ours": [name for name in sys.modules if name.startswith("stages")],
    "pid": os.getpid(),
    "collecting": gc.get_threshold(),
}
print(json.dumps(found), flush=True)
"""
BECOMING = """\
import os, sys
sys.path.insert(0, {root!r})
import stages.commands.podwright
from stages.linux import process
program, directory = {program!r}, {directory!r}
lock = os.open("/", os.O_RDONLY)
lock == 3 or os.dup2(lock, 3)
os.set_inheritable(3, True)
for number in range(20, 24):
    os.dup2(lock, number, inheritable=True)
os.environ["LISTEN_FDS"], os.environ["LISTEN_PID"] = "1", str(os.getpid())
added = {{"ADDED": "x", "HOME": "/nowhere"}}
{way}
"""
GONE_ON = "process.go_on(program, ['called', 'one', 'two'], added, directory, 22)"
EXECUTED = "process.become(program, ['called', 'one', 'two'], {**os.environ, **added}, directory, 22)"


def became(way: str, program: Path, text: str) -> subprocess.CompletedProcess[str]:
    """A Python that becomes a program with this text."""
    program.write_text(f"#!{sys.executable} -S\n{text}")
    program.chmod(0o755)
    directory = program.parent / "work"
    directory.mkdir(exist_ok=True)
    code = BECOMING.format(root=str(ROOT), program=str(program), directory=str(directory), way=way)
    buffered = {name: value for name, value in os.environ.items() if name != "PYTHONUNBUFFERED"}
    return subprocess.run([sys.executable, "-S", "-c", code], capture_output=True, text=True, env=buffered)


def told(way: str, program: Path) -> dict[str, Any]:
    done = became(way, program, TELLING)
    assert done.returncode == 0, done.stderr
    found: dict[str, Any] = json.loads(done.stdout)
    del found["pid"]
    return found


def test_a_program_finds_the_same_both_ways(tmp_path: Path) -> None:
    found = told(GONE_ON, tmp_path / "program")
    assert found == told(EXECUTED, tmp_path / "program")
    assert found["own"] and found["environment"]["HOME"] == "/nowhere" and found["environment"]["ADDED"] == "x"
    assert found["argv"] == [str(tmp_path / "program"), "one", "two"] and not found["ours"]
    assert found["descriptors"] == ["0", "1", "2", "22", "3"] and found["directory"] == str(tmp_path / "work")


@pytest.mark.parametrize("count", ["", "x", "-5", "1.0", "9" * 30])
@pytest.mark.parametrize("way", [GONE_ON, EXECUTED], ids=["gone on", "executed"])
def test_a_count_of_passed_sockets_that_is_none_passes_nothing(tmp_path: Path, way: str, count: str) -> None:
    found = told(f"os.environ['LISTEN_FDS'] = {count!r}; {way}", tmp_path / "program")
    assert found["descriptors"] == ["0", "1", "2", "22"]


@pytest.mark.parametrize(
    ("text", "code"),
    [
        ("import sys; sys.exit(7)", 7),
        ("raise SystemExit", 0),
        ("import os; os._exit(9)", 9),
        ("pass", 0),
        ("import os, signal; os.kill(os.getpid(), signal.SIGTERM)", -15),
    ],
)
def test_the_programs_end_is_ours(text: str, code: int, tmp_path: Path) -> None:
    for way in (GONE_ON, EXECUTED):
        done = became(way, tmp_path / "program", text)
        assert (done.returncode, done.stdout, done.stderr) == (code, "", "")


@pytest.mark.parametrize("text", ["print('said')", "print('said'); raise SystemExit('why')", "print('said'); 1 / 0"])
def test_what_the_program_says_last_is_heard(text: str, tmp_path: Path) -> None:
    gone_on, executed = (became(way, tmp_path / "program", text) for way in (GONE_ON, EXECUTED))
    assert gone_on.stdout == "said\n" and gone_on.stderr[-30:] == executed.stderr[-30:]
    assert (gone_on.returncode, gone_on.stdout) == (executed.returncode, executed.stdout)


def test_a_bug_of_the_program_is_told_once_and_nothing_of_ours_goes_on(tmp_path: Path) -> None:
    done = became(f"try:\n    {GONE_ON}\nfinally:\n    print('still here')", tmp_path / "program", "1 / 0")
    assert done.returncode == 1 and done.stdout == "" and done.stderr.count("ZeroDivisionError") == 1


def test_what_cannot_be_read_leaves_everything_as_it_was(tmp_path: Path) -> None:
    after = "\nprint(os.getcwd(), 'ADDED' in os.environ, os.path.exists('/proc/self/fd/20'), 'stages' in sys.modules)"
    here = os.path.realpath(os.getcwd())
    for text in ("what is this?", "x = '\0'"):
        assert became(GONE_ON + after, tmp_path / "program", text).stdout == f"{here} False True True\n"
    missing = GONE_ON.replace("program,", "program + '.missing',") + after
    assert became(missing, tmp_path / "program", "pass").stdout == f"{here} False True True\n"
