"""The full check of stored images: what is damaged is found, told, and trusted no more, whatever stamps say."""

from __future__ import annotations

import io
import os
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from stages.base.paths import DataDir
from stages.base.progress import Silent
from stages.images import build, verifying
from stages.images.store import ImageStore

MEBIBYTE = 1 << 20


class Counting(Silent):
    """Adds up what it is told; stop: raises as Ctrl-C in the middle would."""

    def __init__(self) -> None:
        self.done = 0

    def advance(self, done: int) -> None:
        self.done += done


@pytest.fixture
def store(tmp_path: Path) -> ImageStore:
    data = DataDir(tmp_path / "data")
    data.image_locks.mkdir(parents=True)
    return ImageStore(data)


@pytest.fixture
def images(store: ImageStore, tmp_path: Path) -> list[str]:
    """Three stored images of 3 MiB and more."""
    found = []
    for number in range(3):
        manifest = {"acKind": "ImageManifest", "acVersion": "0.8.11", "name": f"example.com/{number}"}
        data = bytes([number]) * (3 * MEBIBYTE + number)
        packed = io.BytesIO()
        build.write_archive(packed, manifest, [build.regular("file", data)])
        path = tmp_path / f"{number}.aci"
        path.write_bytes(packed.getvalue())
        with open(path, "rb") as file:
            found.append(store.add(file, path.name, Silent()))
    return found


@pytest.fixture(autouse=True)
def no_thread_is_left() -> Iterator[None]:
    before = set(threading.enumerate())  # some may be of tests before this one, and end
    yield
    assert set(threading.enumerate()) <= before


def test_whole_images_are_told_in_order_and_every_byte_is_counted(store: ImageStore, images: list[str]) -> None:
    progress = Counting()
    wanted = images[::-1]
    assert list(verifying.verify(store, wanted, progress).items()) == [(one, "") for one in wanted]
    assert progress.done == verifying.size(store, images) == sum(store.size(one) for one in images)


def test_a_byte_that_changed_under_its_stamp_is_found_and_the_blob_is_trusted_no_more(
    store: ImageStore, images: list[str]
) -> None:
    blob = store.blob(images[1])
    blob.chmod(0o644)
    with open(blob, "r+b") as file:
        file.seek(2 * MEBIBYTE)
        file.write(b"!")
    store.blobs.seal(images[1])  # a disk that forgets moves no stamp
    assert store.has(images[1])
    found = verifying.verify(store, images, Silent())
    assert [bool(found[one]) for one in images] == [False, True, False]
    assert "its bytes are others" in found[images[1]] and "imports it again" in found[images[1]]
    assert [store.has(one) for one in images] == [True, False, True]
    assert not store.heal(images[1])


def test_a_missing_blob_is_damage(store: ImageStore, images: list[str]) -> None:
    os.unlink(store.blob(images[0]))
    assert verifying.verify(store, images, Silent())[images[0]]


def test_an_error_ends_all_readers_and_takes_no_seal(store: ImageStore, images: list[str]) -> None:
    class Interrupted(Counting):
        def advance(self, done: int) -> None:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        verifying.verify(store, images, Interrupted())
    assert all(store.has(one) for one in images)


def test_an_image_that_is_removed_meanwhile_is_not_called_damaged(store: ImageStore, images: list[str]) -> None:
    class Removing(Silent):
        def advance(self, done: int) -> None:
            if images[2] in store.ids():
                store.remove(images[2])

    assert verifying.verify(store, images, Removing()) == {images[0]: "", images[1]: ""}
