"""Images come in whole or not at all, are there once, and are found by id, prefix, name and labels."""

from __future__ import annotations

import bz2
import gzip
import hashlib
import io
import lzma
import os
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any, BinaryIO

import pytest

from stages.base.errors import ImageError
from stages.base.paths import DataDir
from stages.base.progress import Silent
from stages.images import build
from stages.images.flavors import Flavors
from stages.images.sources import Sources
from stages.images.store import ImageStore
from stages.linux import host
from tests.clock import tick


def manifest(name: str = "example.com/a", **labels: str) -> dict[str, Any]:
    listed = {"os": host.OS, "arch": host.arch(), **labels}
    return {
        "acKind": "ImageManifest",
        "acVersion": "0.8.11",
        "name": name,
        "labels": [{"name": key, "value": value} for key, value in listed.items()],
    }


def archive(document: dict[str, Any] | None = None, content: bytes = b"x") -> bytes:
    out = io.BytesIO()
    build.write_archive(out, document or manifest(), [build.regular("file", content)])
    return out.getvalue()


@pytest.fixture
def store(tmp_path: Path) -> ImageStore:
    return ImageStore(DataDir(tmp_path / "data"))


def add(store: ImageStore, tmp_path: Path, data: bytes) -> str:
    path = tmp_path / "archive"
    path.write_bytes(data)
    with open(path, "rb") as file:
        return store.add(file, "archive", Silent())


def adding(store: ImageStore) -> Callable[[BinaryIO], str]:
    return lambda file: store.add(file, "web.aci", Silent())


def everything(store: ImageStore) -> list[str]:
    return sorted(str(path) for path in store.data.root.rglob("*") if path.is_file() and "locks" not in path.parts)


@pytest.mark.parametrize("name", ["a" * 255, "a" * 256, "a/" * 5000 + "a"])
def test_a_name_may_be_longer_than_a_file_s(store: ImageStore, tmp_path: Path, name: str) -> None:
    image_id = add(store, tmp_path, archive(manifest(name)))
    assert store.find(name, {}) == image_id and store.find(name + "a", {}) is None
    assert store.names.lost([image_id]) == []
    store.remove(image_id)
    assert store.find(name, {}) is None and list(store.data.images.names.glob("*/*")) == []


@pytest.mark.contract("M 36")
@pytest.mark.parametrize("pack", [bytes, gzip.compress, bz2.compress, lzma.compress])
def test_the_id_is_the_sha512_of_the_uncompressed_bytes(
    store: ImageStore, tmp_path: Path, pack: Callable[[bytes], bytes]
) -> None:
    data = archive()
    image_id = add(store, tmp_path, pack(data))
    assert image_id == "sha512-" + hashlib.sha512(data).hexdigest()
    assert store.has(image_id) and store.blob(image_id).read_bytes() == data
    assert store.manifest(image_id).name == "example.com/a"
    assert [entry.name for entry in store.layers(image_id)[0].entries] == [b"", b"file"]


def test_the_same_image_is_there_once(store: ImageStore, tmp_path: Path) -> None:
    first = add(store, tmp_path, archive())
    inode = store.blob(first).stat().st_ino
    assert add(store, tmp_path, gzip.compress(archive())) == first
    assert store.blob(first).stat().st_ino == inode and store.ids() == [first]


BAD = {
    "no archive": b"this is a text",
    "empty": b"",
    "cut off": archive()[:1024],
    "bad gzip": gzip.compress(archive())[:-20],
    "no entries": b"\0" * 1024,
    "manifest is no JSON": archive().replace(b'{"acKind"', b'?"acKind"'),
    "manifest of another kind": archive(manifest() | {"acKind": "PodManifest"}),
    "name is no identifier": archive(manifest("Not A Name")),
}


@pytest.mark.contract("M 39")
@pytest.mark.parametrize("data", [pytest.param(data, id=name) for name, data in BAD.items()])
def test_a_bad_archive_is_refused_and_leaves_the_store_as_it_was(
    store: ImageStore, tmp_path: Path, data: bytes
) -> None:
    add(store, tmp_path, archive(manifest("example.com/good")))
    before = everything(store)
    with pytest.raises(ImageError) as caught:
        add(store, tmp_path, data)
    assert caught.value.sentence.startswith("archive: ") and "\n" not in caught.value.sentence
    assert everything(store) == before


def test_a_blob_that_was_touched_is_read_again_before_it_is_believed(store: ImageStore, tmp_path: Path) -> None:
    image_id = add(store, tmp_path, archive())
    tick()
    os.utime(store.blob(image_id))
    assert not store.has(image_id)
    assert store.heal(image_id) and store.has(image_id)


def test_a_blob_that_was_changed_is_not_believed(store: ImageStore, tmp_path: Path) -> None:
    image_id = add(store, tmp_path, archive())
    tick()
    store.blob(image_id).chmod(0o644)
    with open(store.blob(image_id), "r+b") as file:
        file.write(b"!")
    assert not store.has(image_id) and not store.heal(image_id)
    assert add(store, tmp_path, archive()) == image_id
    assert store.has(image_id) and store.rehash(image_id)


@pytest.mark.contract("M 36")
def test_a_prefix_finds_the_one_image(store: ImageStore, tmp_path: Path) -> None:
    image_id = add(store, tmp_path, archive())
    assert store.resolve(image_id[:15]) == image_id == store.resolve(image_id)
    for digits, reason in (("0123", "bad-id"), ("g" * 8, "bad-id"), ("0" * 8, "not-stored")):
        with pytest.raises(ImageError) as caught:
            store.resolve(f"sha512-{digits}")
        assert caught.value.reason == reason


@pytest.mark.contract("M 42")
def test_by_name_the_newest_import_that_has_the_labels_is_found(store: ImageStore, tmp_path: Path) -> None:
    old = add(store, tmp_path, archive(manifest(version="1"), b"1"))
    new = add(store, tmp_path, archive(manifest(version="2"), b"2"))
    os.utime(store.data.images.names / "example.com%2Fa" / old, ns=(1, 1))
    assert store.find("example.com/a", {}) == new
    assert store.find("example.com/a", {"version": "1"}) == old
    assert store.find("example.com/a", {"version": "3"}) is None
    assert store.find("example.com/b", {}) is None


@pytest.mark.contract("M 41")
def test_by_name_an_image_for_another_machine_is_not_found_unless_asked_for(store: ImageStore, tmp_path: Path) -> None:
    image_id = add(store, tmp_path, archive(manifest(arch="ppc64le")))
    assert store.find("example.com/a", {}) is None
    assert store.find("example.com/a", {"arch": "ppc64le"}) == image_id


def test_a_removed_image_is_gone_and_can_come_back(store: ImageStore, tmp_path: Path) -> None:
    image_id = add(store, tmp_path, archive())
    size = len(archive()) + store.data.images.inventory(image_id).stat().st_size
    assert store.remove(image_id) == size
    assert not store.has(image_id) and store.ids() == [] and store.find("example.com/a", {}) is None
    assert add(store, tmp_path, archive()) == image_id and store.has(image_id)


def test_a_file_is_read_again_only_when_it_moved(store: ImageStore, tmp_path: Path) -> None:
    sources, path = Sources(store.data, store), tmp_path / "web.aci"
    path.write_bytes(archive())
    assert not sources.verdict(path).fresh
    image_id = sources.bring(path, "web.aci", adding(store))
    assert sources.verdict(path).fresh and sources.image_id(path) == image_id
    os.utime(path)
    assert [reason.what for reason in sources.verdict(path).reasons][-1] == "web.aci.mtime"
    assert sources.bring(path, "web.aci", adding(store)) == image_id
    path.write_bytes(archive(content=b"other"))
    assert sources.bring(path, "web.aci", adding(store)) != image_id
    store.remove(image_id)
    assert sources.verdict(path).fresh


def test_a_file_that_is_not_there_is_named_with_those_that_are(store: ImageStore, tmp_path: Path) -> None:
    (tmp_path / "web.aci").write_bytes(archive())
    with pytest.raises(ImageError) as caught:
        Sources(store.data, store).bring(tmp_path / "wbe.aci", "wbe.aci", adding(store))
    assert caught.value.reason == "no-file" and "web.aci" in caught.value.hint


@pytest.mark.parametrize("kind", ["directory", "fifo", "device", "link", "loop"])
def test_what_took_the_place_of_a_file_is_refused_without_waiting(store: ImageStore, tmp_path: Path, kind: str) -> None:
    path = tmp_path / "box.aci"
    {
        "directory": path.mkdir,
        "fifo": lambda: os.mkfifo(path),
        "device": lambda: path.symlink_to("/dev/zero"),
        "link": lambda: path.symlink_to(tmp_path),
        "loop": lambda: path.symlink_to(path),
    }[kind]()
    with pytest.raises(ImageError) as refused:
        Sources(store.data, store).bring(
            path, "images/box.aci", lambda file: store.add(file, "images/box.aci", Silent())
        )
    assert refused.value.sentence.startswith("images/box.aci: "), refused.value


def test_a_file_that_is_written_all_the_time_is_not_waited_for_for_ever(
    store: ImageStore, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "box.aci"
    path.write_bytes(b"")
    monkeypatch.setattr("stages.images.sources._PATIENCE", 0.1)
    # Every look finds a file that was changed just now.
    monkeypatch.setattr("stages.images.sources.time.time_ns", lambda: path.stat().st_ctime_ns + 1)
    with pytest.raises(ImageError, match="is being written"):
        Sources(store.data, store).bring(
            path, "images/box.aci", lambda file: store.add(file, "images/box.aci", Silent())
        )


def test_a_lost_index_of_names_is_made_again_from_the_manifests(store: ImageStore, tmp_path: Path) -> None:
    old = add(store, tmp_path, archive(manifest(version="1")))
    new = add(store, tmp_path, archive(manifest(version="2")))
    other = add(store, tmp_path, archive(manifest("example.com/b")))
    os.utime(store.data.images.manifest(old), ns=(5, 5))
    shutil.rmtree(store.data.images.names)
    store.data.images.manifest(other).write_bytes(b"{")
    assert store.find("example.com/a", {"version": "1"}) == old
    assert store.find("example.com/a", {}) == new
    assert store.names.under("example.com/a") == [new, old]


def test_an_image_that_goes_meanwhile_hides_no_other_of_its_name(store: ImageStore, tmp_path: Path) -> None:
    image_id = add(store, tmp_path, archive())
    # Listed, and gone when it is looked at.
    (store.data.images.names / "example.com%2Fa" / f"sha512-{'0' * 128}").symlink_to("gone")
    assert store.names.under("example.com/a") == [image_id] and store.find("example.com/a", {}) == image_id


def test_an_import_of_an_unmoved_file_enters_its_lost_name(store: ImageStore, tmp_path: Path) -> None:
    sources, path = Sources(store.data, store), tmp_path / "web.aci"
    path.write_bytes(archive())
    image_id = sources.bring(path, "web.aci", adding(store))
    shutil.rmtree(store.data.images.names)
    assert sources.bring(path, "web.aci", adding(store)) == image_id
    assert store.names.under("example.com/a") == [image_id]


NUMBERS = b'{"image": 7, "identity": {}, "sources": 7, "stamps": {}}'
DAMAGED = [b"", b"{", b"7", b"[7]", b"[" * 100_000, b"{}", NUMBERS, b"\xff"]


@pytest.mark.parametrize("text", DAMAGED)
def test_what_is_remembered_of_files_and_programs_may_be_damaged(
    store: ImageStore, tmp_path: Path, text: bytes
) -> None:
    path = tmp_path / "web.aci"
    path.write_bytes(archive())
    files, flavors = Sources(store.data, store), Flavors(store.data, store)
    images = files.bring(path, "web.aci", adding(store)), flavors.bring("stub", Silent())
    for note in store.data.images.sources.iterdir():
        note.write_bytes(text)
    assert not files.verdict(path).fresh and not flavors.verdict("stub").fresh
    assert (files.bring(path, "web.aci", adding(store)), flavors.bring("stub", Silent())) == images
    assert files.verdict(path).fresh and flavors.verdict("stub").fresh


@pytest.mark.parametrize("text", DAMAGED)
def test_a_damaged_manifest_is_told_with_what_helps(store: ImageStore, tmp_path: Path, text: bytes) -> None:
    image_id = add(store, tmp_path, archive())
    store.data.images.manifest(image_id).write_bytes(text)
    with pytest.raises(ImageError, match="cannot be read") as caught:
        store.manifest(image_id)
    assert "doit images rm" in caught.value.hint
