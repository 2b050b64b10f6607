"""fs-verity: files that the kernel lets nobody change, each read of which it checks. Light: on every run's path."""

from __future__ import annotations

import errno
import os

from stages.base import stamp

TYPE_CHECKING = False
if TYPE_CHECKING:
    from pathlib import Path
    from typing import Any

# <linux/fsverity.h>, by the generic ioctl encoding: _IOW('f', 133, struct fsverity_enable_arg), which is version, hash
# algorithm, block size, salt (none), signature (none) and eleven unused words; _IOWR('f', 134, struct fsverity_digest),
# which is algorithm, size, and as many bytes as the caller has room for.
ENABLE = 0x40806685
MEASURE = 0xC0046686
_ENABLE_ARG = "=IIIIQIIQ88x"
_DIGEST = "=HH64s"
_SHA256 = 1
_BLOCK = 4096

# The kernel or the file system has none, or not of this kind or for this user; or somebody may write to the file now.
# And: there is no room for the hashes. The stamp goes on vouching for the file alone then, as everywhere without it.
_REFUSALS = frozenset(
    {errno.EOPNOTSUPP, errno.ENOTTY, errno.EINVAL, errno.EACCES, errno.EPERM, errno.EROFS}
    | {errno.ETXTBSY, errno.EBUSY, errno.EFBIG, errno.ENOSPC, errno.EDQUOT}
)
_NOT_MEASURED = frozenset({errno.ENODATA, errno.EOPNOTSUPP, errno.ENOTTY, errno.EINVAL})


def enable(path: str | Path) -> str:
    """Have the kernel freeze and check a file that nobody has open for writing; "", or what refuses. Raises OSError.

    The kernel reads all of it for that, and has its hashes on the disk when this returns. Inode and times stay.
    """
    import fcntl
    import struct

    argument = struct.pack(_ENABLE_ARG, 1, _SHA256, _BLOCK, 0, 0, 0, 0, 0)
    descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    try:
        fcntl.ioctl(descriptor, ENABLE, argument)
    except OSError as error:
        if error.errno == errno.EEXIST:  # it is frozen already
            return ""
        if error.errno not in _REFUSALS:
            raise OSError(error.errno, error.strerror, str(path)) from error
        return os.strerror(error.errno)
    finally:
        os.close(descriptor)
    return ""


def measure(path: str | Path) -> str:
    """What the kernel holds a frozen file to, `sha256:<hex>` of its tree of hashes; "" for any other. Raises OSError.

    It costs no read of the file: no other content can have this digest, whatever else was put in its place.
    """
    import fcntl
    import struct

    descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    try:
        answer = fcntl.ioctl(descriptor, MEASURE, struct.pack(_DIGEST, 0, 64, b""))
    except OSError as error:
        if error.errno not in _NOT_MEASURED:
            raise OSError(error.errno, error.strerror, str(path)) from error
        return ""
    finally:
        os.close(descriptor)
    algorithm, size, digest = struct.unpack(_DIGEST, answer)
    return f"{'sha256' if algorithm == _SHA256 else algorithm}:{digest[:size].hex()}"


def stamped(path: Path, measured: bool) -> dict[str, Any] | None:
    """The stamp of a file of our store, with what the kernel holds it to if that is asked; None when there is none."""
    found: dict[str, Any] | None = stamp.at(path)
    if found is None or not measured:
        return found
    digest = measure(path)
    return {**found, "verity": digest} if digest else found
