"""How samples are taken: in turn, of a whole tree of processes, with failures told."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from benchmarks import sampling
from benchmarks.findings import Sample
from benchmarks.sampling import Bench, BenchmarkError, Signal, children, in_turn, settle, timed


@pytest.fixture
def bench(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Bench:
    monkeypatch.setattr(sampling, "SETTLE", 500.0)  # whatever the machine does besides
    return Bench(tmp_path, tmp_path / "log", {"PATH": os.environ["PATH"]})


def test_arms_take_turns_and_a_warm_round_does_not_count() -> None:
    order: list[str] = []

    def arm(name: str) -> Sample:
        order.append(name)
        return {"wall": float(len(order))}

    found = in_turn(2, {"a": lambda: arm("a"), "b": lambda: arm("b")}, warm=True)
    assert order == ["a", "b"] * 3
    assert found == {"a": [{"wall": 3.0}, {"wall": 5.0}], "b": [{"wall": 4.0}, {"wall": 6.0}]}


def test_a_command_gives_time_and_memory(bench: Bench) -> None:
    sample = bench.run(["true"])
    assert set(sample) == {"wall", "cpu", "peak"}
    assert all(value > 0 for value in sample.values())


def test_the_memory_is_the_commands_own(bench: Bench) -> None:
    much = b"x" * (200 << 20)
    assert bench.run(["true"])["peak"] < 50e6
    assert len(much) == 200 << 20


def test_what_a_command_left_behind_ends_before_the_sample_is_taken(bench: Bench, tmp_path: Path) -> None:
    bench.run(["sh", "-c", f"(i=0; while [ $i -lt 9000 ]; do i=$((i+1)); done; echo >{tmp_path}/ended) & exit 0"])
    assert (tmp_path / "ended").exists()


def test_what_is_to_stay_is_not_waited_for(bench: Bench, tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "gate")
    before = children()
    bench.run(["sh", "-c", f"(read word <{tmp_path}/gate) & exit 0"], leaves_running=True)
    (left,) = children() - before
    bench.run(["true"])
    assert left in children()
    os.kill(left, 9)
    settle(before)
    assert left not in children()


def test_a_failed_command_is_told_with_its_last_words(bench: Bench) -> None:
    with pytest.raises(BenchmarkError, match=r"exit code 3.*\n.*sorry"):
        bench.run(["sh", "-c", "echo sorry; exit 3"])
    with pytest.raises(BenchmarkError, match="sorry"):
        bench.said(["sh", "-c", "echo sorry >&2; exit 3"])


def test_the_first_instruction_is_the_last_apps_byte_in_the_fifo(bench: Bench, tmp_path: Path) -> None:
    signal = Signal(tmp_path / "signal")
    command = f"printf x >{signal.folder}/started; sleep 0.05; printf x >{signal.folder}/started"
    sample = bench.run(["sh", "-c", command], signal, apps=2)
    # Only from below: the end of the command is seen by another process, which may be quicker than this one.
    assert sample["first"] >= 0.05


def test_a_command_that_stays_is_stopped_after_its_first_instruction(bench: Bench, tmp_path: Path) -> None:
    signal = Signal(tmp_path / "signal")
    sample = bench.run(["sh", "-c", f"printf x >{signal.folder}/started; exec sleep 1000"], signal, stop=True)
    assert sample["first"] < sample["wall"]


def test_a_function_is_timed() -> None:
    assert set(timed(lambda: None)) == {"wall", "cpu"}
