"""Shifting owners into a user namespace's range, wherever an image names them."""

from __future__ import annotations

import struct

import pytest

from stages.base.errors import TreeError
from stages.trees.shift import Shift

SHIFT = Shift(1_000_000, 65_536)
CAPABILITY = b"security.capability"
SETS = struct.pack("<IIII", 1 << 10, 0, 0, 0)


def test_an_id_is_moved_by_the_start() -> None:
    assert (SHIFT.id(0), SHIFT.id(65_535)) == (1_000_000, 1_065_535)


@pytest.mark.parametrize(("shift", "inside"), [(SHIFT, 65_536), (Shift(2**32 - 10, 100), 9), (SHIFT, 3_000_000_000)])
def test_an_id_outside_the_range_is_refused(shift: Shift, inside: int) -> None:
    with pytest.raises(TreeError) as caught:
        shift.id(inside)
    assert caught.value.reason == "tree-id"


def test_the_last_id_that_the_kernel_has_is_in_range() -> None:
    assert Shift(2**32 - 10, 100).id(8) == 2**32 - 2


def test_capabilities_become_those_of_the_namespaces_root() -> None:
    shifted = SHIFT.xattr(CAPABILITY, struct.pack("<I", 0x02000001) + SETS)
    assert shifted == struct.pack("<I", 0x03000001) + SETS + struct.pack("<I", 1_000_000)


def test_capabilities_of_a_namespace_are_shifted_with_it() -> None:
    shifted = SHIFT.xattr(CAPABILITY, struct.pack("<I", 0x03000000) + SETS + struct.pack("<I", 500))
    assert shifted == struct.pack("<I", 0x03000000) + SETS + struct.pack("<I", 1_000_500)


@pytest.mark.parametrize("name", [b"system.posix_acl_access", b"system.posix_acl_default"])
def test_named_users_and_groups_of_an_acl_are_shifted_and_no_others(name: bytes) -> None:
    def acl(user: int, group: int) -> bytes:
        none = 2**32 - 1
        entries = [(1, 7, none), (2, 5, user), (4, 5, none), (8, 4, group), (0x10, 7, none), (0x20, 0, none)]
        return struct.pack("<I", 2) + b"".join(struct.pack("<HHI", *entry) for entry in entries)

    assert SHIFT.xattr(name, acl(1000, 50)) == acl(1_001_000, 1_000_050)


@pytest.mark.parametrize(
    ("name", "value"),
    [(b"user.x", b"12345678901234567890"), (CAPABILITY, b"short"), (b"system.posix_acl_access", b"\2\0\0\0abc")],
)
def test_values_of_no_known_form_stay_as_they_are(name: bytes, value: bytes) -> None:
    assert SHIFT.xattr(name, value) == value
