"""The data directory of whoever asks: of the format we know, and made when there is none."""

from __future__ import annotations

import os
import stat
from pathlib import Path

from stages.base import files
from stages.base.errors import HostError
from stages.base.paths import FORMAT, DataDir


def of_user() -> DataDir:
    """The data directory of this user. Raises HostError when it is of a format we do not know."""
    data = DataDir.of(os.environ, os.geteuid())
    found = files.read_or_none(data.version)
    if found is not None and found.decode(errors="replace").strip() != FORMAT:
        raise HostError(
            f"{data.root} has format {found.decode(errors='replace').strip()!r}, this podwright knows {FORMAT}",
            hint="use the podwright that made it, or another directory: PODWRIGHT_DIR=...",
            reason="format",
        )
    return data


def initialise(data: DataDir) -> None:
    """Make the data directory of this format. Raises HostError where we may not."""
    try:
        files.make_directory(data.pods, 0o750)
        for folder in (data.trees, data.garbage):
            _close(folder)
        if not data.version.exists():
            files.publish(data.version, f"{FORMAT}\n".encode(), 0o644)
    except PermissionError as error:
        raise HostError(
            f"cannot write to {data.root}",
            hint="run as root, or name a directory of your own: PODWRIGHT_DIR=...",
            reason="no-access",
        ) from error


def _close(folder: Path) -> None:
    """Have a folder that only root can look into: images bring set-user-ID programs and devices."""
    folder.mkdir(mode=0o700, exist_ok=True)
    if stat.S_IMODE(folder.stat().st_mode) != 0o700:
        folder.chmod(0o700)
