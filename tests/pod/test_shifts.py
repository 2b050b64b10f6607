"""Ranges of user ids: free ones, kept by their pod, given back."""

from __future__ import annotations

import errno
import itertools
import os
import random
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from uuid import uuid4

import pytest

from stages.base.errors import HostError, PodError
from stages.base.host_dir import HostDir
from stages.base.paths import DataDir, PodPaths
from stages.linux import id_ranges
from stages.pod import shifts


@pytest.fixture
def data(tmp_path: Path) -> DataDir:
    return DataDir(tmp_path / "data")


@pytest.fixture
def host(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> HostDir:
    """A host on which nobody else has any ids."""
    monkeypatch.setattr(id_ranges, "taken", lambda: [])
    return HostDir(tmp_path / "host")


@pytest.fixture
def new(data: DataDir) -> Callable[[], PodPaths]:
    def make() -> PodPaths:
        pod = data.pod(str(uuid4()))
        pod.root.mkdir(parents=True)
        return pod

    return make


def slots(monkeypatch: pytest.MonkeyPatch, *wanted: int) -> None:
    """Let chance choose these slots, then go round."""
    choices = itertools.cycle(wanted)
    monkeypatch.setattr(random, "randint", lambda low, high: next(choices))


def test_a_range_is_a_slot_below_the_signed_half(data: DataDir, host: HostDir, new: Callable[[], PodPaths]) -> None:
    start, count = shifts.held(data, new(), host)
    assert count == 65536 and start % 65536 == 0 and 65536 <= start < 2**31


def test_a_pod_keeps_its_range(data: DataDir, host: HostDir, new: Callable[[], PodPaths]) -> None:
    pod = new()
    assert shifts.held(data, pod, host) == shifts.held(data, pod, host)


def test_a_full_disk_is_not_the_hosts_other_pods(
    data: DataDir, host: HostDir, new: Callable[[], PodPaths], monkeypatch: pytest.MonkeyPatch
) -> None:
    pod = new()

    def full(path: Path, *_: object) -> None:
        raise OSError(errno.ENOSPC, "No space left on device", str(path))

    monkeypatch.setattr(shifts.files, "publish", full)
    with pytest.raises(OSError) as caught:
        shifts.held(data, pod, host)
    assert caught.value.filename == str(pod.shift) and os.listdir(data.shifts) == []


@pytest.mark.contract("M.5 ranges collide")
def test_no_two_pods_have_one_range(
    data: DataDir, host: HostDir, new: Callable[[], PodPaths], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(shifts, "_LAST_SLOT", 20)
    pods = [new() for _ in range(12)]
    with ThreadPoolExecutor(6) as pool:
        found = list(pool.map(lambda pod: shifts.held(data, pod, host), pods))
    assert len(set(found)) == 12


@pytest.mark.contract("G ranges", "M.5 ranges collide")
def test_pods_of_two_data_directories_have_two_ranges(
    tmp_path: Path, host: HostDir, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(shifts, "_LAST_SLOT", 20)
    pods = []
    for number in range(12):
        data = DataDir(tmp_path / f"data{number % 3}")
        pods.append((data, data.pod(str(uuid4()))))
        pods[-1][1].root.mkdir(parents=True)
    with ThreadPoolExecutor(6) as pool:
        found = list(pool.map(lambda one: shifts.held(*one, host), pods))
    assert len(set(found)) == 12
    shifts.give_back(*pods[0])
    slots(monkeypatch, found[0][0] // 65536)
    other = DataDir(tmp_path / "data1")
    other.pod("x").root.mkdir()
    assert shifts.held(other, other.pod("x"), host) == found[0]


@pytest.mark.contract("G ranges")
def test_a_range_that_somebody_else_on_the_host_has_is_left_alone(
    data: DataDir, host: HostDir, new: Callable[[], PodPaths], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(id_ranges, "taken", lambda: [(4 * 65536 + 7, 4 * 65536 + 8)])
    slots(monkeypatch, 4, 6)
    assert shifts.held(data, new(), host) == (6 * 65536, 65536)


def test_a_place_where_the_host_s_pods_cannot_be_asked_is_told(data: DataDir, new: Callable[[], PodPaths]) -> None:
    with pytest.raises(HostError) as refused:
        shifts.held(data, new(), HostDir(Path("/dev/null/x")))
    assert refused.value.reason == "host-directory" and "PODWRIGHT_HOST_DIR" in (refused.value.hint or "")


@pytest.mark.contract("M.5 ranges collide")
def test_a_range_that_another_pod_s_spec_chose_is_left_alone(
    data: DataDir, host: HostDir, new: Callable[[], PodPaths], monkeypatch: pytest.MonkeyPatch
) -> None:
    new().private_users_prepared.write_text("200000:65536")
    slots(monkeypatch, 3, 4, 5)  # 196608 and 262144 overlap it
    assert shifts.held(data, new(), host) == (5 * 65536, 65536)


def test_a_pod_without_a_directory_takes_nothing(data: DataDir, host: HostDir) -> None:
    with pytest.raises(PodError) as absent:
        shifts.held(data, data.pod(str(uuid4())), host)
    assert absent.value.reason == "not-begun" and not data.shifts.exists()


@pytest.mark.parametrize("text", ["", "x", "1:", ":1", "-1:5"])
def test_a_damaged_marker_of_another_pod_is_no_trouble(
    data: DataDir, host: HostDir, new: Callable[[], PodPaths], text: str
) -> None:
    new().private_users_prepared.write_text(text)
    assert shifts.held(data, new(), host)[1] == 65536


def test_a_range_given_back_is_free(data: DataDir, host: HostDir, new: Callable[[], PodPaths]) -> None:
    pod = new()
    shifts.held(data, pod, host)
    shifts.give_back(data, pod)
    assert os.listdir(data.shifts) == []


def test_a_pod_whose_range_was_given_to_another_takes_a_new_one(
    data: DataDir, host: HostDir, new: Callable[[], PodPaths]
) -> None:
    pod, other = new(), new()
    start, _ = shifts.held(data, pod, host)
    link = data.shifts / str(start // 65536)
    link.unlink()
    link.symlink_to(other.root.name)
    assert shifts.held(data, pod, host)[0] != start
    shifts.give_back(data, pod)
    assert os.readlink(link) == other.root.name


def test_when_all_are_taken_it_is_told(
    data: DataDir, host: HostDir, new: Callable[[], PodPaths], monkeypatch: pytest.MonkeyPatch
) -> None:
    slots(monkeypatch, 7)
    shifts.held(data, new(), host)
    with pytest.raises(PodError) as full:
        shifts.held(data, new(), host)
    assert full.value.reason == "no-shift"


def test_what_a_spec_chose_is_nobody_elses_by_chance_from_the_moment_it_is_begun(
    tmp_path: Path, data: DataDir, host: HostDir, new: Callable[[], PodPaths], monkeypatch: pytest.MonkeyPatch
) -> None:
    """No pod there is prepared yet, and none ever took a range by chance."""
    neighbour = DataDir(tmp_path / "neighbour")
    chosen = neighbour.pod("x")
    shifts.reserve(neighbour, chosen, (7 * 65536 + 1, 65536), host)
    assert not chosen.root.exists(), "who has no directory reserves nothing"
    chosen.root.mkdir(parents=True)
    shifts.reserve(neighbour, chosen, (7 * 65536 + 1, 65536), host)
    slots(monkeypatch, 7, 8, 9)
    assert shifts.held(data, new(), host) == (9 * 65536, 65536)
    assert shifts.known(neighbour, chosen) is None


def test_a_spec_that_chooses_gives_back_what_chance_gave_it(
    data: DataDir, host: HostDir, new: Callable[[], PodPaths], monkeypatch: pytest.MonkeyPatch
) -> None:
    slots(monkeypatch, 5)
    pod = new()
    assert shifts.held(data, pod, host) == (5 * 65536, 65536)
    shifts.reserve(data, pod, (1000000, 65536), host)
    assert shifts.known(data, pod) is None and not list(data.shifts.iterdir())
    before = pod.shift.stat()
    shifts.reserve(data, pod, (1000000, 65536), host)
    assert pod.shift.stat().st_mtime_ns == before.st_mtime_ns
    slots(monkeypatch, 6)
    assert shifts.held(data, pod, host) == (6 * 65536, 65536)


def test_a_spec_may_choose_where_no_other_pod_can_be_asked(data: DataDir, new: Callable[[], PodPaths]) -> None:
    pod = new()
    shifts.reserve(data, pod, (1000000, 65536), HostDir(Path("/proc/nowhere")))
    assert pod.shift.read_text() == "1000000:65536"
