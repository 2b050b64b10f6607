"""`doit bundle` on one machine, `doit unbundle` on another without network, registry or files: the pod runs there."""

from __future__ import annotations

import hashlib
import io
import json
import shutil
import subprocess
import tarfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from stages.images import build
from tests.images.oci_maker import Image, layer, write_layout
from tests.system import workbench
from tests.system.registry import Registry
from tests.system.workbench import Project

pytestmark = pytest.mark.system

UID = "7f0c0a3e-6a0e-4f5e-9a57-0d5b0d2f7f16"
BASE = layer([*workbench.busybox(), build.directory("srv")])
OCI = Image([BASE, layer([build.regular("srv/it", b"oci\n")])], process={"Cmd": ["cat", "/srv/it"]})
Parts = dict[str, bytes]


@pytest.fixture
def here(tmp_path: Path) -> Iterator[Project]:
    """A locked pod with an image of a registry, which is gone, and an ACI with a dependency."""
    registry = Registry(tmp_path / "registry")
    project = Project(tmp_path / "here", tmp_path / "data", environment={**registry.environment, "CI": ""})
    write_layout(tmp_path / "layout", {"x": OCI})
    reference = registry.push(f"oci:{tmp_path / 'layout'}:x", "team/app:1")
    project.image("base.aci", workbench.manifest("example.com/base"), workbench.busybox())
    more = {"dependencies": [{"imageName": "example.com/base"}]}
    web = workbench.manifest("example.com/web", app=["/bin/cat", "/etc/it"], **more)
    project.image("web.aci", web, [build.directory("etc"), build.regular("etc/it", b"aci\n")])
    containers = [{"name": "oci", "image": reference}, {"name": "aci", "image": "images/web.aci"}]
    project.write(workbench.spec("shop", UID, containers, dependencies=["images/base.aci"]))
    assert project.doit("lock").code == 0
    registry.stop()
    yield project


@pytest.fixture
def there(tmp_path: Path) -> Project:
    return Project(tmp_path / "there", tmp_path / "there-data", environment={"CI": "", "HOME": str(tmp_path)})


def packed(project: Project, name: str = "out.tar") -> Path:
    done = project.doit("bundle", "pod=shop", name)
    assert done.code == 0 and "Traceback" not in done.err, done.err
    return project.root / name


def offline(project: Project, *words: str) -> tuple[int, list[str], str]:
    """A command in a network namespace that has nothing."""
    made = Project(project.root, project.data, environment=project.environment, wrapper=["unshare", "--net"])
    done = made.doit(*words)
    assert "Traceback" not in done.err, done.err
    return done.code, sorted(done.out.splitlines()), done.err


def state(project: Project) -> set[str]:
    """What a refused bundle must leave as it was: files of the project, images and blobs of the store."""
    store = project.data / "images"
    kept = [*(store / "manifests").glob("*"), *(store / "blobs").glob("*/*"), *(store / "oci").glob("*")]
    kept += [*(store / "names").glob("*/*"), *(store / "incoming").glob("*")]
    return {str(path) for path in [*project.root.rglob("*"), *kept] if path.is_file()}


def test_a_bundled_pod_runs_where_there_is_nothing_else(here: Project, there: Project) -> None:
    file = packed(here)
    code, told, err = offline(there, "unbundle", str(file))
    assert (code, told[1:]) == (0, ["pods/shop.lock", "pods/shop.yaml"]), err
    for name in ("shop.yaml", "shop.lock"):
        assert (there.root / "pods" / name).read_bytes() == (here.root / "pods" / name).read_bytes()
    code, _, err = offline(there, "run", "pod=shop")
    assert code == 1 and "hint: `--locked` takes the image" in err, err
    assert offline(there, "run", "pod=shop", "--locked")[:2] == (0, ["aci", "oci"])
    assert offline(there, "why", "pod=shop", "--locked")[1][-1].endswith("fresh")
    assert there.doit("images", "verify").out.count(" ok") == 4
    assert there.doit("images", "gc").code == 0 and offline(there, "run", "pod=shop", "--locked")[0] == 0
    # What is there already is neither read nor written again.
    blobs = sorted((there.data / "images/blobs").glob("*/*"))
    before = [path.stat() for path in blobs]
    assert offline(there, "unbundle", str(file))[0] == 0
    assert [path.stat() for path in blobs] == before


def test_a_file_of_the_machine_in_the_place_that_the_spec_names_is_not_asked(there: Project, tmp_path: Path) -> None:
    here = Project(tmp_path / "here", tmp_path / "data", environment={"CI": ""})
    write_layout(tmp_path / "layout", {"x": OCI})
    here.write(workbench.spec("shop", UID, [{"name": "oci", "image": f"oci:{tmp_path / 'layout'}:x"}]))
    assert here.doit("lock").code == 0
    done = there.doit("unbundle", str(packed(here)))
    assert done.code == 0, done.err
    assert there.doit("run", "pod=shop", "--locked").out == "oci\n"


def test_a_bundle_is_the_same_wherever_it_is_made(here: Project, there: Project) -> None:
    file = packed(here)
    assert packed(here, "again.tar").read_bytes() == file.read_bytes()
    assert there.doit("unbundle", str(file)).code == 0
    assert packed(there).read_bytes() == file.read_bytes()
    refused = here.doit("bundle", "pod=shop", "out.tar")
    assert refused.code == 1 and "--overwrite" in refused.err
    assert here.doit("bundle", "pod=shop", "--overwrite", "out.tar").code == 0


def test_a_packed_bundle_is_unpacked(here: Project, there: Project) -> None:
    subprocess.run(["gzip", "-1", packed(here)], check=True)
    assert there.doit("unbundle", str(here.root / "out.tar.gz")).code == 0
    assert offline(there, "run", "pod=shop", "--locked")[:2] == (0, ["aci", "oci"])


def test_a_pod_without_a_lock_is_not_bundled(here: Project) -> None:
    (here.root / "pods/shop.lock").unlink()
    refused = here.doit("bundle", "pod=shop", "out.tar")
    assert refused.code == 1 and "`doit lock pod=shop` writes it" in refused.err
    assert not (here.root / "out.tar").exists()


def test_a_ready_manifest_goes_along(here: Project, there: Project) -> None:
    assert here.doit("prepare", "pod=shop").code == 0
    (here.root / "manifests").mkdir()
    shutil.copy(here.pod(UID) / "pod", here.root / "manifests/shop.json")
    spec = workbench.spec("shop", UID, [], dependencies=["images/base.aci"], podManifest="manifests/shop.json")
    del spec["spec"]
    here.write(spec)
    assert here.doit("lock", "--update").code == 0
    assert offline(there, "unbundle", str(packed(here)))[0] == 0
    assert offline(there, "run", "pod=shop", "--locked")[:2] == (0, ["aci", "oci"])


def test_another_spec_is_not_replaced_without_a_word(here: Project, there: Project) -> None:
    file = packed(here)
    mine = there.root / "pods" / "mine.yaml"
    mine.write_text((here.root / "pods/shop.yaml").read_text() + "# mine\n")
    before = state(there)
    code, _, err = offline(there, "unbundle", str(file))
    assert code == 1 and "pods/mine.yaml is there already" in err and state(there) == before
    mine.write_text(mine.read_text().replace("shop", "other"))
    code, _, err = offline(there, "unbundle", "--overwrite", str(file))
    assert code == 3 and "another pod of that UUID" in err and state(there) == before
    shutil.copy(here.root / "pods/shop.yaml", mine)
    assert offline(there, "unbundle", str(file))[1][1:] == ["pods/shop.lock"]
    mine.write_text(mine.read_text() + "# mine\n")
    assert offline(there, "unbundle", "--overwrite", str(file))[1][1:] == ["pods/mine.yaml"]


# ---- bundles that were tampered with


def parts(file: Path) -> Parts:
    with tarfile.open(file) as archive:
        return {one.name: archive.extractfile(one).read() for one in archive}  # type: ignore[union-attr]


def written(file: Path, members: Parts, *more: tarfile.TarInfo) -> None:
    with tarfile.open(file, "w") as archive:
        for name, data in members.items():
            one = tarfile.TarInfo(name)
            one.size = len(data)
            archive.addfile(one, io.BytesIO(data))
        for one in more:
            archive.addfile(one)


def first(members: Parts, prefix: str) -> str:
    return next(name for name in sorted(members) if name.startswith(prefix))


def listed(members: Parts, **changes: Any) -> None:
    members["bundle.json"] = json.dumps({**json.loads(members["bundle.json"]), **changes}).encode()


def flipped(members: Parts, prefix: str) -> None:
    name = max((one for one in members if one.startswith(prefix)), key=lambda one: len(members[one]))
    data = bytearray(members[name])
    data[len(data) // 2] ^= 1
    members[name] = bytes(data)


def renamed_blob(members: Parts) -> None:
    """A blob of other bytes, listed under its right digest: the lock file does not know it."""
    image = f"sha512-{hashlib.sha512(b'x').hexdigest()}"
    members["blobs/" + image.replace("-", "/")] = b"x"
    listed(members, images={**json.loads(members["bundle.json"])["images"], image: {}})


def other_spec(members: Parts) -> None:
    members["pods/shop.yaml"] = members["pods/shop.yaml"].replace(b"images/web.aci", b"images/evil.aci")


def other_lock(members: Parts) -> None:
    lock = json.loads(members["pods/shop.lock"])
    lock["images"]["aci"][0]["tree"].reverse()
    members["pods/shop.lock"] = json.dumps(lock).encode()


HOSTILE: dict[str, tuple[Callable[[Parts], object], str]] = {
    "an archive that lies": (lambda it: flipped(it, "blobs/sha512/"), "not what its digest says"),
    "a layer that lies": (lambda it: flipped(it, "blobs/sha256/"), "not what its digest says"),
    "a manifest that lies": (lambda it: it.update({first(it, "oci/"): b"{}"}), "bytes, its descriptor says"),
    "a blob missing": (lambda it: it.pop(first(it, "blobs/")), "it has no blobs/"),
    "no list": (lambda it: it.pop("bundle.json"), "it has no bundle.json"),
    "no spec": (lambda it: it.pop("pods/shop.yaml"), "it has no pods/shop.yaml"),
    "no lock": (lambda it: it.pop("pods/shop.lock"), "it has no pods/shop.lock"),
    "a bad list": (lambda it: it.update({"bundle.json": b"[]"}), "its list is not"),
    "a deep list": (lambda it: it.update({"bundle.json": b"[" * 100_000}), "its list is not"),
    "another format": (lambda it: listed(it, bundle=9), "format 9"),
    "a pod called ..": (lambda it: listed(it, pod=".."), "its list is not"),
    "a pod called ../x": (lambda it: listed(it, pod="../x"), "its list is not"),
    "an id that leads away": (lambda it: listed(it, images={"sha512-../../x": {}}), "its list is not"),
    "half a character for a title": (
        lambda it: listed(it, images={f"sha256-{'0' * 64}": {"name": "a", "version": "\ud800"}}),
        "its list is not",
    ),
    "a title that is none": (lambda it: listed(it, images={f"sha256-{'0' * 64}": {"name": 1}}), "its list is not"),
    "a manifest for dodo.py": (lambda it: listed(it, podManifest="dodo.py"), "carries no pod manifest"),
    "a manifest outside": (lambda it: listed(it, podManifest="../x.json"), "carries no pod manifest"),
    "a hidden manifest": (lambda it: listed(it, podManifest=".git/x.json"), "carries no pod manifest"),
    "a manifest nobody names": (
        lambda it: (listed(it, podManifest="x.json"), it.update({"pod-manifest.json": b"{}"})),
        "not that of its list",
    ),
    "a member more": (lambda it: it.update({"extra": b"x"}), "belongs to nothing"),
    "a member that escapes": (lambda it: it.update({"../../evil": b"x"}), "evil"),
    "an absolute member": (lambda it: it.update({"/etc/evil": b"x"}), "evil"),
    "an image more": (renamed_blob, "more than the images of its lock file"),
    "another spec": (other_spec, "not in the lock file"),
    "a spec that is none": (lambda it: it.update({"pods/shop.yaml": b"x: ["}), "pods/shop.yaml:"),
    "a lock that is none": (lambda it: it.update({"pods/shop.lock": b"{"}), "is no lock file"),
    "another tree": (other_lock, "are not those of the lock file"),
}


@pytest.mark.parametrize("name", HOSTILE)
def test_a_bundle_that_was_tampered_with_leaves_all_as_it_was(here: Project, there: Project, name: str) -> None:
    change, word = HOSTILE[name]
    members = parts(packed(here))
    change(members)
    refuses(here, there, word, members)


def refuses(here: Project, there: Project, word: str, members: Parts, *more: tarfile.TarInfo) -> None:
    file = here.root / "bad.tar"
    written(file, members, *more)
    before = state(there)
    code, told, err = offline(there, "unbundle", "--overwrite", str(file))
    assert code in (1, 3) and told == [] and word in err and err.count("ERROR: ") == 1, err
    assert state(there) == before


def test_members_that_are_no_plain_files_and_cut_off_bundles_are_refused(here: Project, there: Project) -> None:
    whole = parts(packed(here))
    for kind in (tarfile.SYMTYPE, tarfile.LNKTYPE, tarfile.CHRTYPE, tarfile.FIFOTYPE, tarfile.DIRTYPE):
        one = tarfile.TarInfo("pods/x.yaml")
        one.type, one.linkname = kind, "bundle.json"
        refuses(here, there, "no plain file", whole, one)
    refuses(here, there, "twice", whole, tarfile.TarInfo("pods/shop.yaml"))
    data = (here.root / "out.tar").read_bytes()
    for length in (0, 100, 700, len(data) // 2, len(data) - 3000):
        (here.root / "bad.tar").write_bytes(data[:length])
        before = state(there)
        code, _, err = offline(there, "unbundle", str(here.root / "bad.tar"))
        assert code == 1 and err.count("ERROR: ") == 1 and state(there) == before, (length, err)
    for name in ("nowhere.tar", str(there.root)):
        assert offline(there, "unbundle", name)[0] == 1


def test_memory_does_not_grow_with_a_bundle(here: Project, there: Project) -> None:
    large = here.root / "large"
    with open(large, "wb") as out:
        for number in range(300):
            out.write(hashlib.sha256(b"%d" % number).digest() * 32768)
    members = [*workbench.busybox(), build.of_file("big", large)]
    web = workbench.manifest("example.com/web", app=["/bin/true"])
    here.image("web.aci", web, members)
    here.write(workbench.spec("shop", UID, [{"name": "aci", "image": "images/web.aci"}]))
    assert here.doit("lock", "--update").code == 0
    for project, words in (
        (here, ("bundle", "pod=shop", "out.tar")),
        (there, ("unbundle", str(here.root / "out.tar"))),
    ):
        project.wrapper = ["prlimit", f"--data={200 << 20}"]
        done = project.doit(*words)
        assert done.code == 0, done.err
    there.wrapper = []
    assert (here.root / "out.tar").stat().st_size > 300 << 20
    assert there.doit("run", "pod=shop", "--locked").code == 0
