"""What the witness sees: every way in which Python looks at files, and when what it saw may be believed."""

from __future__ import annotations

import os
import re
from collections.abc import Callable
from pathlib import Path

import pytest

from stages.graph.witness import Variables, Witness
from stages.pod import again
from tests.clock import tick

LOOKS: dict[str, Callable[[Path], object]] = {
    "read_bytes": Path.read_bytes,
    "open": lambda path: open(path).close(),
    "os.open": lambda path: os.close(os.open(path, os.O_RDONLY)),
    "os.open below a directory": lambda path: _open_below(path),
    "stat": lambda path: os.stat(path),
    "Path.exists": Path.exists,
    "os.path.isfile": os.path.isfile,
    "access": lambda path: os.access(path, os.R_OK),
    "os.walk": lambda path: list(os.walk(path.parent)),
}


def _open_below(path: Path) -> None:
    folder = os.open(path.parent, os.O_RDONLY)
    os.close(os.open(path.name, os.O_RDONLY, dir_fd=folder))
    os.close(folder)


@pytest.fixture
def witness() -> Witness:
    made = Witness()
    made.began += 3_600_000_000_000  # what the test writes is old
    return made


@pytest.mark.parametrize("look", LOOKS.values(), ids=LOOKS)
def test_a_change_of_what_was_looked_at_is_seen(
    tmp_path: Path, witness: Witness, look: Callable[[Path], object]
) -> None:
    path = tmp_path / "file"
    path.write_text("old")
    with witness.watching():
        look(path)
    assert witness.settled()
    path.write_text("newer")
    assert not witness.settled()


def test_what_was_missing_must_stay_so(tmp_path: Path, witness: Witness) -> None:
    with witness.watching():
        assert not (tmp_path / "file").exists()
    assert witness.settled()
    (tmp_path / "file").touch()
    assert not witness.settled()


def test_a_listed_directory_must_not_get_other_names_and_one_that_is_only_there_may(
    tmp_path: Path, witness: Witness
) -> None:
    listed, there = tmp_path / "listed", tmp_path / "there"
    listed.mkdir()
    there.mkdir()
    tick()
    with witness.watching():
        assert there.is_dir() and os.listdir(listed) == []
    (there / "new").touch()
    assert witness.settled()
    (listed / "new").touch()
    assert not witness.settled()


def test_a_link_counts_by_itself_and_by_what_it_leads_to(tmp_path: Path, witness: Witness) -> None:
    (tmp_path / "target").write_text("a")
    link = tmp_path / "link"
    link.symlink_to("target")
    with witness.watching():
        link.read_text()
    (tmp_path / "target").write_text("other")
    assert not witness.settled()


def test_what_changed_just_now_is_not_believed(tmp_path: Path) -> None:
    witness = Witness()
    (tmp_path / "file").write_text("x")
    with witness.watching():
        (tmp_path / "file").read_text()
    assert not witness.settled()


def test_two_states_of_one_file_spoil_it(tmp_path: Path, witness: Witness) -> None:
    for text in ("one", "longer"):
        (tmp_path / "file").write_text(text)
        with witness.watching():
            (tmp_path / "file").read_text()
    assert witness.spoiled and not witness.settled()


def test_files_of_proc_count_by_their_text(witness: Witness) -> None:
    with witness.watching():
        text = Path("/proc/filesystems").read_text()
    assert witness.texts == {"/proc/filesystems": text} and not witness.files


def test_writing_is_no_look_and_nobody_watches_afterwards(tmp_path: Path, witness: Witness) -> None:
    functions = (os.stat, os.open, open)
    with witness.watching():
        (tmp_path / "file").write_text("x")
    assert not witness.files and (os.stat, os.open, open) == functions


def test_variables_are_noted_one_by_one_or_all(witness: Witness) -> None:
    variables = Variables({"A": "1", "B": "2"}, witness)
    assert variables.get("A") == "1" and variables.get("C") is None
    assert (witness.variables, witness.environment) == ({"A": "1", "C": None}, None)
    assert dict(variables) == {"A": "1", "B": "2"} == witness.environment


def test_no_module_keeps_a_function_of_its_own_under_which_nobody_watches() -> None:
    bound = re.compile(
        r"from (os|io|posix|builtins) import .*\b(l?stat|open|access|readlink|listdir|scandir|walk)\b"
        r"|\.r?glob\("  # pathlib's own, from Python 3.13 on
    )
    sources = (Path(again.CODE)).rglob("*.py")
    assert not [str(path) for path in sources if bound.search(path.read_text())]


def test_a_copy_of_a_process_has_read_its_code_when_that_began() -> None:
    made = Witness()
    later = made.began
    made.forked_by(1)
    assert made.began < later
    made.forked_by(os.getpid())
    assert made.began < later
