"""Which volume lands where, and who may write."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from stages.stage1.lib import volumes
from stages.stage1.lib.errors import Stage1Error
from stages.stage1.lib.manifest import App, Pod, Volume

ME = (os.getuid(), os.getgid())


def app(**section: object) -> App:
    return App({"name": "web", "app": {"exec": ["x"], **section}}, {})


def pod(*fields: dict[str, object]) -> Pod:
    result = Pod({}, {})
    result.volumes = {volume.name: volume for volume in map(Volume, fields)}
    return result


@pytest.mark.parametrize(
    ("volume", "point", "expected"),
    [(None, True, True), (None, False, False), (True, False, True), (False, True, False)],
)
def test_the_volumes_flag_wins_where_it_is_set(volume: bool | None, point: bool, expected: bool) -> None:
    fields: dict[str, object] = {"name": "v", "kind": "empty"}
    if volume is not None:
        fields["readOnly"] = volume
    web = app(mountPoints=[{"name": "v", "path": "/d", "readOnly": point}])
    assert [mount.read_only for mount in volumes.mounts_of(web, pod(fields), print)] == [expected]


def test_a_mount_satisfies_the_mount_point_at_its_path_and_takes_its_flag() -> None:
    runtime = {"name": "web", "mounts": [{"volume": "other", "path": "/d/"}]}
    section = {"exec": ["x"], "mountPoints": [{"name": "v", "path": "/d", "readOnly": True}]}
    mounts = volumes.mounts_of(App({**runtime, "app": section}, {}), pod({"name": "other", "kind": "empty"}), print)
    assert [(mount.volume.name, mount.read_only) for mount in mounts] == [("other", True)]


def test_a_missing_volume_becomes_an_empty_one_of_the_app() -> None:
    told: list[str] = []
    mounts = volumes.mounts_of(app(mountPoints=[{"name": "v", "path": "/d"}]), pod(), told.append)
    assert [(mount.volume.name, mount.volume.kind, mount.implicit) for mount in mounts] == [("web-v", "empty", True)]
    assert len(told) == 1


def test_parents_are_mounted_before_their_children() -> None:
    runtime = {"name": "web", "mounts": [{"volume": "v", "path": path} for path in ("/a/b/c", "/a", "/a/b")]}
    mounts = volumes.mounts_of(App({**runtime, "app": {"exec": ["x"]}}, {}), pod({"name": "v", "kind": "empty"}), print)
    assert [mount.path for mount in mounts] == ["/a", "/a/b", "/a/b/c"]


def test_an_empty_volume_has_its_mode_and_a_host_volume_must_exist(tmp_path: Path) -> None:
    fields = {"name": "v", "kind": "empty", "mode": "0710", "uid": ME[0], "gid": ME[1]}
    path, _ = volumes.source_of(Volume(fields), str(tmp_path))
    assert Path(path).stat().st_mode & 0o7777 == 0o710
    with pytest.raises(Stage1Error, match="Failed to stat /no/where: No such file or directory"):
        volumes.source_of(Volume({"name": "v", "kind": "host", "source": "/no/where"}), str(tmp_path))
