"""Users and groups from the app's own root."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from stages.stage1.lib import accounts
from stages.stage1.lib.errors import Stage1Error

ME = (os.getuid(), os.getgid())


def test_accounts_by_name_number_and_path(root: int, tree: Path) -> None:
    (tree / "etc/passwd").write_text("user1:x:1000:100::/home/u:/bin/zsh\n7:x:70:70::/:\n")
    (tree / "etc/group").write_text("group1:x:100:\n")
    by_name = accounts.find(root, "user1", "group1")
    assert (by_name.uid, by_name.gid, by_name.name, by_name.home, by_name.shell) == (
        1000,
        100,
        "user1",
        "/home/u",
        "/bin/zsh",
    )
    # The image's own names come before numbers, as the specification says.
    assert accounts.find(root, "7", "7").uid == 70 and accounts.find(root, "7", "7").gid == 7
    by_path = accounts.find(root, "/dir1/abs/file", "/dir2/file")
    assert (by_path.uid, by_path.gid) == ME


def test_a_path_outside_of_the_root_is_nobodys(root: int) -> None:
    with pytest.raises(Stage1Error, match="no such file or directory"):
        accounts.find(root, "/dir1/up/file", "0")


@pytest.mark.parametrize("user", ["ghost", "-1", "4294967295", "1.5"])
def test_unknown_users_are_named(root: int, user: str) -> None:
    with pytest.raises(Stage1Error, match="user not found"):
        accounts.find(root, user, "0")


@pytest.mark.parametrize("number", ["9" * 5000, "4294967295", "\u0664\u0664", "-1"])
def test_a_line_with_a_number_that_is_no_id_is_passed_over(root: int, tree: Path, number: str) -> None:
    (tree / "etc/passwd").write_text(f"bob:x:{number}:{number}::/:\n", encoding="utf-8")
    with pytest.raises(Stage1Error, match="user not found"):
        accounts.find(root, "bob", "0")


def test_root_needs_no_entry(root: int) -> None:
    found = accounts.find(root, "root", "root")
    assert (found.uid, found.gid, found.home) == (0, 0, "/root")


def test_a_number_without_an_entry_is_not_root(root: int) -> None:
    found = accounts.find(root, "1234", "0")
    assert (found.uid, found.name, found.home, found.shell) == (1234, "1234", "/", "/bin/sh")


def test_owners_below_the_shift_are_out_of_range(root: int) -> None:
    with pytest.raises(Stage1Error, match="range"):
        accounts.find(root, "/dir2/file", "0", shift=2**31)
