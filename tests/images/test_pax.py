"""Pax records: exact times and what overrides what."""

from __future__ import annotations

import pytest

from stages.base.errors import ImageError
from stages.images import acl, pax
from tests.images.tar_maker import record


@pytest.mark.parametrize(
    ("text", "ns"),
    [
        (b"0", 0),
        (b"1.5", 1_500_000_000),
        (b"-1.5", -1_500_000_000),
        (b"1.", 1_000_000_000),
        (b"1600000000.123456789", 1_600_000_000_123_456_789),
        (b"0.9999999999", 999_999_999),
        (b"-0.0000000001", -1),
        (b"-0.5", -500_000_000),
        (b"9223372036.854775807", 2**63 - 1),
    ],
)
def test_times_are_exact(text: bytes, ns: int) -> None:
    assert pax.time_ns(text) == ns


@pytest.mark.parametrize("text", [b"", b".5", b"+1", b"1e3", b"1 ", b"0x1", b"9223372036.854775808", b"1" * 30])
def test_other_times_are_refused(text: bytes) -> None:
    with pytest.raises(ImageError) as caught:
        pax.time_ns(text)
    assert caught.value.reason == "pax"


def test_the_last_record_of_a_key_wins() -> None:
    assert pax.parse(record(b"path", b"a") + record(b"path", b"b\n=c")) == {b"path": b"b\n=c"}


def test_a_length_counts_its_own_digits() -> None:
    for size in (*range(80, 120), 985, 995, 9993):
        assert pax.parse(record(b"k", b"v" * size)) == {b"k": b"v" * size}


def test_an_acl_as_a_plain_attribute_is_understood_and_text_goes_before_it() -> None:
    text = b"user::rw-,user:5:r--,group::r--,mask::r--,other::---"
    other = acl.from_text(text.replace(b"5", b"6"), acl.ACCESS) or b""
    plain = {b"SCHILY.xattr.system.posix_acl_access": other}
    assert pax.xattrs(plain) == ((acl.ACCESS, other),)
    assert pax.xattrs({**plain, b"SCHILY.acl.access": text}) == ((acl.ACCESS, acl.from_text(text, acl.ACCESS)),)


def test_names_without_ids_are_understood_by_the_value_beside_them() -> None:
    """GNU tar writes names, whatever --numeric-owner says; with --xattrs-include=* it has the kernel's value too."""
    value = acl.from_text(b"user::rw-,user:7:r--,group::r--,mask::r--,other::---", acl.ACCESS) or b""
    text = {b"SCHILY.acl.access": b"user::rw-\nuser:lp:r--\ngroup::r--\nmask::r--\nother::---\n"}
    assert pax.xattrs({**text, b"SCHILY.xattr.system.posix_acl_access": value}) == ((acl.ACCESS, value),)
    with pytest.raises(ImageError, match="lp"):
        pax.xattrs(text)


def test_both_spellings_of_an_attribute_are_one() -> None:
    records = {b"SCHILY.xattr.user.a": b"x", b"LIBARCHIVE.xattr.user.a": b"eA"}
    assert pax.xattrs(records) == ((b"user.a", b"x"),)


@pytest.mark.parametrize(
    "name",
    [b"security.selinux", b"security.ima", b"trusted.overlay.redirect", b"user.overlay.origin"],
)
def test_attributes_that_speak_to_the_host_are_left_out(name: bytes) -> None:
    records = {b"SCHILY.xattr." + name: b"/etc", b"SCHILY.xattr.user.kept": b"x"}
    assert pax.xattrs(records) == ((b"user.kept", b"x"),)
