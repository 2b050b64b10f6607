"""Where this user's data directory is. Light: on the path of every run."""

from __future__ import annotations

import os

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping


def data_root(environment: Mapping[str, str], uid: int) -> str:
    """PODWRIGHT_DIR, else /var/lib/podwright for root, else $XDG_DATA_HOME/podwright."""
    if chosen := environment.get("PODWRIGHT_DIR"):
        # Through links once and for all: runtimes refuse a root whose name leads through one.
        return os.path.realpath(chosen)
    if uid == 0:
        return "/var/lib/podwright"
    home = environment.get("XDG_DATA_HOME") or os.path.join(environment.get("HOME", "/"), ".local", "share")
    return os.path.join(home, "podwright")


def start_link(data: str, project: str, word: str) -> str | None:
    """The link to what is remembered of a start: `pod=word`, in the folder `project`. None for a word unlike a pod's.

    The folder is named by its inode, so that no path has to be made into a file name. Raises OSError without pods/.
    """
    if not 0 < len(word) <= _LONGEST or not word.replace("-", "").isalnum() or not word.isascii():
        return None
    folder = os.stat(os.path.join(project, "pods"))
    return f"{data}/cache/starts/{folder.st_dev:x}-{folder.st_ino:x}-{word}"


# Of a word that means a pod: names have at most 63 characters, UUIDs 36.
_LONGEST = 64
