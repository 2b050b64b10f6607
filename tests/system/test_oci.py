"""OCI images become the trees that umoci and podman make of the same bytes, entry by entry."""

from __future__ import annotations

import json
import os
import random
import shutil
import subprocess
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from stages.base.paths import DataDir
from stages.base.progress import Silent
from stages.images import build
from stages.images.ask import Ask
from stages.images.build import Member
from stages.images.dependencies import Ingredient
from stages.images.entry import Entry, Kind
from stages.images.finder import Finder
from stages.images.store import ImageStore
from stages.linux import acts
from stages.trees import ability, forms
from stages.trees.recipe import Recipe
from stages.trees.store import TreeStore
from tests.images.oci_maker import Image, layer, write_layout
from tests.system import workbench
from tests.system.erofs_host import Seen, isolated, look, opened
from tests.system.workbench import Project

pytestmark = pytest.mark.system

LAYERS = 100


def do(*words: str | Path) -> str:
    """A program that succeeds; what it said."""
    done = subprocess.run(words, capture_output=True, errors="backslashreplace", check=False)
    assert done.returncode == 0, f"{words}: {done.stderr}"
    return done.stdout


@pytest.fixture(scope="session")
def debian(minbase: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """A layout with a Debian root as one layer (`one`) and, changed in many ways, as five (`five`)."""
    folder = tmp_path_factory.mktemp("debian")
    layout, bundle = folder / "layout", folder / "bundle"
    do("umoci", "init", "--layout", layout)
    do("umoci", "new", "--image", f"{layout}:one")
    do("umoci", "raw", "add-layer", "--image", f"{layout}:one", minbase)
    do("umoci", "unpack", "--image", f"{layout}:one", bundle)
    for change in CHANGES:
        change(bundle / "rootfs")
        do("umoci", "repack", "--refresh-bundle", "--image", f"{layout}:five", bundle)
    do("umoci", "config", "--image", f"{layout}:five", "--config.cmd", "/app/run", "--config.workingdir", "/app")
    do("umoci", "gc", "--layout", layout)
    yield layout
    shutil.rmtree(folder, ignore_errors=True)


def add_an_app(root: Path) -> None:
    (root / "app").mkdir(mode=0o750)
    (root / "app/run").write_bytes(b"#!/bin/sh\necho app\n")
    (root / "app/run").chmod(0o4755)
    (root / "app/data").write_bytes(random.Random(1).randbytes(3_000_000))
    os.chown(root / "app/data", 1000, 1000)
    os.link(root / "app/data", root / "app/data-too")
    os.setxattr(root / "app/data", "user.note", b"\0\1")


def remove_much(root: Path) -> None:
    shutil.rmtree(root / "usr/share/doc")
    (root / "usr/share/doc").mkdir()
    (root / "usr/share/doc/new").write_text("new")
    shutil.rmtree(root / "var/lib/apt")
    (root / "etc/hostname").unlink(missing_ok=True)


def change_kinds(root: Path) -> None:
    (root / "etc/debian_version").unlink()
    (root / "etc/debian_version").symlink_to("/nowhere")
    (root / "bin/cat").unlink()
    (root / "bin/cat").mkdir()
    (root / "etc/issue").unlink()
    (root / "etc/issue").mkdir(mode=0o700)
    (root / "etc/issue/x").write_text("x")
    os.mknod(root / "app/null", 0o20666, os.makedev(1, 3))
    os.mkfifo(root / "app/pipe", 0o600)


def change_attributes(root: Path) -> None:
    os.chmod(root / "etc", 0o711)
    os.chown(root / "usr/bin/env", 7, 8)
    os.chmod(root / "usr/bin/env", 0o2755)
    os.utime(root / "etc/passwd", ns=(5_000_000_000, 7_000_000_000))
    (root / "app/data-too").unlink()


CHANGES: list[Callable[[Path], None]] = [add_an_app, remove_much, change_kinds, change_attributes]


def brought(folder: Path, reference: str) -> tuple[TreeStore, Recipe]:
    data = DataDir(folder / "data")
    images = ImageStore(data)
    image_id = Finder(data, images, folder).bring(Ask(reference), Silent())
    return TreeStore(data, images), Recipe((Ingredient(image_id, 0, frozenset(), ()),))


def written(folder: Path, reference: str) -> dict[bytes, Seen]:
    """The image's tree as files."""
    store, recipe = brought(folder, reference)
    store.write(recipe, folder / "ours", None, Silent())
    return seen(folder / "ours")


def seen(root: Path) -> dict[bytes, Seen]:
    with opened(root) as descriptor:
        return look(descriptor)


def unpacked(folder: Path, image: str) -> dict[bytes, Seen]:
    do("umoci", "raw", "unpack", "--image", image, folder / "umoci")
    return seen(folder / "umoci")


def same(ours: dict[bytes, Seen], theirs: dict[bytes, Seen], undated: frozenset[bytes] = frozenset()) -> None:
    """undated: directories whose time no layer says, so that it is the unpacker's."""
    assert ours.keys() == theirs.keys()
    wrong = {}
    for path, one in ours.items():
        other = theirs[path]
        if path in undated:
            one, other = replace(one, mtime_ns=0), replace(other, mtime_ns=0)
        if one != other:
            wrong[path] = (one, other)
    assert not wrong, list(wrong.items())[:5]


ROOT = frozenset({b""})


def indexed(folder: Path, reference: str, theirs: dict[bytes, Seen], undated: frozenset[bytes] = frozenset()) -> None:
    """The tree in the store, an index where this kernel mounts one, shows the same and is whole."""
    store, recipe = brought(folder, reference)
    store.render(recipe, Silent())
    assert store.verdict(recipe.tree_id).fresh and store.full(recipe.tree_id).fresh
    lower = store.lower(recipe.tree_id)
    assert bool(lower.image) is (ability.way(store.data) is not None)
    (folder / "here").mkdir()

    def compare() -> None:
        if lower.image:
            acts.do(forms.mounting(lower, str(folder / "here"), False))
        same(seen(folder / "here" if lower.image else Path(lower.path)), theirs, undated)

    isolated(compare)


def both_forms(folder: Path, reference: str, theirs: dict[bytes, Seen], undated: frozenset[bytes] = ROOT) -> None:
    """The image's tree is what somebody else unpacked, as files and as an index."""
    same(written(folder, reference), theirs, undated)
    indexed(folder, reference, theirs, undated)


@pytest.mark.parametrize("tag", ["one", "five"])
def test_a_debian_root_is_what_umoci_unpacks(debian: Path, tmp_path: Path, tag: str) -> None:
    both_forms(tmp_path, f"oci:{debian}:{tag}", unpacked(tmp_path, f"{debian}:{tag}"))


def test_zstd_layers_are_what_gzip_layers_are(debian: Path, tmp_path: Path) -> None:
    zstd = tmp_path / "zstd"
    words = ("--dest-compress-format", "zstd", "--dest-compress-level", "1")
    do("skopeo", "copy", *words, f"oci:{debian}:five", f"oci:{zstd}:x")
    _, recipe = brought(tmp_path, f"oci:{zstd}:x")
    store, other = brought(tmp_path, f"oci:{debian}:five")
    assert recipe.image_id != other.image_id
    assert store.images.blob_ids(recipe.image_id) == store.images.blob_ids(other.image_id)


def test_an_archive_of_docker_s_kind_is_what_the_layout_is(debian: Path, tmp_path: Path) -> None:
    do("skopeo", "copy", f"oci:{debian}:five", f"docker-archive:{tmp_path}/it.tar:localhost/it:5")
    store, other = brought(tmp_path, f"oci:{debian}:five")
    _, recipe = brought(tmp_path, f"docker-archive:{tmp_path}/it.tar:localhost/it:5")
    assert store.images.blob_ids(recipe.image_id) == store.images.blob_ids(other.image_id)
    assert store.images.manifest(recipe.image_id).app == store.images.manifest(other.image_id).app


def by_podman(folder: Path, command: str) -> dict[bytes, Seen]:
    """What podman's storage, an overlay, shows of the image that the command brings in and names.

    Mounted and copied out in a namespace of its own; folder/inspected.json has what podman says of it.
    """
    podman = f'podman --root {folder}/storage --runroot "$run"'
    script = f"""
        set -e
        run=$(mktemp -d)  # podman takes no long paths for it
        trap 'rm -rf "$run"' EXIT
        id=$({podman} {command})
        {podman} image inspect "$id" >{folder}/inspected.json
        # Its overlay lists whiteouts of what no lower layer has, which cannot be looked up: that is not there.
        cp -a "$({podman} image mount "$id")" {folder}/podman || true
        {podman} image unmount "$id"
        umount -R {folder}/storage/overlay 2>/dev/null || true
    """
    do("unshare", "--mount", "sh", "-c", script)
    found = seen(folder / "podman")
    assert found[b""].mode & 0o7777 == 0o555  # podman's own idea of a root
    return found | {b"": replace(found[b""], mode=found[b""].mode | 0o200)}


@pytest.mark.parametrize("tag", ["one", "five", "zstd", "many"])
def test_podman_unpacks_the_same(debian: Path, tmp_path: Path, tag: str) -> None:
    source = f"oci:{debian}:five" if tag == "zstd" else f"oci:{debian}:{tag}"
    if tag == "many":
        chance = random.Random(5)
        layers = [layer(changes_at_random(chance, number)) for number in range(LAYERS)]
        source = f"oci:{write_layout(tmp_path / 'many', {'x': Image(layers)})}:x"
    words = ("--dest-compress-format", "zstd", "--dest-compress-level", "1") if tag == "zstd" else ()
    do("skopeo", "copy", *words, source, f"oci-archive:{tmp_path}/it.tar:it")
    theirs = by_podman(tmp_path, f"pull --quiet oci-archive:{tmp_path}/it.tar")
    reference = f"oci-archive:{tmp_path}/it.tar"
    both_forms(tmp_path, reference, theirs, undated(tmp_path, reference) | ROOT)


def test_a_name_does_not_lead_through_a_link_of_a_lower_layer(tmp_path: Path) -> None:
    """As for all who unpack each layer for itself (podman, containerd, docker on overlays); umoci follows such links.

    The specification does not say; whoever makes a layer as the difference of two trees has the directory in it then.
    """
    lower = [build.directory("usr"), build.directory("usr/lib"), build.regular("usr/lib/old", b"")]
    layers = [layer([*lower, build.symlink("lib", "usr/lib")]), layer([build.regular("lib/new", b"new")])]
    source = f"oci:{write_layout(tmp_path / 'linked', {'x': Image(layers)})}:x"
    theirs = by_podman(tmp_path, f"pull --quiet {source}")
    assert theirs.keys() == {b"", b"usr", b"usr/lib", b"usr/lib/old", b"lib", b"lib/new"}
    both_forms(tmp_path, source, theirs, undated(tmp_path, source) | ROOT)


def undated(folder: Path, reference: str) -> frozenset[bytes]:
    """Directories that the uppermost layer with something below them does not list itself.

    podman unpacks each layer for itself, so there their time is that of unpacking; the specification says nothing.
    """
    store, recipe = brought(folder, reference)
    decided: set[bytes] = set()
    implied: set[bytes] = set()
    for one in store.images.layers(recipe.image_id):
        listed = {entry.name for entry in one.entries}
        above = {name for path in (*listed, *one.whiteouts, *one.opaque) for name in parents(path)}
        implied |= above - listed - decided
        decided |= above | listed
    return frozenset(implied - {b""})


def parents(path: bytes) -> Iterator[bytes]:
    while path:
        path = path.rpartition(b"/")[0]
        yield path


def test_an_exported_image_is_the_same_for_podman_skopeo_and_us(debian: Path, tmp_path: Path) -> None:
    project = Project(tmp_path / "project", tmp_path / "cli")
    (image_id,) = project.doit("images", "import", f"oci:{debian}:five").out.split()
    assert project.doit("images", "export", image_id, "out.tar").code == 0
    exported = project.root / "out.tar"
    config = (project.data / f"images/oci/{image_id}.config").read_text()
    said = json.loads(config)
    assert do("skopeo", "inspect", "--config", "--raw", f"oci-archive:{exported}") == config
    manifest = json.loads(do("skopeo", "inspect", "--raw", f"oci-archive:{exported}"))
    assert [one["digest"] for one in manifest["layers"]] == said["rootfs"]["diff_ids"]
    theirs = by_podman(tmp_path, f"load --quiet --input {exported} | sed 's/.*: //'")
    (inspected,) = json.loads((tmp_path / "inspected.json").read_bytes())
    assert inspected["RootFS"]["Layers"] == said["rootfs"]["diff_ids"]
    assert inspected["Config"] == said["config"] and inspected["Config"]["Cmd"] == ["/app/run"]
    assert (inspected["Os"], inspected["Architecture"]) == (said["os"], said["architecture"])
    both_forms(tmp_path, f"oci:{debian}:five", theirs, undated(tmp_path, f"oci:{debian}:five") | ROOT)
    # In again: under another manifest, so another id, but the same layers and app; and out again the same bytes.
    (again,) = project.doit("images", "import", "oci-archive:out.tar").out.split()
    store = ImageStore(DataDir(project.data))
    assert store.blob_ids(again) == store.blob_ids(image_id)
    assert store.manifest(again).app == store.manifest(image_id).app
    assert project.doit("images", "export", again, "again.tar").code == 0
    assert (project.root / "again.tar").read_bytes() == exported.read_bytes()


# ---- many small layers, made at random


def changes_at_random(chance: random.Random, number: int) -> list[Member]:
    """A layer: files, links, directories and whiteouts in a small world, so that they meet those of other layers.

    What one layer has it has once, and below directories of its own.
    """
    made: dict[str, Member] = {}
    folders = [""]
    for _ in range(chance.randint(1, 3)):
        folder = chance.choice(folders) + chance.choice("abc") + "/"
        if folder not in folders and folder.count("/") < 4:
            folders.append(folder)
            mode, when = chance.choice((0o755, 0o700)), number * 1_000_000_000
            made[folder[:-1]] = build.directory(folder[:-1], mode, uid=chance.randint(0, 3), mtime_ns=when)
    for _ in range(chance.randint(1, 6)):
        folder, name = chance.choice(folders), chance.choice("defgh")
        kind = chance.randint(0, 9)
        if kind < 5:
            made[folder + name] = build.regular(
                folder + name, chance.randbytes(chance.randint(0, 9000)), mtime_ns=number
            )
        elif kind == 5:
            made[folder + name] = build.symlink(folder + name, chance.choice("xyz"), mtime_ns=number)
        elif kind == 6 and folder:
            made[folder + ".wh..wh..opq"] = build.regular(folder + ".wh..wh..opq", b"")
        else:
            gone = chance.choice([name, *"abc"])
            if folder + gone not in made and folder + gone + "/" not in folders:
                made[folder + ".wh." + gone] = build.regular(folder + ".wh." + gone, b"")
    files = [path for path, member in made.items() if member.entry.kind is Kind.FILE and ".wh." not in path]
    if files and chance.random() < 0.5:
        target = chance.choice(files)
        # With its file's attributes, as every writer has it: podman takes those of the link, umoci those of the file.
        of, name = made[target].entry, f"{target}-too"
        link = of._replace(name=name.encode(), kind=Kind.HARDLINK, target=of.name, size=0, extents=())
        made[name] = Member(link)
    return list(made.values())


@pytest.mark.parametrize("seed", [1, 2, 3])
def test_a_hundred_layers_are_what_umoci_unpacks(tmp_path: Path, seed: int) -> None:
    chance = random.Random(seed)
    layers = [layer(changes_at_random(chance, number)) for number in range(LAYERS)]
    write_layout(tmp_path / "many", {"x": Image(layers)})
    both_forms(tmp_path, "oci:many:x", unpacked(tmp_path, f"{tmp_path}/many:x"))


def root_file_system(folder: Path) -> None:
    """A directory with a manifest beside it, as an appc image unpacks."""
    (folder / "rootfs/bin").mkdir(parents=True)
    (folder / "rootfs/etc").mkdir()
    shutil.copy(workbench.BUSYBOX, folder / "rootfs/bin/cat")
    (folder / "rootfs/etc/it").write_text("directory\n")
    described = workbench.manifest("example.com/folder", app=["/bin/cat", "/etc/it"])
    (folder / "manifest").write_text(json.dumps(described))


@pytest.mark.parametrize("overlay", [True, False], ids=["overlay", "copy"])
def test_a_pod_runs_apps_of_every_kind(tmp_path: Path, overlay: bool) -> None:
    project = Project(tmp_path / "project", tmp_path / "data")
    project.image(
        "old.aci",
        workbench.manifest("example.com/old", app=["/bin/cat", "/etc/it"]),
        [*workbench.busybox(), build.regular("etc/it", b"appc\n")],
    )
    base = layer([*workbench.busybox(), build.regular("etc/it", b"below\n")])
    process = {"Entrypoint": ["/bin/echo"], "Cmd": ["from", "the", "image"], "User": "1000", "Env": ["GREETING=hello"]}
    write_layout(
        project.root / "images/new", {"1": Image([base, layer([build.regular("etc/it", b"oci\n")])], process=process)}
    )
    image = "oci:images/new:1"
    root_file_system(project.root / "images/folder")
    containers: list[dict[str, Any]] = [
        {"name": "old", "image": "images/old.aci"},
        {"name": "plain", "image": image},
        {"name": "args", "image": image, "args": ["other", "words"]},
        {"name": "command", "image": image, "command": ["/bin/cat", "/etc/it"]},
        {"name": "both", "image": image, "command": ["/bin/sh", "-c"], "args": ["echo $GREETING; id -u"]},
        {"name": "folder", "image": "dir:images/folder/rootfs"},
    ]
    project.write(workbench.spec("mixed", MIXED_UID, containers, overlay=overlay))
    expected = sorted(["appc", "from the image", "other words", "oci", "hello", "1000", "directory"])
    for number in range(2):
        done = project.run("mixed")
        assert (done.code, sorted(done.out.splitlines())) == (0, expected), done.err
        if number and overlay:
            assert done.tasks == {"overlay", "init"}
        elif number:  # the apps wrote into their own copies, which are made again; the images are not
            assert {"app:old", "app:plain"} <= done.tasks and not any(one.startswith("image:") for one in done.tasks)
    # The code of the pod is that of the app that fails, of either kind.
    for name, code in (("old", 7), ("plain", 8)):
        failing = [{**one, "command": ["/bin/sh", "-c", f"exit {code}"]} for one in containers if one["name"] == name]
        other = [{**one, "command": ["/bin/true"]} for one in containers[:2] if one["name"] != name]
        project.write(workbench.spec("mixed", MIXED_UID, [*other, *failing], overlay=overlay))
        assert project.run("mixed").code == code


MIXED_UID = "7f0c0a3e-6a0e-4f5e-9a57-0d5b0d2f7f11"
VOLUME_UID = "7f0c0a3e-6a0e-4f5e-9a57-0d5b0d2f7f12"
LOOK = """
stat -c '%n %u %g %a %h %Y' /data /data/sub/file /data/sub/two; stat -c '%n %F %u' /data/link /data/pipe /empty /new
cat /data/sub/two; ls /data; echo mine >/data/sub/mine; rm /data/link
"""
FOUND = """\
/data 1000 1000 700 3 7
/data/sub/file 1002 1002 4750 2 7
/data/sub/two 1002 1002 4750 2 7
/data/link symbolic link 1003
/data/pipe fifo 1004
/empty directory 5
/new directory 0
content
link
pipe
sub
"""


def with_volumes(project: Project, **stage0: Any) -> None:
    """A pod whose image has volumes: one with content, one without, and one whose directory it does not have."""
    when = 7_000_000_000
    members = [
        *workbench.busybox(),
        build.directory("data", 0o700, uid=1000, gid=1000, mtime_ns=when),
        build.directory("data/sub", 0o2711, uid=1001, gid=1001),
        build.regular("data/sub/file", b"content\n", 0o4750, uid=1002, gid=1002, mtime_ns=when),
        Member(Entry(b"data/sub/two", Kind.HARDLINK, target=b"data/sub/file")),
        build.symlink("data/link", "/etc/passwd", uid=1003),
        Member(Entry(b"data/pipe", Kind.FIFO, 0o600, uid=1004)),
        build.directory("empty", 0o1777, uid=5),
    ]
    process = {"Cmd": ["/bin/sh", "-c", LOOK], "Volumes": {"/data": {}, "/empty": {}, "/new": {}}}
    write_layout(project.root / "images/volumes", {"1": Image([layer(members)], process=process)})
    project.write(workbench.spec("volumes", VOLUME_UID, [{"name": "a", "image": "oci:images/volumes"}], **stage0))


@pytest.mark.parametrize(
    ("runtime", "stage0"),
    [
        ("crun", {}),
        ("runc", {}),
        ("crun", {"overlay": False}),
        ("runc", {"overlay": False}),
        ("crun", {"privateUsers": "auto"}),
        ("crun", {"privateUsers": "auto", "overlay": False}),
        ("crun", {"stage1": "fly", "net": ["host"]}),
    ],
)
def test_the_volumes_of_an_image_start_with_its_content(tmp_path: Path, runtime: str, stage0: dict[str, Any]) -> None:
    if shutil.which(runtime) is None:
        pytest.skip(f"{runtime} is not installed")
    project = Project(tmp_path / "project", tmp_path / "data", environment={"PODWRIGHT_RUNTIME": runtime})
    with_volumes(project, **stage0)
    for _ in range(2):
        done = project.run("volumes")
        assert (done.code, done.out) == (0, FOUND), done.err
    assert (project.pod(VOLUME_UID) / "sharedVolumes/a-volume-data/sub/mine").read_text() == "mine\n"
