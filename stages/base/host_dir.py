"""The one place of a host that is the same for all data directories, and every name in it."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from stages.base.records import NamedTuple


class HostDir(NamedTuple):
    """What all data directories of a host share: that they know of each other."""

    root: Path

    @classmethod
    def of(cls, environment: Mapping[str, str]) -> HostDir:
        """PODWRIGHT_HOST_DIR, else /var/lib/podwright-host."""
        return cls(Path(environment.get("PODWRIGHT_HOST_DIR") or "/var/lib/podwright-host"))

    @property
    def data_directories(self) -> Path:
        """Links to them."""
        return self.root / "data-directories"

    @property
    def ids_lock(self) -> Path:
        return self.root / "ids.lock"
