"""ACL text against the kernel's form."""

from __future__ import annotations

import struct

import pytest

from stages.base.errors import ImageError
from stages.images import acl

NO_ID = 2**32 - 1


def value(*entries: tuple[int, int, int]) -> bytes:
    return struct.pack("<I", 2) + b"".join(struct.pack("<HHI", *entry) for entry in entries)


WANTED = value((1, 6, NO_ID), (2, 4, 7), (2, 5, 1001), (4, 4, NO_ID), (8, 0, 9), (16, 5, NO_ID), (32, 0, NO_ID))
BASE = b"user::rw-,group::r--,other::---"


@pytest.mark.parametrize(
    "text",
    [
        b"user::rw-,user:1001:r-x,user:7:r--,group::r--,group:9:---,mask::r-x,other::---",
        b"other::---\nmask::r-x\ngroup:9:---\ngroup::r--\nuser:7:r--\nuser:1001:r-x\nuser::rw-\n",
        b"user::rw-,user:lisa:r-x:1001,user:joe:r--:7,group::r--,group:wheel:---:9,mask::r-x,other::---",
        b"u::rw-,u:1001:r-x,u:7:r--,g::r--,g:9:---,m:r-x,o:---",
        b"user::rw-\t#owner\nuser:7:r--\nuser:1001:rx\t#effective:r--\ngroup::r\ngroup:9:---\nmask::r-x\nother::---",
    ],
)
def test_every_spelling_means_the_same(text: bytes) -> None:
    assert acl.from_text(text, acl.ACCESS) == WANTED


def test_text_and_value_go_round() -> None:
    assert acl.from_text(acl.to_text(WANTED), acl.DEFAULT) == WANTED
    assert acl.checked(WANTED, acl.ACCESS) == WANTED


def test_an_access_list_that_only_repeats_the_mode_is_none() -> None:
    assert acl.from_text(BASE, acl.ACCESS) is None
    assert acl.from_text(b"", acl.DEFAULT) is None
    assert acl.from_text(BASE, acl.DEFAULT) == value((1, 6, NO_ID), (4, 4, NO_ID), (32, 0, NO_ID))


@pytest.mark.parametrize(
    "text",
    [
        b"nonsense",
        b"user::rw-",
        BASE + b",user:5:r--",  # somebody is named without a mask
        BASE + b",mask::r--,user:5:r--,user:5:rw-",
        BASE + b",other::r--",
        BASE + b",mask:5:r--",
        b"user::rwz,group::r--,other::---",
        b"user::,group::r--,other::---",
        BASE + b",mask::r--,user:joe:r--",
        BASE + b",mask::r--,user:4294967295:r--",
        BASE + b",mask::r--,user:joe:r--:x",
    ],
)
def test_malformed_lists_and_bare_names_are_refused(text: bytes) -> None:
    with pytest.raises(ImageError) as caught:
        acl.from_text(text, acl.ACCESS)
    assert caught.value.reason == "acl"


@pytest.mark.parametrize(
    "bad",
    [b"", b"\2\0\0", struct.pack("<I", 3), value((64, 0, 0)), value((1, 8, 0)), WANTED + b"x", value((1, 7, NO_ID))],
)
def test_malformed_values_are_refused(bad: bytes) -> None:
    with pytest.raises(ImageError) as caught:
        acl.checked(bad, acl.ACCESS)
    assert caught.value.reason == "acl"
