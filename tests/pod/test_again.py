"""Making a start again: what it writes is there as a whole, or the old one is."""

from __future__ import annotations

import resource
from pathlib import Path

import pytest

from stages.pod import again


def test_a_disk_that_fills_up_leaves_no_part_of_a_file(tmp_path: Path) -> None:
    """write(2) does what it can: the first of ten bytes, say, and no error."""
    path = tmp_path / "plan.json"
    path.write_text("old")
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (100, before[1]))
    try:
        with pytest.raises(OSError, match="File too large"):
            again._publish(str(path), "new" * 100, 0o640)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)
    assert path.read_text() == "old" and list(tmp_path.iterdir()) == [path]
    again._publish(str(path), "new" * 100, 0o640)
    assert path.read_text() == "new" * 100 and path.stat().st_mode & 0o777 == 0o640
