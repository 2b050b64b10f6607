"""The index that comes with an image: the tree of a pod is the same with it, without it, and with a bad one."""

from __future__ import annotations

import json
import os
from pathlib import Path

import pytest

from stages.base.digest import canonical, identity
from stages.base.paths import DataDir
from stages.images import build
from stages.trees.erofs_probe import probe
from tests.images.oci_maker import Image, layer, write_layout
from tests.images.tar_maker import member, pax
from tests.system import workbench
from tests.system.test_trees_forms import remembered
from tests.system.workbench import Project

pytestmark = pytest.mark.system

UID = "7d000000-0000-4000-8000-000000000001"
FILES = ("index.erofs", "side")


def sparse() -> bytes:
    """A layer with a file that no index can point into as it stands: its pieces begin at no block."""
    keys = {b"name": b"sparse", b"map": b"100,512,3000,7", b"size": b"4000", b"numblocks": b"2"}
    said = pax(*((b"GNU.sparse." + key, value) for key, value in keys.items()))
    return said + member(b"sparse", 512 * b"x" + b"the end") + bytes(1024)


@pytest.fixture
def project(tmp_path: Path) -> Project:
    """A pod of an OCI image of three layers, which is in the store."""
    made = Project(tmp_path / "project", tmp_path / "data")
    layers = [layer(workbench.busybox()), sparse(), layer([build.regular("etc/motd", b"hello\n", 0o644)])]
    write_layout(made.root / "images/it", {"x": Image(layers)})
    container = {"name": "app", "image": "oci:images/it:x", "command": ["/bin/cat", "/etc/motd"]}
    made.write(workbench.spec("job", UID, [container]))
    return made


def imported(project: Project) -> str:
    done = project.doit("images", "import", "oci:images/it:x")
    assert done.code == 0, done.err
    return done.out.strip()


def tree(project: Project) -> Path:
    """The directory of the app's tree, which a run makes."""
    done = project.run("job")
    assert (done.code, done.out) == (0, "hello\n"), done.err
    name = (project.pod(UID) / "appsinfo/app/treeStoreID").read_text().strip()
    assert project.doit("verify").code == 0
    return project.data / "trees" / name


def content(folder: Path) -> list[bytes]:
    return [(folder / name).read_bytes() for name in FILES]


def removed(project: Project) -> None:
    assert project.doit("rm", "job").code == 0 and project.doit("gc").code == 0
    assert os.listdir(project.data / "trees") == []


def test_a_tree_is_the_same_with_and_without_what_was_prebuilt(project: Project) -> None:
    first = tree(project)
    rendered, rendered_tree = content(first), first.name
    assert not (project.data / "images/indexes").exists()
    removed(project)
    kept = project.data / "images/indexes" / imported(project)
    assert content(kept) == rendered
    record = json.loads((kept / "record").read_bytes())
    record["made"]["entries"] += 1000
    record["digest"] = identity([rendered_tree, record["made"]])
    (kept / "record").write_bytes(canonical(record))
    copied = tree(project)
    assert content(copied) == rendered
    assert json.loads((copied / "record").read_bytes())["entries"] == record["made"]["entries"]


@pytest.mark.parametrize(
    "way",
    [
        *("other bytes", "shorter", "side missing", "index missing", "index fifo", "index directory", "index link"),
        *("record", "record fifo", "record directory", "record of another", "record list", "record deep"),
        "record says more",
    ],
)
def test_what_was_prebuilt_and_is_not_whole_is_left_alone(project: Project, way: str) -> None:
    kept = project.data / "images/indexes" / imported(project)
    good = content(kept)
    for name in FILES:
        (kept / name).chmod(0o644)
    match way:
        case "other bytes":
            (kept / "index.erofs").write_bytes(good[0][:2000] + bytes([good[0][2000] ^ 1]) + good[0][2001:])
        case "shorter":
            (kept / "side").write_bytes(good[1][:-1])
        case "side missing" | "index missing":
            (kept / {"side missing": "side", "index missing": "index.erofs"}[way]).unlink()
        case "index fifo" | "index directory" | "index link" | "record fifo" | "record directory":
            replaced(kept / {"index": "index.erofs", "record": "record"}[way.split()[0]], way.split()[1])
        case "record":
            (kept / "record").write_bytes(b"{")
        case "record of another":
            record = json.loads((kept / "record").read_bytes())
            (kept / "record").write_bytes(canonical(record | {"digest": identity(["other", record["made"]])}))
        case "record deep":
            (kept / "record").write_bytes(b"[" * 100_000)
        case "record list":
            (kept / "record").write_bytes(b"[[]]")
        case "record says more":
            record = json.loads((kept / "record").read_bytes())
            record["made"]["digests"]["../../../version"] = "0" * 64
            (kept / "record").write_bytes(canonical(record))
    project.wrapper = ["timeout", "60"]
    assert content(tree(project)) == good
    # The next import makes a new one.
    imported(project)
    assert content(kept) == good and sorted(os.listdir(kept)) == ["index.erofs", "record", "rootfs", "side"]
    assert os.listdir(project.data / "garbage") == []


def replaced(path: Path, kind: str) -> None:
    path.unlink()
    match kind:
        case "fifo":
            os.mkfifo(path)
        case "directory":
            path.mkdir()
        case "link":
            path.symlink_to(path.name)


def test_it_keeps_no_image_and_goes_with_it(project: Project) -> None:
    (project.root / "pods/job.yaml").unlink()
    image_id = imported(project)
    kept = project.data / "images/indexes" / image_id
    size = sum(path.stat().st_size for path in kept.rglob("*") if path.is_file())
    (df,) = [one for one in json.loads(project.doit("images", "--format", "json", "df").out) if one["kind"] == "images"]
    assert df["size"] == df["unused"] > size
    told = project.doit("images", "gc", "--dry-run").out
    assert project.doit("images", "gc").out == told.replace("would free", "freed")
    assert os.listdir(kept.parent) == [] and os.listdir(project.data / "garbage") == []
    assert imported(project) == image_id and project.doit("images", "rm", image_id).code == 0
    assert os.listdir(kept.parent) == []


def test_one_whose_image_is_gone_is_collected(project: Project) -> None:
    kept = project.data / "images/indexes" / imported(project)
    kept.rename(kept.parent / ("sha256-" + "0" * 64))
    told = project.doit("images", "gc", "--dry-run").out
    assert "index of image sha256-000000000000, which is gone" in told
    assert project.doit("images", "gc").out == told.replace("would free", "freed")
    assert os.listdir(kept.parent) == []


def test_an_image_with_dependencies_and_a_host_without_indexes_have_none(tmp_path: Path) -> None:
    made = Project(tmp_path / "project", tmp_path / "data")
    made.image("base.aci", workbench.manifest("example.com/base"), workbench.busybox())
    on_it = workbench.manifest("example.com/it", app=["/bin/true"], dependencies=[{"imageName": "example.com/base"}])
    made.image("it.aci", on_it, [build.directory("etc")])
    done = made.doit("images", "import", "images/base.aci", "images/it.aci")
    base, _ = done.out.split()
    assert os.listdir(made.data / "images/indexes") == ([base] if probe(tmp_path).way else [])
    elsewhere = Project(tmp_path / "project", tmp_path / "elsewhere")
    remembered(DataDir(elsewhere.data), None)
    assert elsewhere.doit("images", "import", "images/base.aci").code == 0
    assert not (elsewhere.data / "images/indexes").exists()


def test_no_room_for_it_is_no_trouble(project: Project) -> None:
    """As when the disk is full: the image is there, and the run makes the tree."""
    (project.data / "images").mkdir(parents=True)
    (project.data / "images/indexes").write_bytes(b"")
    image_id = imported(project)
    assert content(tree(project))
    assert project.doit("images", "df").code == project.doit("images", "gc").code == 0
    assert project.doit("images", "rm", image_id).code == 0
    assert os.listdir(project.data / "images/oci") == []


def test_a_bundle_brings_it(project: Project, tmp_path: Path) -> None:
    assert project.doit("lock", "pod=job").code == 0
    bundled = project.doit("bundle", "pod=job", str(tmp_path / "job.bundle"))
    assert bundled.code == 0, bundled.err
    other = Project(tmp_path / "other", tmp_path / "other-data")
    brought = other.doit("unbundle", str(tmp_path / "job.bundle"))
    assert brought.code == 0, brought.err
    # stage1's tree is of files: of its image there is none.
    assert len(os.listdir(other.data / "images/indexes")) == (1 if probe(tmp_path).way is not None else 0)
