"""Who an OCI image's User is: what its passwd and group files say, so that appc's user and group can both be named."""

from __future__ import annotations

from collections.abc import Callable

from stages.base.records import NamedTuple
from stages.images.tarheader import MAX_ID

_ROOT = "0"


class Account(NamedTuple):
    """appc's user and group, names or numbers, and the ids of further groups."""

    user: str
    group: str
    supplementary: tuple[int, ...]


def account(text: str, read: Callable[[bytes], bytes]) -> Account:
    """The account of a configuration's User (`user`, `uid`, `user:group`; image-spec, config), "" being root.

    A user without a group has the one that passwd gives, else root's, and the further groups that list it; a user
    with a group has no others, and neither has root. read: the content of a file of the image, b"" if there is none.
    """
    user, _, chosen = text.partition(":")
    user = user or _ROOT
    if chosen:
        return Account(user, chosen, ())
    if user in (_ROOT, "root"):
        return Account(user, _ROOT, ())
    name, own = _entry(user, read(b"etc/passwd"))
    more = {int(gid) for gid, members in _groups(read(b"etc/group")) if name and name in members and gid != own}
    return Account(user, own, tuple(sorted(more)))


def _entry(user: str, passwd: bytes) -> tuple[str, str]:
    """Name and group id of the first account with this name, or with this number."""
    lines = [line.split(":") for line in passwd.decode("utf-8", "replace").splitlines()]
    entries = [line for line in lines if len(line) >= 4 and _is_id(line[3])]
    for column in (0, 2):
        for entry in entries:
            if entry[column] == user:
                return entry[0], entry[3]
    return "", _ROOT


def _groups(group: bytes) -> list[tuple[str, list[str]]]:
    lines = [line.split(":") for line in group.decode("utf-8", "replace").splitlines()]
    return [(line[2], line[3].split(",")) for line in lines if len(line) == 4 and _is_id(line[2])]


def _is_id(text: str) -> bool:
    return len(text) <= 10 and text.isascii() and text.isdecimal() and int(text) <= MAX_ID
