"""The clock that stamps files."""

from __future__ import annotations

import time

_COARSE = 5  # CLOCK_REALTIME_COARSE of <linux/time.h>


def tick() -> None:
    """Wait until it has gone on: most kernels give one time to all that changes within some milliseconds."""
    before = time.clock_gettime_ns(_COARSE)
    while time.clock_gettime_ns(_COARSE) == before:
        pass
