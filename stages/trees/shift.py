"""What a user namespace's uid range does to the owners that an image names: in inodes, capabilities and ACLs."""

from __future__ import annotations

import struct
from dataclasses import dataclass

from stages.base.errors import TreeError

# linux/capability.h: the revision is in the top byte of the first word; revision 3 has the root uid at the end.
_REVISION_MASK = 0xFF000000
_REVISION_2 = 0x02000000
_REVISION_3 = 0x03000000
_CAPABILITY_2 = struct.Struct("<I16s")
_CAPABILITY_3 = struct.Struct("<I16sI")

# linux/posix_acl_xattr.h: a version word, then (tag, permissions, id); only named users and groups have an id.
_ACL_VERSION = struct.Struct("<I")
_ACL_ENTRY = struct.Struct("<HHI")
_ACL_USER = 0x02
_ACL_GROUP = 0x08

_LAST_ID = 2**32 - 2  # 2^32 - 1 means "no id" to the kernel


@dataclass(frozen=True, slots=True)
class Shift:
    """`count` ids of an image, 0 first, are the host's ids from `start` on (contract G). Both are positive."""

    start: int
    count: int

    def id(self, inside: int) -> int:
        """The host's id for an image's uid or gid. Raises TreeError for one outside the range (reason "tree-id")."""
        if inside >= self.count or self.start + inside > _LAST_ID:
            raise TreeError(
                f"the id {inside} is outside the user namespace's range of {self.count} ids from {self.start} on",
                hint="give the pod a larger range, or none (stage0.privateUsers)",
                reason="tree-id",
            )
        return self.start + inside

    def xattr(self, name: bytes, value: bytes) -> bytes:
        """An extended attribute's value with the ids in it shifted; others come back as they are.

        File capabilities become those of the namespace whose root is our id 0 (revision 3, user_namespaces(7)).
        A value that is none of the kernel's forms is left alone: the kernel refuses it. Raises TreeError as id does.
        """
        if name == b"security.capability":
            return self._capability(value)
        if name in (b"system.posix_acl_access", b"system.posix_acl_default"):
            return self._acl(value)
        return value

    def _capability(self, value: bytes) -> bytes:
        if len(value) == _CAPABILITY_2.size:
            magic, sets = _CAPABILITY_2.unpack(value)
            root = 0
        elif len(value) == _CAPABILITY_3.size:
            magic, sets, root = _CAPABILITY_3.unpack(value)
        else:
            return value
        if magic & _REVISION_MASK not in (_REVISION_2, _REVISION_3):
            return value
        return _CAPABILITY_3.pack(magic & ~_REVISION_MASK | _REVISION_3, sets, self.id(root))

    def _acl(self, value: bytes) -> bytes:
        head, body = value[: _ACL_VERSION.size], value[_ACL_VERSION.size :]
        if len(body) % _ACL_ENTRY.size:
            return value
        entries = (
            _ACL_ENTRY.pack(tag, rights, self.id(owner) if tag in (_ACL_USER, _ACL_GROUP) else owner)
            for tag, rights, owner in _ACL_ENTRY.iter_unpack(body)
        )
        return head + b"".join(entries)
