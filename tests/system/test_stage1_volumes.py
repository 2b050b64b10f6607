"""Volumes of the crun flavor: where they land, who may write, and that no target leads out of the app's root."""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path
from typing import Any

import pytest

from tests.system.stage1_pod import HandMadePod, sh

pytestmark = pytest.mark.system


@pytest.fixture(params=["crun", "runc"])
def pod(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> HandMadePod:
    if shutil.which(str(request.param)) is None:
        pytest.skip(f"{request.param} is not installed")
    monkeypatch.setenv("PODWRIGHT_RUNTIME", str(request.param))
    return HandMadePod(tmp_path)


def host_volume(pod: HandMadePod, source: Path, **fields: Any) -> None:
    pod.manifest["volumes"].append({"name": "data", "kind": "host", "source": str(source), **fields})


def at(path: str) -> dict[str, Any]:
    return {"mounts": [{"volume": "data", "path": path}]}


@pytest.mark.contract("L.2 read-only precedence", "M.5 read-only by name")
@pytest.mark.parametrize(
    ("volume", "point", "writable"),
    [
        (None, False, True),
        (None, True, False),
        (True, False, False),
        (True, True, False),
        (False, True, True),
        (False, False, True),
    ],
)
def test_the_volumes_own_read_only_wins_over_the_mount_points(
    pod: HandMadePod, tmp_path: Path, volume: bool | None, point: bool, writable: bool
) -> None:
    source = tmp_path / "source"
    source.mkdir()
    (source / "file").write_text("host")
    host_volume(pod, source, **({} if volume is None else {"readOnly": volume}))
    points = [{"name": "data", "path": "/dir1", "readOnly": point}]
    pod.add("web", sh("cat /dir1/file; echo -n bar >/dir1/file"), mountPoints=points)
    ended = pod.run()
    assert ended.stdout == "host"
    assert (source / "file").read_text() == ("bar" if writable else "host")
    assert ("ead-only file system" in ended.stderr) == (not writable)


@pytest.mark.contract("L.1 rkt_volume_mount")
def test_read_only_holds_for_what_is_mounted_below_the_source(pod: HandMadePod, tmp_path: Path) -> None:
    source = tmp_path / "source"
    (source / "inner").mkdir(parents=True)
    (source / "inner/file").write_text("outer")
    script = "cat /d/inner/file; touch /d/inner/new"
    host_volume(pod, source, readOnly=True)
    pod.add("web", sh(script), runtime=at("/d"))
    subprocess.run(["mount", "-t", "tmpfs", "none", str(source / "inner")], check=True)
    try:
        (source / "inner/file").write_text("inner")
        recursive = pod.run()
        pod.manifest["volumes"][0]["recursive"] = False
        flat = pod.run()
    finally:
        subprocess.run(["umount", str(source / "inner")], check=True)
    assert recursive.stdout == "inner" and "ead-only file system" in recursive.stderr
    assert flat.stdout == "outer" and "ead-only file system" in flat.stderr


@pytest.mark.contract("L.1 rkt_mount")
@pytest.mark.parametrize(
    ("target", "lands"),
    [
        ("dir1/file", "dir1/file"),
        ("/dir1/link_abs_dir2/file", "dir2/file"),
        ("/dir1/link_rel_dir2/file", "dir2/file"),
        ("/dir1/link_abs_dotdot_dir2/file", "dir2/file"),
        ("/dir1/link_abs_root/notexists", "notexists"),
        ("/dir1/../../../notexists", "notexists"),
        ("/../../../notexists", "notexists"),
        ("/dir1/link_abs_notexists", "notexists"),
        ("/dir1/link_abs_notexists/sub/file", "notexists/sub/file"),
        ("//dir1//x//y", "dir1/x/y"),
        ("/a/b/c", "a/b/c"),
    ],
)
def test_a_file_lands_inside_the_root_however_odd_the_target(
    pod: HandMadePod, tmp_path: Path, target: str, lands: str
) -> None:
    source = tmp_path / "source"
    source.write_text("world")
    host_volume(pod, source)
    root = pod.add("web", ["/bin/cat", f"/{lands}"], runtime=at(target))
    (root / "dir1/link_abs_dir2").symlink_to("/dir2")
    (root / "dir1/link_rel_dir2").symlink_to("../dir2")
    (root / "dir1/link_abs_root").symlink_to("/")
    (root / "dir1/link_abs_dotdot_dir2").symlink_to("/../../dir2")
    (root / "dir1/link_abs_notexists").symlink_to("/notexists")
    outside = set(Path("/").iterdir())
    ended = pod.run()
    assert ended.stdout == "world", ended
    assert set(Path("/").iterdir()) == outside


@pytest.mark.contract("L.3 nested target")
def test_missing_parents_of_a_target_are_roots_and_0755(pod: HandMadePod, tmp_path: Path) -> None:
    source = tmp_path / "source"
    source.mkdir()
    host_volume(pod, source)
    pod.add("web", sh("stat -c '%a %u %g' /a /a/b"), runtime=at("/a/b/c"))
    assert pod.run().stdout == "755 0 0\n755 0 0\n"


@pytest.mark.contract("L.3 implicit empty volume")
def test_a_mount_point_without_volume_gets_an_empty_one_and_a_warning(pod: HandMadePod) -> None:
    pod.add("web", sh("ls /dir1; echo -n x >/dir1/new; cat /dir1/new"), mountPoints=[{"name": "work", "path": "/dir1"}])
    ended = pod.run()
    assert ended.stdout == "x" and ended.returncode == 0
    assert "no volume for mount point work:/dir1" in ended.stderr


@pytest.mark.contract("L.3 docker image")
def test_an_implicit_volume_of_a_docker_image_starts_with_its_content(pod: HandMadePod) -> None:
    root = pod.add("web", sh("cat /dir1/file; stat -c %u /dir1/file"), mountPoints=[{"name": "work", "path": "/dir1"}])
    image = root.parent / "manifest"
    docker = '"annotations": [{"name": "appc.io/docker/repository", "value": "x"}], "labels"'
    image.write_text(image.read_text().replace('"labels"', docker))
    (root / "dir1/file").chmod(0o600)
    assert pod.run().stdout == "dir10\n"


def test_a_mount_of_an_unknown_volume_is_an_error(pod: HandMadePod) -> None:
    pod.add("web", sh("exit 0"), runtime=at("/dir1"))
    ended = pod.run()
    assert ended.returncode == 254 and "'data'" in ended.stderr


def test_a_volume_inside_of_another(pod: HandMadePod, tmp_path: Path) -> None:
    for name in ("outer", "inner"):
        (tmp_path / name).mkdir()
        (tmp_path / name / "file").write_text(name)
        pod.manifest["volumes"].append({"name": name, "kind": "host", "source": str(tmp_path / name)})
    (tmp_path / "outer/sub").mkdir()
    mounts = [{"volume": "inner", "path": "/d/sub"}, {"volume": "outer", "path": "/d"}]
    pod.add("web", sh("cat /d/file /d/sub/file"), runtime={"mounts": mounts})
    assert pod.run().stdout == "outerinner"


@pytest.mark.contract("L.1 rkt_etc_hosts")
def test_a_volume_over_hosts_is_what_the_app_reads(pod: HandMadePod, tmp_path: Path) -> None:
    (tmp_path / "hosts").write_text("mine\n")
    host_volume(pod, tmp_path / "hosts")
    root = pod.add("web", ["/bin/cat", "/etc/hosts"], runtime=at("/etc/hosts"))
    assert pod.run().stdout == "mine\n"
    assert (root / "etc/hosts").read_bytes() == b""


@pytest.mark.parametrize("recursive", [True, False])
def test_a_single_file_can_be_read_only(pod: HandMadePod, tmp_path: Path, recursive: bool) -> None:
    (tmp_path / "settings").write_text("mine\n")
    host_volume(pod, tmp_path / "settings", readOnly=True, recursive=recursive)
    script = "cat /etc/settings; (echo yours > /etc/settings) 2>/dev/null || echo refused"
    pod.add("web", sh(script), runtime=at("/etc/settings"))
    ended = pod.run()
    assert ended.stdout == "mine\nrefused\n", ended.stderr
    assert (tmp_path / "settings").read_text() == "mine\n"


@pytest.mark.contract("L.1 rkt_devices")
def test_a_device_as_volume_can_be_used(pod: HandMadePod) -> None:
    host_volume(pod, Path("/dev/kmsg"))
    pod.add("web", sh("echo -n '' >/dir1/k && echo opened"), runtime=at("/dir1/k"))
    assert pod.run().stdout == "opened\n"


@pytest.mark.contract("L.1 rkt_volume_nspawn")
def test_sys_is_provided_unless_a_mount_touches_it(pod: HandMadePod, tmp_path: Path) -> None:
    (tmp_path / "source").mkdir()
    host_volume(pod, tmp_path / "source")
    pod.add("web", sh("ls -d /sys/class"))
    assert pod.run().stdout == "/sys/class\n"
    pod.manifest["apps"][0].update(at("/sys"))
    assert pod.run().returncode == 1


def test_under_private_users_a_volume_behind_closed_doors_can_be_read(pod: HandMadePod, tmp_path: Path) -> None:
    closed = tmp_path / "closed"
    (closed / "source").mkdir(parents=True)
    (closed / "source/file").write_text("seen")
    closed.chmod(0o700)
    host_volume(pod, closed / "source")
    root = pod.add("web", ["/bin/cat", "/dir1/file"], runtime=at("/dir1"))
    subprocess.run(["chown", "-Rh", "1000000:1000000", str(root)], check=True)
    assert pod.run("--private-users=1000000:65536").stdout == "seen"
