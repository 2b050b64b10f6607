"""Host volumes: whether what the spec says of them holds, just before the pod starts."""

from __future__ import annotations

import os
from collections.abc import Iterable

from stages.base.errors import PodError
from stages.pod import again
from stages.spec.model import HostPath, Volume


def check(volumes: Iterable[Volume]) -> None:
    """Raises PodError for a host path that is missing (it is never created: appc, volumes) or of another type."""
    for volume in volumes:
        if isinstance(volume.source, HostPath):
            _check(volume.name, volume.source)


def _check(name: str, source: HostPath) -> None:
    if not os.path.lexists(source.path):
        raise PodError(
            f"volume {name}: Failed to stat {source.path}: No such file or directory",
            hint="make it first; podwright creates nothing on the host",
            reason="no-volume",
        )
    if not again.fits(source.path, source.type.value):
        wanted = source.type.value.lower() or "file or directory"
        raise PodError(f"volume {name}: {source.path} is no {wanted}", reason="volume-type")
