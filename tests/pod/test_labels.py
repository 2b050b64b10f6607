"""A pod's SELinux level: its own, kept, and nobody else's."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from uuid import uuid4

import pytest

from stages.base.paths import DataDir, PodPaths
from stages.linux import selinux
from stages.pod import labels
from tests.linux.test_selinux import policy


@pytest.fixture
def data(tmp_path: Path) -> DataDir:
    return DataDir(tmp_path / "data")


def new(data: DataDir) -> PodPaths:
    pod = data.pod(str(uuid4()))
    pod.root.mkdir(parents=True)
    return pod


def test_where_selinux_is_off_both_labels_are_empty_and_nothing_is_written(data: DataDir, tmp_path: Path) -> None:
    pod = new(data)
    assert labels.held(data, pod, tmp_path / "off") == ("", "")
    assert list(pod.root.iterdir()) == [] and not data.level_lock.exists()


def test_processes_and_files_of_a_pod_have_one_level(data: DataDir, tmp_path: Path) -> None:
    pod = new(data)
    process, mount = labels.held(data, pod, policy(tmp_path / "host"))
    level = pod.selinux_level.read_text()
    assert process == f"system_u:system_r:container_t:{level}"
    assert mount == f"system_u:object_r:container_file_t:{level}"


def test_a_pod_keeps_its_level(data: DataDir, tmp_path: Path) -> None:
    pod, host = new(data), policy(tmp_path / "host")
    assert labels.held(data, pod, host) == labels.held(data, pod, host)


def test_two_pods_never_have_one_level(data: DataDir, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    host = policy(tmp_path / "host")
    # So few that every second choice meets another pod's.
    monkeypatch.setattr(selinux, "_CATEGORIES", 6)
    pods = [new(data) for _ in range(15)]
    with ThreadPoolExecutor(8) as pool:
        found = list(pool.map(lambda pod: labels.held(data, pod, host).process, pods))
    assert len(set(found)) == 15


def test_a_policy_without_containers_labels_nothing(data: DataDir, tmp_path: Path) -> None:
    host = policy(tmp_path / "host")
    (host / "etc/selinux/targeted/contexts/lxc_contexts").unlink()
    assert labels.held(data, new(data), host) == ("", "")
