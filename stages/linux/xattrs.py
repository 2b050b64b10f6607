"""The names of extended attributes, on file systems that have none too."""

from __future__ import annotations

import errno
import os


def names(inode: int | str) -> list[bytes]:
    """Those of a file, sorted; none where its file system knows of none. Raises OSError."""
    try:
        return sorted(map(os.fsencode, os.listxattr(inode)))
    except OSError as error:
        if error.errno != errno.EOPNOTSUPP:
            raise
        return []
