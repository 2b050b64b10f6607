"""Users and groups of an app: names, numbers and paths, looked up in the app's own root file system."""

from __future__ import annotations

from stages.stage1.lib import beneath
from stages.stage1.lib.errors import Stage1Error

TYPE_CHECKING = False
if TYPE_CHECKING:
    from stages.stage1.lib.manifest import App

_MAX_ID = 2**32 - 2


class Account:
    """Who an app runs as; numbers as the app sees them, `name` and `home` for its environment."""

    __slots__ = ("gid", "home", "name", "shell", "uid")

    def __init__(self, uid: int, gid: int, name: str, home: str, shell: str) -> None:
        self.uid, self.gid = uid, gid
        self.name, self.home, self.shell = name, home, shell


def of(app: App, root: int, shift: int = 0) -> Account:
    """`find` for an app, which is named in what is raised."""
    try:
        return find(root, app.user, app.group, shift)
    except Stage1Error as error:
        raise Stage1Error(f"app {app.name}: {error}") from error


def find(root: int, user: str, group: str, shift: int = 0) -> Account:
    """Resolve `user` and `group` in the root file system behind descriptor `root` (contract K.3, texts of L.2).

    Each is a name, a number, or an absolute path whose owner is meant; `shift` is what the files' owners on disk are
    shifted by. A number that the image has no line for is its own name, and at home in `/`, as with the OCI's runtimes.
    Raises Stage1Error: `"bob" user not found`, or a path that is not there.
    """
    users = _entries(root, "/etc/passwd")
    uid = _resolve(root, user, "user", users, shift)
    gid = _resolve(root, group, "group", _entries(root, "/etc/group"), shift)
    if uid == 0:
        return Account(uid, gid, "root", "/root", "/bin/sh")
    for fields in users:
        if len(fields) >= 7 and fields[2] == str(uid):
            return Account(uid, gid, fields[0], fields[5] or "/", fields[6] or "/bin/sh")
    return Account(uid, gid, str(uid), "/", "/bin/sh")


def _resolve(root: int, text: str, what: str, entries: list[list[str]], shift: int) -> int:
    if text.startswith("/"):
        return _owner(root, text, what, shift)
    for fields in entries:
        if fields[0] == text and len(fields) > 2 and _is_id(fields[2]):
            return int(fields[2])
    if _is_id(text):
        return int(text)
    if text == "root":
        return 0
    raise Stage1Error(f'"{text}" {what} not found')


def _is_id(text: str) -> bool:
    return len(text) <= 10 and text.isascii() and text.isdecimal() and int(text) <= _MAX_ID


def _owner(root: int, path: str, what: str, shift: int) -> int:
    with beneath.Walk(root) as walk:
        try:
            walk.go(path)
        except OSError as error:
            reason = (error.strerror or "").lower()
            raise Stage1Error(f"cannot take the {what} from the owner of {path}: {reason}") from error
        status = walk.status()
    number = (status.st_uid if what == "user" else status.st_gid) - shift
    if number < 0:
        raise Stage1Error(f"the owner of {path} is outside of the pod's range of ids")
    return number


def _entries(root: int, path: str) -> list[list[str]]:
    content = beneath.read_bytes(root, path, limit=16 << 20)
    if content is None:
        return []
    return [line.split(":") for line in content.decode("utf-8", "surrogateescape").splitlines() if ":" in line]
