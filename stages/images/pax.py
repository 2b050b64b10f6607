"""Pax extended headers: records, exact times, extended attributes and ACLs."""

from __future__ import annotations

import base64
import binascii
import re
import struct
import urllib.parse

from stages.base.errors import ImageError
from stages.images import acl
from stages.images.entry import Kind
from stages.images.tarheader import MAX_TIME_NS, shown

MAX_HEADER = 1 << 20
MAX_XATTR_NAME = 255
MAX_XATTR_VALUE = 1 << 16

Records = dict[bytes, bytes]

SPARSE_MAP = b"GNU.sparse.map"
_SPARSE_PAIR = (b"GNU.sparse.offset", b"GNU.sparse.numbytes")  # version 0.0: the only keys that repeat
_ONE_MEMBER_ONLY = (b"path", b"linkpath", b"size", b"GNU.sparse.", b"SCHILY.realsize")
_CHARSETS = (b"BINARY", b"ISO-IR 10646 2000 UTF-8", b"")
_SCHILY_XATTR, _LIBARCHIVE_XATTR = b"SCHILY.xattr.", b"LIBARCHIVE.xattr."
_ACLS = {b"SCHILY.acl.access": acl.ACCESS, b"SCHILY.acl.default": acl.DEFAULT}
_TIME = re.compile(rb"(-?)([0-9]{1,20})(?:\.([0-9]*))?")
_MAX_DIGITS = 20


def _bad(what: str) -> ImageError:
    return ImageError(f"the archive has a pax header with {what}", reason="pax")


def parse(data: bytes, *, for_all: bool = False) -> Records:
    """The records of one header (POSIX pax: `length key=value\\n`), the last of a key winning.

    for_all: a global header, which may not say what only one member can have. The pairs of GNU sparse version
    0.0 come as the map of version 0.1. ImageError when a record does not fit its length.
    """
    records: Records = {}
    pairs: list[bytes] = []
    at = 0
    while at < len(data):
        space = data.find(b" ", at, at + _MAX_DIGITS)
        digits = data[at : max(space, at)]
        end = at + int(digits) if digits.isdigit() else 0
        if not at < space < end <= len(data) or data[end - 1] != 0x0A:
            raise _bad("a record that does not fit its length")
        key, equals, value = data[space + 1 : end - 1].partition(b"=")
        if not equals or not key:
            raise _bad("a record that is no key=value")
        if key in _SPARSE_PAIR:
            if key != _SPARSE_PAIR[len(pairs) % 2]:
                raise _bad("a sparse map out of order")
            pairs.append(value)
        records[key] = value
        at = end
    if pairs:
        records[SPARSE_MAP] = b",".join(pairs)
    _check(records, for_all)
    return records


def _check(records: Records, for_all: bool) -> None:
    if records.get(b"hdrcharset", b"") not in _CHARSETS:
        raise _bad(f"the character set {shown(records[b'hdrcharset'])}")
    if b"GNU.dumpdir" in records:
        raise ImageError("the archive is an incremental backup, not an image", reason="type")
    if for_all and any(key.startswith(_ONE_MEMBER_ONLY) for key in records):
        raise _bad("the path or size of one member for all members")


def decimal(value: bytes, key: str) -> int:
    """A record that is a plain number."""
    if not value.isdigit() or len(value) > _MAX_DIGITS:
        raise _bad(f"{key}={shown(value[:40])}")
    return int(value)


def time_ns(value: bytes) -> int:
    """Decimal seconds, with any fraction and sign -> ns; what is finer is rounded down. ImageError out of range."""
    match = _TIME.fullmatch(value)
    if match is None:
        raise _bad(f"the time {shown(value[:40])}")
    fraction = match[3] or b""
    ns = int(match[2]) * 10**9 + int(fraction[:9].ljust(9, b"0"))
    if match[1]:
        ns = -ns - (1 if fraction[9:].strip(b"0") else 0)
    if abs(ns) > MAX_TIME_NS:
        raise _bad(f"the time {shown(value[:40])}, which is out of range")
    return ns


_OF_THE_HOST = (
    b"security.selinux",
    b"security.ima",
    b"security.evm",
    b"trusted.overlay.",
    b"user.overlay.",
)


_CAPABILITY = b"security.capability"
# linux/capability.h: revision 2 is the word with the revision and four of sets; revision 3 has a root's id behind.
_CAPABILITIES = {0x02000000: struct.Struct("<I16x"), 0x03000000: struct.Struct("<I16xI")}
_EFFECTIVE = 1
_NO_ID = 0xFFFFFFFF


def xattrs(records: Records, kind: Kind = Kind.FILE) -> tuple[tuple[bytes, bytes], ...]:
    """The extended attributes in the records, sorted, ACLs in the kernel's form.

    Left out is what speaks to the host rather than of the file: labels and measurements of its policies (RHT.* too),
    and overlayfs' own marks, by which an archive could redirect what the kernel looks up below an overlay; and what
    Linux gives to no file of this kind. ImageError for what it gives to no file at all.
    """
    found: dict[bytes, bytes] = {}
    for key, value in records.items():
        if key.startswith(_SCHILY_XATTR):
            found[key[len(_SCHILY_XATTR) :]] = value
        elif key.startswith(_LIBARCHIVE_XATTR):
            name = urllib.parse.unquote_to_bytes(key[len(_LIBARCHIVE_XATTR) :])
            found.setdefault(name, _base64(value))
    found = {name: value for name, value in found.items() if not name.startswith(_OF_THE_HOST)}
    _canonical_acls(records, found)
    for name, value in found.items():
        if not 0 < len(name) <= MAX_XATTR_NAME or b"\0" in name or b"." not in name[1:-1]:
            raise ImageError(f"the archive has an impossible extended attribute name {shown(name)}", reason="xattr")
        if len(value) > MAX_XATTR_VALUE:
            message = f"the archive's extended attribute {shown(name)} is longer than {MAX_XATTR_VALUE} bytes"
            raise ImageError(message, reason="xattr")
    if _CAPABILITY in found and not _is_capability(found[_CAPABILITY]):
        raise ImageError("the archive has malformed file capabilities", reason="xattr")
    return tuple(sorted((name, value) for name, value in found.items() if _suits(name, kind)))


def _suits(name: bytes, kind: Kind) -> bool:
    """xattr(7): users' attributes are of files and directories, ACLs not of links, default ones of directories.

    Other systems have other classes; nor are the other ones of Linux's file systems (system.*) for archives.
    """
    if name == acl.DEFAULT:
        return kind is Kind.DIRECTORY
    if name == acl.ACCESS:
        return kind is not Kind.SYMLINK
    return name.startswith((b"trusted.", b"security.")) or (
        name.startswith(b"user.") and kind in (Kind.FILE, Kind.DIRECTORY)
    )


def _is_capability(value: bytes) -> bool:
    """What the kernel takes: the rules of its validheader() and cap_convert_nscap()."""
    form = _CAPABILITIES.get(int.from_bytes(value[:4], "little") & ~_EFFECTIVE)
    return form is not None and len(value) == form.size and form.unpack(value)[-1] != _NO_ID


def _canonical_acls(records: Records, found: dict[bytes, bytes]) -> None:
    for key, name in _ACLS.items():
        value: bytes | None = None
        if key in records:
            value = acl.from_text(records[key], name, found.get(name, b""))
        elif name in found:
            value = acl.checked(found[name], name)
        found.pop(name, None)
        if value is not None:
            found[name] = value


def _base64(value: bytes) -> bytes:
    bare = value.rstrip(b"=")  # libarchive leaves the padding out
    try:
        return base64.b64decode(bare + b"=" * (-len(bare) % 4), validate=True)
    except binascii.Error:
        raise _bad("an attribute that is not base64") from None
