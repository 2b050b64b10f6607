"""Files that claim to be OpenPGP are read or refused, whatever they are."""

from __future__ import annotations

import base64

import pytest
from hypothesis import given
from hypothesis import strategies as st

from stages.base.errors import ImageError
from stages.images import openpgp


def armoured(kind: str, packets: bytes) -> bytes:
    body = base64.encodebytes(packets).decode()
    return f"-----BEGIN PGP {kind}-----\n\n{body}-----END PGP {kind}-----\n".encode()


@given(st.binary(max_size=300), st.booleans())
def test_any_bytes_are_read_or_refused(data: bytes, wrapped: bool) -> None:
    for read, kind in ((openpgp.key, "PUBLIC KEY BLOCK"), (openpgp.signature, "SIGNATURE")):
        try:
            read(armoured(kind, data) if wrapped else data, "it")
        except ImageError as error:
            assert error.sentence.startswith("it ")


@pytest.mark.parametrize("head", [b"\xc2\xe0", b"\x8b", b"\xc2\xff\xff\xff\xff\xff", b"\x88\x05ab", b"\xc2\xc0"])
def test_lengths_that_lie_or_are_not_said(head: bytes) -> None:
    with pytest.raises(ImageError):
        openpgp.signature(head, "it")


def test_old_and_new_headers_and_all_lengths() -> None:
    for size, head in (
        (5, b"\xc2\x05"),
        (300, b"\xc2\xc0\x6c"),
        (300, b"\xc2\xff\0\0\x01\x2c"),
        (300, b"\x89\x01\x2c"),
    ):
        assert openpgp.signature(head + bytes(size), "it") == head + bytes(size)


def test_a_key_too_long_to_have_a_fingerprint_is_refused() -> None:
    """Of version 4 one counts two bytes of length (RFC 9580 5.5.4)."""
    packet = b"\x9a\0\1\0\0\x04" + bytes(0xFFFF)
    with pytest.raises(ImageError, match="too long"):
        openpgp.key(armoured("PUBLIC KEY BLOCK", packet), "it")


def test_many_beginnings_are_refused_at_once() -> None:
    begin = b"-----BEGIN PGP SIGNATURE-----\n"
    with pytest.raises(ImageError, match="several armoured blocks"):
        openpgp.signature(begin * (openpgp.MAX_FILE // len(begin)), "it")


def test_a_large_file_is_refused() -> None:
    with pytest.raises(ImageError, match="larger"):
        openpgp.key(b"-" * (openpgp.MAX_FILE + 1), "it")
