"""Ranges of ids that the host's files and processes have."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest

from stages.linux import id_ranges


def test_delegations_accounts_and_namespaces_count(tmp_path: Path) -> None:
    (tmp_path / "etc").mkdir()
    (tmp_path / "etc/subuid").write_text("me:100000:65536\n\nbroken:x:y\n")
    (tmp_path / "etc/subgid").write_text("me:300000:10\n")
    (tmp_path / "etc/passwd").write_text("root:x:0:0::/:/bin/sh\nfar:x:700000:7::/:/bin/sh\n")
    (tmp_path / "etc/group").write_bytes(b"\xff:x:800000:\n")
    for name in ("1", "2", "self"):
        (tmp_path / "proc" / name).mkdir(parents=True)
    (tmp_path / "proc/1/uid_map").write_text("         0          0 4294967295\n")
    (tmp_path / "proc/2/gid_map").write_text("  0  1310720  65536\n")
    found = set(id_ranges.taken(tmp_path))
    wanted = {(100000, 165536), (300000, 300010), (0, 1), (700000, 700001), (800000, 800001), (1310720, 1376256)}
    assert found == wanted


def test_a_host_without_any_of_them_has_none(tmp_path: Path) -> None:
    assert id_ranges.taken(tmp_path) == []


@pytest.mark.system
def test_a_running_namespace_has_its_range() -> None:
    with subprocess.Popen(["unshare", "--user", "sh", "-c", "echo up; read x"], stdin=-1, stdout=-1) as process:
        assert process.stdout is not None and process.stdout.readline() == b"up\n"
        Path(f"/proc/{process.pid}/uid_map").write_text("0 1000000 65536")
        assert (1000000, 1065536) in id_ranges.taken()
        process.communicate(b"")
