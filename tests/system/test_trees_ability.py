"""How trees are mounted is asked of the kernel once for each place, and again when kernel or file system are others."""

from __future__ import annotations

import json
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from stages.base.paths import DataDir
from stages.linux.erofs import Way
from stages.trees import ability, erofs_probe

pytestmark = pytest.mark.system


@pytest.fixture
def in_memory() -> Iterator[DataDir]:
    """A data directory on a tmpfs, whose files no kernel mounts by name."""
    with tempfile.TemporaryDirectory(dir="/dev/shm") as place:
        yield DataDir(Path(place))


def test_on_a_tmpfs_no_index_is_mounted_by_file(in_memory: DataDir) -> None:
    found = erofs_probe.probe(in_memory.root)
    assert found.way is not Way.FILE
    assert found.refusals[0][0] is Way.FILE and found.refusals[0][1]
    assert ability.way(in_memory) is found.way


def test_the_answer_is_remembered_until_kernel_or_file_system_are_others(tmp_path: Path) -> None:
    data = DataDir(tmp_path)
    truth = ability.way(data)
    (memory,) = [path for path in data.cache.iterdir() if path.name == "erofs.json"]
    other = None if truth is Way.LOOP else Way.LOOP
    document = json.loads(memory.read_text())
    lie = {**document, "way": other.value if other else ""}
    memory.write_text(json.dumps(lie))
    assert ability.way(data) is other  # as remembered: the kernel was not asked
    memory.write_text(
        json.dumps({**document, "way": other.value if other else "", "circumstances": ["older", "", "", ""]})
    )
    assert ability.way(data) is truth
    assert json.loads(memory.read_text()) == document
    memory.write_text("{")
    assert ability.way(data) is truth


ASK = """
import sys
from pathlib import Path
from stages.base.paths import DataDir
from stages.trees import ability

print(ability.way(DataDir(Path(sys.argv[1]))))
"""


def told(data: DataDir, *wrapper: str) -> str:
    """What a process of its own is told."""
    words = [*wrapper, sys.executable, "-c", ASK, str(data.root)]
    return subprocess.run(words, capture_output=True, text=True, check=True).stdout.strip()


def test_a_refusal_is_believed_until_something_that_it_may_come_from_changes(tmp_path: Path) -> None:
    data, confined = DataDir(tmp_path), ("setpriv", "--bounding-set=-sys_admin")
    truth = told(data)
    (data.cache / "erofs.json").unlink()

    assert told(data, *confined) == "None"
    first = (data.cache / "erofs.json").stat()
    assert json.loads((data.cache / "erofs.json").read_text())["way"] == ""
    assert told(data, *confined) == "None"
    assert (data.cache / "erofs.json").stat().st_ino == first.st_ino  # it was not asked again
    assert told(data) == truth  # as root may mount now
    assert (data.cache / "erofs.json").stat().st_ino != first.st_ino


def test_what_works_is_looked_at_by_nothing_but_kernel_and_file_system(tmp_path: Path) -> None:
    data = DataDir(tmp_path)
    if ability.way(data) is None:
        pytest.skip("no index is mounted here")
    assert json.loads((data.cache / "erofs.json").read_text()).keys() == {"circumstances", "way"}


def test_what_takes_loop_devices_is_not_used_where_there_are_none(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    data = DataDir(tmp_path)
    ability.way(data)
    memory = data.cache / "erofs.json"
    memory.write_text(json.dumps({**json.loads(memory.read_text()), "way": Way.LOOP.value}))
    kept = memory.read_text()
    assert ability.way(data) is Way.LOOP
    monkeypatch.setattr(ability, "_LOOPS", "/dev/no-loop-control")
    assert ability.way(data) is None and memory.read_text() == kept
