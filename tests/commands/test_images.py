"""`doit images` through the real command, in a store of its own."""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

import pytest

from stages.base.paths import DataDir
from stages.commands import images_use
from stages.commands.sweep import size_of
from stages.images import build
from stages.images import indexes as indexed
from stages.images.store import ImageStore
from tests.images.oci_maker import Image, digest, layer, write_layout
from tests.system import workbench
from tests.system.workbench import Project

UID = "7f0c0a3e-6a0e-4f5e-9a57-0d5b0d2f7f10"


@pytest.fixture
def project(tmp_path: Path) -> Project:
    made = Project(tmp_path / "project", tmp_path / "data")
    for name in ("base", "web", "idle"):
        more = {"dependencies": [{"imageName": "example.com/base"}]} if name == "web" else {}
        made.image(f"{name}.aci", workbench.manifest(f"example.com/{name}", labels={"version": "1"}, **more), [])
    made.write(workbench.spec("web", UID, [{"name": "web", "image": "images/web.aci"}]))
    return made


def brought(project: Project, *names: str) -> dict[str, str]:
    done = project.doit("images", "import", *(f"images/{name}.aci" for name in names))
    assert done.code == 0, done.err
    return dict(zip(names, done.out.split(), strict=True))


def listed(project: Project) -> dict[str, Any]:
    done = project.doit("images", "list", "--format", "json")
    assert done.code == 0 and "Traceback" not in done.err, done.err
    return {one["id"]: one for one in json.loads(done.out)}


def test_an_image_comes_in_under_its_digest_and_goes_out_as_it_was(project: Project, tmp_path: Path) -> None:
    image_id = brought(project, "web")["web"]
    (told,) = listed(project).values()
    assert (told["id"], told["name"], told["labels"]["version"]) == (image_id, "example.com/web", "1")
    assert told["whole"] and told["size"] > 0 and told["imported_at"] > 0
    out = tmp_path / "out.aci"
    for word in (image_id, image_id[:15], "example.com/web", "example.com/web:1"):
        assert project.doit("images", "export", word, str(out), "--overwrite").code == 0, word
    assert "sha512-" + hashlib.sha512(out.read_bytes()).hexdigest() == image_id
    out.write_bytes(b"mine")
    assert project.doit("images", "export", image_id, str(out)).code == 1 and out.read_bytes() == b"mine"
    assert json.loads(project.doit("images", "cat-manifest", image_id).out)["name"] == "example.com/web"


def test_one_bad_file_does_not_keep_the_others_out(project: Project, tmp_path: Path) -> None:
    (tmp_path / "bad.aci").write_bytes(b"no archive")
    done = project.doit("images", "import", str(tmp_path / "bad.aci"), "missing.aci", "images/web.aci")
    assert done.code == 1 and done.err.count("ERROR: ") == 2 and len(listed(project)) == 1


def test_images_go_and_what_is_not_there_is_told(project: Project) -> None:
    known = brought(project, "web", "idle")
    done = project.doit("images", "rm", "example.com/nope", known["web"][:20], "example.com/idle")
    assert done.code == 1 and done.err.count("ERROR: ") == 1 and listed(project) == {}
    assert {line.split()[0] for line in done.out.splitlines()} == set(known.values())


def test_a_damaged_store_can_still_be_listed(project: Project) -> None:
    known = brought(project, "web", "idle", "base")
    store = project.data / "images"
    (store / "manifests" / known["web"]).write_bytes(b"{")
    (store / "blobs" / "sha512" / known["idle"].removeprefix("sha512-")).unlink()
    told = listed(project)
    assert {name: told[image_id]["whole"] for name, image_id in known.items()} == {
        "web": False,
        "idle": False,
        "base": True,
    }
    table = project.doit("images").out
    assert table.count("(damaged)") == 2
    assert project.doit("images", "df").code == 0
    assert project.doit("images", "rm", known["web"], known["idle"]).code == 0
    assert set(listed(project)) == {known["base"]}


@pytest.mark.parametrize(
    "words",
    [
        ("nonsense",),
        ("rm",),
        ("import",),
        ("export", "x"),
        ("cat-manifest",),
        ("list", "x"),
        ("rm", "sha512-00"),
        ("verify", "example.com/nope"),
        ("gc", "x"),
    ],
    ids=" ".join,
)
def test_wrong_words_get_one_sentence(project: Project, words: tuple[str, ...]) -> None:
    refused = project.doit("images", *words)
    assert refused.code == 1 and refused.out == "" and refused.err.startswith("ERROR: "), refused
    assert "Traceback" not in refused.err


def test_what_a_spec_needs_stays_with_its_dependencies(project: Project) -> None:
    known = brought(project, "base", "web", "idle")
    dry = project.doit("images", "gc", "--dry-run")
    assert known["idle"][:19] in dry.out and "would free" in dry.out and set(listed(project)) == set(known.values())
    used = json.loads(project.doit("images", "df", "--format", "json").out)[0]
    assert (used["kind"], used["count"]) == ("images", 3) and 0 < used["unused"] < used["size"]
    assert project.doit("images", "gc").code == 0
    assert set(listed(project)) == {known["base"], known["web"]}


def test_what_comes_while_the_store_is_measured_is_not_counted(
    project: Project, monkeypatch: pytest.MonkeyPatch
) -> None:
    data = DataDir(project.data)
    look = images_use.unused

    def late(*words: Any) -> list[str]:
        brought(project, "idle")
        return look(*words)

    brought(project, "web")
    monkeypatch.setattr(images_use, "unused", late)
    images = images_use.usage(data, None)[0]
    assert (images.kind, images.number) == ("images", 1) and images.unused <= images.size
    assert len(listed(project)) == 2


SHARED, OWN, OTHER = (
    layer([build.regular(name, bytes([65 + size]) * (size << 20))]) for size, name in enumerate("abc", 1)
)
REMOVED = {"kept": [SHARED, OWN], "idle": [SHARED, OTHER], "too": [SHARED, OTHER, b"\0" * 1024]}


@pytest.fixture
def layered(project: Project) -> dict[str, str]:
    """Images that share layers, in a project whose lock file names the first."""
    images = {name: Image(layers, process={"Cmd": ["/x"]}) for name, layers in REMOVED.items()}
    write_layout(project.root / "images/it", images)
    done = project.doit("images", "import", *(f"oci:images/it:{name}" for name in REMOVED))
    known = dict(zip(REMOVED, done.out.split(), strict=True))
    (project.root / "pods/other.lock").write_text(json.dumps({"image": known["kept"].replace("-", ":")}))
    return known


def blob(project: Project, data: bytes) -> Path:
    return project.data / "images/blobs/sha256" / digest(data).removeprefix("sha256:")


def inventory(project: Project, data: bytes) -> Path:
    return project.data / "images/inventories" / digest(data).replace(":", "-")


def blocks(project: Project, layers: Sequence[bytes], image_ids: Iterable[str]) -> int:
    """What layers take up, and what is written down of them and of images."""
    of_layers = sum(place(project, data).stat().st_blocks * 512 for data in layers for place in (blob, inventory))
    return of_layers + sum(size_of(project.data / "images/indexes" / image_id) for image_id in image_ids)


def test_layers_are_counted_once_and_go_with_the_last_image_that_has_them(
    project: Project, layered: dict[str, str]
) -> None:
    used = json.loads(project.doit("images", "df", "--format", "json").out)[0]
    empty = REMOVED["too"][2]
    assert (used["count"], used["size"]) == (3, blocks(project, [SHARED, OWN, OTHER, empty], layered.values()))
    idle = [one for name, one in layered.items() if name != "kept"]
    assert used["unused"] == blocks(project, [OTHER, empty], idle)
    # It says beforehand what it does.
    dry = project.doit("images", "gc", "--dry-run")
    assert set(listed(project)) == set(layered.values())
    indexes = sum(indexed.size(DataDir(project.data), one) for one in idle)
    assert indexes > 0
    done = project.doit("images", "gc")
    assert done.code == 0 and dry.out == done.out.replace("freed", "would free"), (dry.out, done.out)
    assert done.out.splitlines()[-1] == f"freed {(len(OTHER) + 1024 + indexes) / 1e6:.1f} MB"
    assert set(listed(project)) == {layered["kept"]} and listed(project)[layered["kept"]]["whole"]
    assert [blob(project, data).exists() for data in (SHARED, OWN, OTHER)] == [True, True, False]


@pytest.mark.parametrize("way", ["rm", "gc", "gc of a broken-off import"])
def test_what_is_written_down_of_a_blob_is_given_back_with_it(project: Project, tmp_path: Path, way: str) -> None:
    members = [build.regular(f"{number:0200}", b"") for number in range(5000)]
    project.image("idle.aci", workbench.manifest("example.com/idle"), members)
    image_id = brought(project, "idle")["idle"]
    places = [project.data / "images/blobs/sha512" / image_id.removeprefix("sha512-"),
              project.data / "images/inventories" / image_id]  # fmt: skip
    places += [project.data / "images/indexes" / image_id / name for name in ("index.erofs", "record")]
    size = sum(place.stat().st_size for place in places)
    assert all(place.stat().st_size > 1_000_000 for place in places[:3])
    (told,) = listed(project).values()
    assert told["size"] == places[0].stat().st_size, "an image is its bytes"
    if "broken" in way:
        (project.data / "images/manifests" / image_id).unlink()
    dry = project.doit("images", "gc", "--dry-run")
    done = project.doit("images", *(("rm", image_id) if way == "rm" else ("gc",)))
    assert dry.out.splitlines()[-1] == f"would free {size / 1e6:.1f} MB" and f"{size / 1e6:.1f} MB" in done.out
    assert not any(place.exists() for place in places)


def test_an_oci_image_stays_as_long_as_a_pod_names_it(project: Project, layered: dict[str, str]) -> None:
    """In a pod's manifest it has the id that appc's types allow, in a record its own."""
    appc = ImageStore(DataDir(project.data)).appc_id(layered["idle"])
    for path, named in ((project.pod(UID) / "pod", appc), (project.pod(UID) / "records/app-x.json", layered["too"])):
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(json.dumps({"id": named}))
    assert project.doit("images", "gc").code == 0 and set(listed(project)) == set(layered.values())
    (project.pod(UID) / "pod").unlink()
    assert project.doit("images", "gc").code == 0
    assert set(listed(project)) == {layered["kept"], layered["too"]}
    assert blob(project, OTHER).exists() and listed(project)[layered["too"]]["whole"]


def test_a_damaged_layer_is_found_named_and_brought_again(project: Project, layered: dict[str, str]) -> None:
    path = blob(project, OTHER)
    path.unlink()
    path.write_bytes(OTHER[:-1] + b"!")
    done = project.doit("images", "verify")
    assert done.code == 1 and "Traceback" not in done.err
    told = {line.split()[0]: line for line in done.out.splitlines()}
    damaged = f"sha256-{path.name[:12]}"
    for name, image_id in layered.items():
        line = told[image_id[:19]]
        assert ("DAMAGED" in line and damaged in line) is (name != "kept") and (name != "kept" or line.endswith(" ok"))
    assert project.doit("images", "verify", layered["kept"]).code == 0
    refused = project.doit("images", "export", layered["idle"], "out.tar")
    assert refused.code == 1 and "is damaged" in refused.err and not (project.root / "out.tar").exists()
    assert project.doit("images", "import", "oci:images/it:idle").out.split() == [layered["idle"]]
    assert path.read_bytes() == OTHER and project.doit("images", "verify").code == 0


def test_a_faulty_spec_keeps_what_its_words_may_mean(project: Project) -> None:
    known = brought(project, "base", "web", "idle")
    spec = project.root / "pods" / "web.yaml"
    spec.write_text(spec.read_text() + "nonsense: [\n")
    assert project.doit("images", "gc").code == 0
    assert known["web"] in listed(project) and known["idle"] not in listed(project)


@pytest.mark.parametrize("place", ["lock", "pod", "record", "tree"])
def test_whatever_writes_an_id_down_keeps_the_image(project: Project, place: str) -> None:
    image_id = brought(project, "idle")["idle"]
    path = {
        "lock": project.root / "pods" / "other.lock",
        "pod": project.pod(UID) / "pod",
        "record": project.pod(UID) / "records" / "app-x.json",
        "tree": project.data / "trees" / ("deps-sha256-" + "0" * 64) / "record",
    }[place]
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps({"image": image_id}))
    assert project.doit("images", "gc").code == 0 and image_id in listed(project)
    path.unlink()
    assert project.doit("images", "gc").code == 0 and listed(project) == {}
    assert os.listdir(project.data / "images" / "blobs" / "sha512") == []


def test_damaged_documents_of_an_oci_image_are_no_traceback(project: Project, tmp_path: Path) -> None:
    write_layout(tmp_path / "layout", {"x": Image([layer([build.regular("x", b"x")])])})
    import_it = ("images", "import", f"oci:{tmp_path}/layout")
    image_id = project.doit(*import_it).out.strip()
    config = tmp_path / "data/images/oci" / f"{image_id}.config"
    idle = brought(project, "idle")["idle"]
    for words in (("images", "rm", image_id), ("images", "gc")):
        for damage in (lambda: config.write_bytes(b"{"), config.unlink):
            assert project.doit(*import_it).code == 0
            damage()
            for more in (("images", "df"), ("images", "verify"), ("images",), words):
                assert "Traceback" not in project.doit(*more).err, more
            assert image_id not in listed(project)
    assert idle not in listed(project)
