"""Where the data directory is."""

from __future__ import annotations

from pathlib import Path

import pytest

from stages.base.paths import DataDir


@pytest.mark.parametrize(
    ("environment", "uid", "expected"),
    [
        ({}, 0, "/var/lib/podwright"),
        ({"XDG_DATA_HOME": "/x"}, 0, "/var/lib/podwright"),
        ({"XDG_DATA_HOME": "/x"}, 1000, "/x/podwright"),
        ({"HOME": "/home/me"}, 1000, "/home/me/.local/share/podwright"),
        ({"PODWRIGHT_DIR": "/p", "XDG_DATA_HOME": "/x"}, 1000, "/p"),
        ({"PODWRIGHT_DIR": "/p/../q"}, 0, "/q"),
    ],
)
def test_it_is_where_the_design_says(environment: dict[str, str], uid: int, expected: str) -> None:
    assert DataDir.of(environment, uid).root == Path(expected)


def test_stage1s_upper_is_above_the_apps() -> None:
    pod = DataDir(Path("/d")).pod("u")
    assert pod.upper("t") == Path("/d/pods/u/overlay/t/upper")
    assert pod.upper("t", "web") == Path("/d/pods/u/overlay/t/upper/web")
    assert pod.status("t") == Path("/d/pods/u/overlay/t/upper/rkt/status")
    assert pod.status(None) == Path("/d/pods/u/stage1/rootfs/rkt/status")
