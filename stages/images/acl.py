"""POSIX ACLs: the text that archives carry, and the extended attribute that the kernel takes."""

from __future__ import annotations

import re
import struct

from stages.base.errors import ImageError

ACCESS = b"system.posix_acl_access"
DEFAULT = b"system.posix_acl_default"

_VERSION = struct.Struct("<I")
_ENTRY = struct.Struct("<HHI")
_NO_ID = 0xFFFFFFFF
_USER_OBJ, _USER, _GROUP_OBJ, _GROUP, _MASK, _OTHER = 1, 2, 4, 8, 16, 32
_WORDS = {b"user": _USER_OBJ, b"u": _USER_OBJ, b"group": _GROUP_OBJ, b"g": _GROUP_OBJ}
_WORDS |= {b"mask": _MASK, b"m": _MASK, b"other": _OTHER, b"o": _OTHER}
_NAMES = {_USER_OBJ: b"user", _USER: b"user", _GROUP_OBJ: b"group", _GROUP: b"group", _MASK: b"mask", _OTHER: b"other"}
_PERMISSIONS = re.compile(rb"([r-]?)([w-]?)([x-]?)")

_Entry = tuple[int, int, int]  # tag, permission bits, id


class _Nameless(ImageError):
    """An entry for somebody without an id, whom only the image's own /etc/passwd could explain."""


def from_text(text: bytes, attribute: bytes, value: bytes = b"") -> bytes | None:
    """ACL text as star, GNU tar and libarchive write it -> the value of the kernel's xattr `attribute`.

    Entries are separated by commas or newlines; `user:name:rwx:id` and `user:id:rwx` are both understood. None
    when the list says nothing: an empty one, and an ACCESS list with only the three entries that the mode has
    already. ImageError for anything malformed, and for a name without an id, unless the archive has the kernel's
    `value` too, which counts then: GNU tar writes names, and with `--xattrs-include=*` that value beside them.
    """
    lines = (line.partition(b"#")[0].strip() for line in text.replace(b",", b"\n").split(b"\n"))
    try:
        entries = [_entry(entry, text) for entry in lines if entry]
    except _Nameless:
        if not value:
            raise
        return checked(value, attribute)
    return _packed(entries, text, attribute)


def checked(value: bytes, attribute: bytes) -> bytes | None:
    """An xattr value from an archive, in the canonical form that from_text gives; ImageError if it is malformed."""
    return _packed(_unpacked(value), value, attribute)


def mode(bits: int, value: bytes) -> int:
    """The mode that a file of mode `bits` has with this ACCESS list (the kernel's posix_acl_equiv_mode).

    They say some of the same, and where an archive has them differ, the list is what a file system keeps.
    """
    said = {tag: permissions for tag, permissions, _ in _unpacked(value)}
    group = said[_MASK] if _MASK in said else said[_GROUP_OBJ]
    return bits & ~0o777 | said[_USER_OBJ] << 6 | group << 3 | said[_OTHER]


def to_text(value: bytes) -> bytes:
    """The kernel's xattr value -> ACL text with numeric ids, as GNU tar, star and libarchive read it."""
    lines = []
    for tag, bits, number in _unpacked(value):
        letters = bytes(c if bits & bit else ord("-") for c, bit in zip(b"rwx", (4, 2, 1), strict=True))
        lines.append(b"%s:%s:%s" % (_NAMES[tag], b"%d" % number if tag in (_USER, _GROUP) else b"", letters))
    return b",".join(lines)


def _malformed(source: bytes) -> ImageError:
    return ImageError(f"the archive has a malformed ACL: {source[:200]!r}", reason="acl")


def _entry(entry: bytes, source: bytes) -> _Entry:
    fields = [field.strip() for field in entry.split(b":")]
    tag = _WORDS.get(fields[0], 0)
    if len(fields) == 2 and tag in (_MASK, _OTHER):
        fields.insert(1, b"")
    permissions = _PERMISSIONS.fullmatch(fields[2]) if len(fields) in (3, 4) else None
    if not tag or permissions is None or not fields[2]:
        raise _malformed(source)
    bits = sum(bit for letter, bit in zip(permissions.groups(), (4, 2, 1), strict=True) if letter not in (b"", b"-"))
    name = fields[3] if len(fields) == 4 and fields[3] else fields[1]
    if not fields[1]:
        return tag, bits, _NO_ID
    if tag in (_MASK, _OTHER):
        raise _malformed(source)
    return tag * 2, bits, _number(name)


def _number(name: bytes) -> int:
    if not (name.isdigit() and len(name) <= 10 and int(name) < _NO_ID):
        what = name.decode("utf-8", "backslashreplace")
        hint = "write the archive with bsdtar, or with tar --acls --xattrs --xattrs-include='*'"
        raise _Nameless(f'the archive has an ACL entry for "{what}" without a usable id', hint=hint, reason="acl")
    return int(name)


def _unpacked(value: bytes) -> list[_Entry]:
    whole = len(value) >= 4 and (len(value) - 4) % _ENTRY.size == 0
    if not whole or _VERSION.unpack_from(value)[0] != 2:
        raise _malformed(value)
    entries = [_ENTRY.unpack_from(value, at) for at in range(4, len(value), _ENTRY.size)]
    if any(tag not in _NAMES or bits > 7 for tag, bits, _ in entries):
        raise _malformed(value)
    return entries


def _packed(entries: list[_Entry], source: bytes, attribute: bytes) -> bytes | None:
    """The rules of the kernel's posix_acl_valid: one of each base entry, and a mask if anybody is named."""
    if not entries:
        return None
    named = [entry for entry in entries if entry[0] in (_USER, _GROUP)]
    single = sorted(tag for tag, _, _ in entries if tag not in (_USER, _GROUP))
    with_mask = single == [_USER_OBJ, _GROUP_OBJ, _MASK, _OTHER]
    if not with_mask and (named or single != [_USER_OBJ, _GROUP_OBJ, _OTHER]):
        raise _malformed(source)
    if len({(tag, number) for tag, _, number in named}) < len(named) or any(n >= _NO_ID for _, _, n in named):
        raise _malformed(source)
    if not with_mask and attribute == ACCESS:
        return None
    clean = sorted((tag, bits, n if tag in (_USER, _GROUP) else _NO_ID) for tag, bits, n in entries)
    clean.sort(key=lambda entry: (entry[0], entry[2]))
    return _VERSION.pack(2) + b"".join(_ENTRY.pack(*entry) for entry in clean)
