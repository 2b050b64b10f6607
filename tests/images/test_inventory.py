"""What is kept of an archive's headers is what they say, and counts only as long as nothing in it moved."""

from __future__ import annotations

import hashlib
import io
import tempfile
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from stages.base.errors import ImageError
from stages.base.paths import DataDir
from stages.base.progress import Silent
from stages.images import aci, build, inventory, layer
from stages.images.entry import Entry, Kind
from stages.images.inventory import Inventory
from stages.images.store import ImageStore
from stages.images.tar import read_entries
from tests.images.test_tar_generated import members

MEMBERS = [
    build.directory("d", uid=3_000_000_000, mtime_ns=-1),
    build.regular("d/f", b"f" * 700, xattrs=((b"user.a", b"\0"),)),
    build.Member(Entry(b"d/h", Kind.HARDLINK, target=b"d/f")),
    build.symlink("l", "d"),
    *(build.regular(f"many-{number}", b"") for number in range(3000)),
]


@pytest.fixture
def store(tmp_path: Path) -> ImageStore:
    return in_folder(tmp_path / "data")


def in_folder(folder: Path) -> ImageStore:
    data = DataDir(folder)
    data.image_locks.mkdir(parents=True)
    return ImageStore(data)


def imported(store: ImageStore, found: list[build.Member]) -> str:
    packed = io.BytesIO()
    build.write_archive(packed, {"acKind": "ImageManifest", "acVersion": "0.8.11", "name": "example.com/x"}, found)
    with tempfile.TemporaryFile() as file:
        file.write(packed.getvalue())
        file.seek(0)
        return store.add(file, "x.aci", Silent())


def kept_layer(store: ImageStore, found: list[build.Member]) -> str:
    out = io.BytesIO()
    build.write_tar(out, found)
    blob_id = "sha256-" + hashlib.sha256(out.getvalue()).hexdigest()
    with store.blobs.spool("it") as spool:
        spool.write(out.getvalue())
        spool.flush()
        inventory.keep_layer(store.blobs, spool, inventory.read(spool.fileno(), blob_id), blob_id)
    return blob_id


def read(store: ImageStore, blob_id: str) -> Inventory:
    """As the headers say."""
    entries = read_entries(store.blobs.path(blob_id))
    if not inventory.is_layer(blob_id):
        return Inventory(aci.layout(entries).members)
    made = layer.changes(entries)
    return Inventory(made.members, made.whiteouts, made.opaque)


def spoil_headers(store: ImageStore, blob_id: str) -> None:
    """From now on nobody can read them."""
    blob = store.blobs.path(blob_id)
    blob.chmod(0o644)
    with open(blob, "r+b") as file:
        file.write(b"x" * 512)
    store.blobs.seal(blob_id)


def test_an_import_keeps_what_the_headers_said_and_nobody_reads_them_again(store: ImageStore) -> None:
    image_id = imported(store, MEMBERS)
    wanted = read(store, image_id)
    assert len(wanted.entries) == len(MEMBERS) + 1
    spoil_headers(store, image_id)
    assert inventory.stored(store.blobs, image_id) == wanted
    assert store.layers(image_id)[0].entries == wanted.entries
    store.data.images.inventory(image_id).unlink()
    with pytest.raises(ImageError, match="damaged header"):
        inventory.stored(store.blobs, image_id)


def test_whiteouts_are_kept_too(store: ImageStore) -> None:
    blob_id = kept_layer(store, [*MEMBERS, build.regular("d/.wh.gone", b""), build.regular("e/.wh..wh..opq", b"")])
    wanted = read(store, blob_id)
    assert (wanted.whiteouts, wanted.opaque) == ({b"d/gone"}, {b"e"})
    spoil_headers(store, blob_id)
    assert inventory.stored(store.blobs, blob_id) == wanted


@settings(max_examples=60)
@given(st.lists(members(), max_size=6, unique_by=lambda member: member.entry.name))
def test_whatever_an_archive_holds_comes_back(found: list[build.Member]) -> None:
    with tempfile.TemporaryDirectory() as folder:
        store = in_folder(Path(folder) / "data")
        try:
            blob_id = kept_layer(store, found)
        except ImageError:  # one of the names is below another that is no directory
            assert not store.data.images.inventories.exists()
            return
        assert store.data.images.inventory(blob_id).exists()
        assert inventory.stored(store.blobs, blob_id) == read(store, blob_id)


@pytest.mark.parametrize("at", [0, 31, 32, 63, 64, 70, 200, 5000, -1])
def test_a_damaged_one_is_made_again(store: ImageStore, at: int) -> None:
    image_id = imported(store, MEMBERS)
    path, wanted = store.data.images.inventory(image_id), read(store, image_id)
    whole = path.read_bytes()
    for damaged in (bytearray(whole), whole[:at], b"", whole + b"x"):
        if isinstance(damaged, bytearray):
            damaged[at] ^= 0x40
        path.write_bytes(damaged)
        assert inventory.stored(store.blobs, image_id) == wanted
        assert path.read_bytes() == whole


def test_one_of_other_code_is_made_again(store: ImageStore, monkeypatch: pytest.MonkeyPatch) -> None:
    image_id = imported(store, MEMBERS)
    path, wanted = store.data.images.inventory(image_id), read(store, image_id)
    own = path.read_bytes()
    inventory._code.cache_clear()
    monkeypatch.setattr(inventory, "_CODE", inventory._CODE[:-1])
    inventory.write(store.blobs, image_id, Inventory(()))
    assert inventory.stored(store.blobs, image_id) == Inventory(())
    monkeypatch.undo()
    inventory._code.cache_clear()
    assert inventory.stored(store.blobs, image_id) == wanted
    assert path.read_bytes() == own


def test_it_goes_with_the_blob(store: ImageStore) -> None:
    image_id = imported(store, MEMBERS)
    store.remove(image_id)
    assert list(store.data.images.inventories.iterdir()) == []


def test_where_none_can_be_written_headers_are_read(store: ImageStore) -> None:
    store.data.images.inventories.parent.mkdir(parents=True)
    store.data.images.inventories.write_text("no folder")
    image_id = imported(store, MEMBERS)
    assert inventory.stored(store.blobs, image_id) == read(store, image_id)


def test_all_code_that_reads_headers_is_its_key() -> None:
    """Whatever such a module imports of its own package reads them too, but for what only words errors or paths."""
    package = Path(inventory.__file__).parent
    keyed = set(inventory._CODE)
    assert all((package / f"{name}.py").exists() for name in keyed)
    used = {
        name
        for stem in keyed - {"inventory"}
        for line in (package / f"{stem}.py").read_text().splitlines()
        if line.startswith("from stages.images")
        for name in line.replace(",", " ").split()
        if (package / f"{name.rpartition('.')[2]}.py").exists()
    }
    assert {name.rpartition(".")[2] for name in used} <= keyed
