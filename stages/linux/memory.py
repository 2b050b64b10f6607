"""How the C library keeps memory: a large block goes back to the system when it is not needed any more (mallopt(3))."""

from __future__ import annotations

import ctypes

_TRIM_THRESHOLD, _MMAP_THRESHOLD = -1, -3
_LARGE = 4 << 20


def large_apart() -> None:
    """From now on a block of 4 MiB or more is a mapping of its own, which grows where it is.

    Left alone, glibc keeps larger and larger blocks among the small ones, up to 32 MiB: an index that grows there is
    copied, and twice in memory meanwhile. Other libraries have no such rule.
    """
    set_option = getattr(ctypes.CDLL(None), "mallopt", None)
    if set_option is not None:
        set_option(_MMAP_THRESHOLD, _LARGE)
        # Said once, the other is not adjusted any more either: less would give back, and take, with each piece read.
        set_option(_TRIM_THRESHOLD, _LARGE)
