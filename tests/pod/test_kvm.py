"""The kvm flavor's key: made once, private, and put below stage1's root without following what an image put there."""

from __future__ import annotations

import os
import stat
import subprocess
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from stages.base.errors import HostError, PodError
from stages.base.paths import DataDir
from stages.pod import kvm


@pytest.fixture
def data(tmp_path: Path) -> DataDir:
    made = DataDir(tmp_path / "data")
    made.root.mkdir()
    return made


@pytest.fixture
def rootfs(tmp_path: Path) -> Path:
    made = tmp_path / "rootfs"
    made.mkdir()
    return made


def mode(path: Path) -> int:
    return stat.S_IMODE(path.lstat().st_mode)


@pytest.mark.contract("M 49", "J.2 kvm")
def test_a_key_of_today_is_made_for_the_host_and_its_public_half_given_to_stage1(data: DataDir, rootfs: Path) -> None:
    kvm.give_key(data, rootfs)
    public = (data.kvm / "ssh_kvm_key.pub").read_bytes()
    assert (rootfs / "root/.ssh/authorized_keys").read_bytes() == public
    assert public.startswith(b"ssh-ed25519 ")
    assert (mode(data.kvm), mode(data.kvm / "ssh_kvm_key")) == (0o700, 0o600)
    assert (mode(rootfs / "root/.ssh"), mode(rootfs / "root/.ssh/authorized_keys")) == (0o700, 0o600)


def test_both_halves_belong_together_and_need_no_passphrase(data: DataDir, rootfs: Path) -> None:
    kvm.give_key(data, rootfs)
    command = ["ssh-keygen", "-y", "-P", "", "-f", str(data.kvm / "ssh_kvm_key")]
    told = subprocess.run(command, capture_output=True, check=True).stdout.split()
    assert told[:2] == (data.kvm / "ssh_kvm_key.pub").read_bytes().split()[:2]


def test_the_host_keeps_its_key(data: DataDir, rootfs: Path) -> None:
    kvm.give_key(data, rootfs)
    first = (data.kvm / "ssh_kvm_key").read_bytes()
    kvm.give_key(data, rootfs)
    assert (data.kvm / "ssh_kvm_key").read_bytes() == first
    assert sorted(path.name for path in data.kvm.iterdir()) == ["lock", "ssh_kvm_key", "ssh_kvm_key.pub"]


@pytest.mark.parametrize("lost", ["ssh_kvm_key", "ssh_kvm_key.pub"])
def test_a_pair_that_lost_a_half_is_made_anew(data: DataDir, rootfs: Path, lost: str) -> None:
    kvm.give_key(data, rootfs)
    old = (data.kvm / "ssh_kvm_key.pub").read_bytes()
    (data.kvm / lost).unlink()
    kvm.give_key(data, rootfs)
    assert (rootfs / "root/.ssh/authorized_keys").read_bytes() == (data.kvm / "ssh_kvm_key.pub").read_bytes() != old


def test_pods_that_start_at_one_time_share_one_key(data: DataDir, tmp_path: Path) -> None:
    roots = [tmp_path / f"root{number}" for number in range(6)]
    for root in roots:
        root.mkdir()
    with ThreadPoolExecutor(6) as pool:
        list(pool.map(lambda root: kvm.give_key(data, root), roots))
    assert len({(root / "root/.ssh/authorized_keys").read_bytes() for root in roots}) == 1


def test_a_key_file_of_the_image_is_replaced_and_not_written_through(
    data: DataDir, rootfs: Path, tmp_path: Path
) -> None:
    (tmp_path / "victim").write_text("mine")
    (rootfs / "root/.ssh").mkdir(parents=True)
    (rootfs / "root/.ssh/authorized_keys").symlink_to(tmp_path / "victim")
    kvm.give_key(data, rootfs)
    assert (tmp_path / "victim").read_text() == "mine"
    assert stat.S_ISREG((rootfs / "root/.ssh/authorized_keys").lstat().st_mode)


@pytest.mark.parametrize("name", ["root", "root/.ssh"])
def test_a_link_in_the_way_is_not_followed(data: DataDir, rootfs: Path, tmp_path: Path, name: str) -> None:
    (tmp_path / "elsewhere").mkdir()
    (rootfs / name).parent.mkdir(exist_ok=True)
    (rootfs / name).symlink_to(tmp_path / "elsewhere")
    with pytest.raises(PodError) as refused:
        kvm.give_key(data, rootfs)
    assert refused.value.reason == "kvm-key"
    assert os.listdir(tmp_path / "elsewhere") == []


def test_without_ssh_keygen_the_package_is_named(
    data: DataDir, rootfs: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PATH", str(tmp_path / "empty"))
    with pytest.raises(HostError) as missing:
        kvm.give_key(data, rootfs)
    assert missing.value.reason == "no-ssh-keygen" and "openssh-client" in missing.value.hint


def test_what_ssh_keygen_says_is_told(
    data: DataDir, rootfs: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "bin").mkdir()
    (tmp_path / "bin/ssh-keygen").write_text("#!/bin/sh\necho no entropy >&2\nexit 1\n")
    (tmp_path / "bin/ssh-keygen").chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path / 'bin'}:{os.environ['PATH']}")
    with pytest.raises(HostError) as failed:
        kvm.give_key(data, rootfs)
    assert "no entropy" in failed.value.sentence
    assert [path.name for path in data.kvm.iterdir()] == ["lock"]
