"""Reads OpenPGP files, as far as keys and signatures have to be told apart (RFC 9580); checking them is gpgv's.

Armour (section 6), packet headers (4.2), fingerprints (5.5.4). Whatever is odd is refused.
"""

from __future__ import annotations

import base64
import hashlib
import re
import time
from collections.abc import Iterator

from stages.base.errors import ImageError
from stages.base.records import NamedTuple

MAX_FILE = 1 << 20
_BLOCK = re.compile(
    rb"^-----BEGIN PGP ([A-Z ]{1,40})-----[ \t\r]*\n(.*?)^-----END PGP \1-----[ \t\r]*$", re.DOTALL | re.MULTILINE
)
_PUBLIC = b"PUBLIC KEY BLOCK"
_SIGNATURE = b"SIGNATURE"
_SIGNATURE_TAG, _SECRET_TAG, _KEY_TAG, _SECRET_SUBKEY_TAG, _USER_TAG = 2, 5, 6, 7, 13
_HINT = "`gpg --armor --export FINGERPRINT` writes the public key"
_SHOWN_USERS = 10


class Key(NamedTuple):
    """A certificate. fingerprint: of its primary key, lower-case hex; packets: what gpgv takes as a keyring."""

    fingerprint: str
    users: tuple[str, ...]
    created: int
    packets: bytes

    def text(self) -> str:
        """What a person compares, a line each."""
        digits = self.fingerprint.upper()
        grouped = " ".join(digits[at : at + 4] for at in range(0, len(digits), 4))
        day = time.strftime("%Y-%m-%d", time.gmtime(self.created))
        return "\n".join([f"fingerprint {grouped}", f"  created {day}", *(f"  user {one}" for one in self.users)])


def key(data: bytes, where: str) -> Key:
    """The one public key in an armoured file. Raises ImageError."""
    kind, packets = _unarmoured(data, where)
    if b"PRIVATE KEY" in kind:
        raise _bad(where, "holds a secret key", _HINT)
    if kind != _PUBLIC:
        raise _bad(where, "holds no public key", _HINT)
    found = list(_packets(packets, where))
    tags = [tag for tag, _ in found]
    if _SECRET_TAG in tags or _SECRET_SUBKEY_TAG in tags:
        raise _bad(where, "holds a secret key", _HINT)
    if tags[:1] != [_KEY_TAG] or tags.count(_KEY_TAG) != 1:
        hint = "export each key to a file of its own" if tags.count(_KEY_TAG) > 1 else _HINT
        raise _bad(where, f"holds {tags.count(_KEY_TAG)} keys where one is expected", hint)
    primary = found[0][1]
    users = tuple(_printable(body) for tag, body in found if tag == _USER_TAG)[:_SHOWN_USERS]
    return Key(_fingerprint(primary, where), users, int.from_bytes(primary[1:5], "big"), packets)


def signature(data: bytes, where: str) -> bytes:
    """The packets of a detached signature, armoured or not; nothing but signatures is in them. Raises ImageError."""
    packets = data
    if data.lstrip().startswith(b"-----"):
        kind, packets = _unarmoured(data, where)
        if kind != _SIGNATURE:
            raise _bad(where, "is no detached signature")
    tags = {tag for tag, _ in _packets(packets, where)}
    if tags != {_SIGNATURE_TAG}:
        raise _bad(where, "is no detached signature", "`gpg --armor --detach-sign FILE` writes FILE.asc")
    return packets


def _unarmoured(data: bytes, where: str) -> tuple[bytes, bytes]:
    """The kind of the one block in a file, and its bytes."""
    if len(data) > MAX_FILE:
        raise _bad(where, f"is larger than {MAX_FILE} bytes")
    # With many beginnings and no end the search below would take the square of their number.
    several = data.count(b"-----BEGIN PGP") > 1
    block = None if several else _BLOCK.search(data.replace(b"\r\n", b"\n") + b"\n")
    if block is None:
        message = "has several armoured blocks" if several else "is not armoured"
        raise _bad(where, message, "an armoured file begins with -----BEGIN PGP")
    kind, body = block.groups()
    headers, blank, rest = body.partition(b"\n\n") if not body.startswith(b"\n") else (b"", b"\n", body[1:])
    lines = (
        rest.split()
        if blank and all(b": " in line or line.endswith(b":") for line in headers.split(b"\n") if line)
        else []
    )
    if lines and re.fullmatch(rb"=[A-Za-z0-9+/]{4}", lines[-1]):
        lines.pop()
    try:
        decoded = base64.b64decode(b"".join(lines), validate=True)
    except ValueError as error:
        raise _bad(where, "has damaged armour") from error
    if not decoded:
        raise _bad(where, "has nothing in its armour")
    return kind, decoded


def _packets(data: bytes, where: str) -> Iterator[tuple[int, bytes]]:
    """Tags and bodies, in order."""
    if len(data) > MAX_FILE:
        raise _bad(where, f"is larger than {MAX_FILE} bytes")
    at = 0
    while at < len(data):
        head = data[at]
        if not head & 0x80:
            raise _bad(where, "is not OpenPGP")
        tag, size, length = _header(data, at + 1, head)
        at += 1 + size
        if length < 0 or at + length > len(data):
            raise _bad(where, "is cut off, or has packets of unknown length")
        yield tag, data[at : at + length]
        at += length


def _header(data: bytes, at: int, head: int) -> tuple[int, int, int]:
    """A packet's tag, the bytes of its length, and the length; -1 for one that is not said or not there."""
    if not head & 0x40:
        size = (1, 2, 4, 0)[head & 3]
        return (head >> 2) & 15, size, _number(data, at, size) if size else -1
    tag, first = head & 63, _number(data, at, 1)
    if first < 192:
        return tag, 1, first
    if first < 224:
        second = _number(data, at + 1, 1)
        return tag, 2, ((first - 192) << 8) + second + 192 if second >= 0 else -1
    return tag, 5, _number(data, at + 1, 4) if first == 255 else -1


def _number(data: bytes, at: int, size: int) -> int:
    found = data[at : at + size]
    return int.from_bytes(found, "big") if len(found) == size else -1


def _fingerprint(primary: bytes, where: str) -> str:
    match primary[:1]:
        case b"\x04":
            if len(primary) > 0xFFFF:
                raise _bad(where, "holds a key that is too long")
            return hashlib.sha1(b"\x99" + len(primary).to_bytes(2, "big") + primary, usedforsecurity=False).hexdigest()
        case b"\x05":
            return hashlib.sha256(b"\x9a" + len(primary).to_bytes(4, "big") + primary).hexdigest()
        case b"\x06":
            return hashlib.sha256(b"\x9b" + len(primary).to_bytes(4, "big") + primary).hexdigest()
    raise _bad(where, "holds a key of a version that is not known")


def _printable(body: bytes) -> str:
    text = body[:200].decode("utf-8", "replace")
    return "".join(one if one.isprintable() else "?" for one in text)


def _bad(where: str, what: str, hint: str = "") -> ImageError:
    return ImageError(f"{where} {what}", hint=hint, reason="bad-openpgp")
