"""SELinux: the exact calls and strings, over a made-up /sys, /proc and /etc; and silence where it is off."""

from __future__ import annotations

import os
import re
from pathlib import Path

import pytest

from stages.linux import selinux


def policy(root: Path, *, kind: str = "targeted", current: str = "system_u:system_r:init_t:s0\0") -> Path:
    """What a host with SELinux has below `root`."""
    files = {
        "sys/fs/selinux/enforce": "1",
        "proc/self/attr/current": current,
        "etc/selinux/config": f"# the policy\nSELINUX=enforcing\nSELINUXTYPE={kind}\n",
        f"etc/selinux/{kind}/contexts/lxc_contexts": (
            'process = "system_u:system_r:container_t:s0"\n'
            'content = "system_u:object_r:virt_var_lib_t:s0"\n'
            'file = "system_u:object_r:container_file_t:s0"\n'
        ),
    }
    for name, text in files.items():
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_text(text)
    return root


def test_it_is_on_where_a_policy_is_loaded(tmp_path: Path) -> None:
    assert selinux.enabled(policy(tmp_path))


def test_it_is_off_without_its_file_system(tmp_path: Path) -> None:
    assert not selinux.enabled(tmp_path)
    (tmp_path / "sys/fs/selinux").mkdir(parents=True)
    assert not selinux.enabled(tmp_path)


def test_it_is_off_while_no_policy_is_loaded(tmp_path: Path) -> None:
    assert not selinux.enabled(policy(tmp_path, current="kernel\0"))


def test_contexts_are_those_of_the_policy_s_type(tmp_path: Path) -> None:
    expected = ("system_u:system_r:container_t:s0", "system_u:object_r:container_file_t:s0")
    assert selinux.contexts(policy(tmp_path, kind="mls")) == expected


def test_a_policy_without_containers_gives_no_contexts(tmp_path: Path) -> None:
    policy(tmp_path)
    (tmp_path / "etc/selinux/targeted/contexts/lxc_contexts").unlink()
    assert selinux.contexts(tmp_path) == ("", "")


@pytest.mark.parametrize("context", ["u:r:container_t:s0", "u:r:container_t", "u:r:container_t:s0:c1,c2"])
def test_only_the_level_of_a_context_changes(context: str) -> None:
    assert selinux.with_level(context, "s0:c3,c9") == "u:r:container_t:s0:c3,c9"


def test_no_context_stays_none() -> None:
    assert selinux.with_level("", "s0:c3,c9") == ""


def test_a_level_has_two_categories_in_order() -> None:
    for _ in range(200):
        found = re.fullmatch(r"s0:c(\d+),c(\d+)", selinux.free_level(()))
        assert found and 0 <= int(found[1]) < int(found[2]) < 1024


def test_a_taken_level_is_not_given_again() -> None:
    every = {f"s0:c{low},c{high}" for high in range(1024) for low in range(high)}
    free = {"s0:c0,c1", *(f"s0:c{low},c1000" for low in range(900))}
    assert selinux.free_level(every - free) in free
    with pytest.raises(LookupError):
        selinux.free_level(every)


def test_files_are_labelled_by_their_xattr(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    calls: list[object] = []
    monkeypatch.setattr(os, "setxattr", lambda *values, **named: calls.append((*values, named)))
    selinux.set_file_label(tmp_path, "u:object_r:container_file_t:s0:c3,c9")
    selinux.set_file_label(tmp_path, "")
    named = {"follow_symlinks": False}
    assert calls == [(tmp_path, "security.selinux", b"u:object_r:container_file_t:s0:c3,c9", named)]
