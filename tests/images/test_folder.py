"""A root file system directory of this host as an image: `dir:DIR`, with or without a manifest beside it."""

from __future__ import annotations

import json
import os
import socket
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from stages.base.errors import HostError, ImageError
from stages.base.paths import DataDir
from stages.base.progress import Silent
from stages.images import blobs, intake
from stages.images.ask import Ask
from stages.images.entry import Kind
from stages.images.finder import Finder
from stages.images.store import ImageStore
from stages.linux import host
from tests.clock import tick

MANIFEST = {"acKind": "ImageManifest", "acVersion": "0.8.11", "name": "example.com/it"}
APP = {"exec": ["/bin/it"], "user": "0", "group": "0"}


@pytest.fixture
def root(tmp_path: Path) -> Path:
    made = tmp_path / "it"
    (made / "bin").mkdir(parents=True)
    (made / "bin/it").write_bytes(b"program\n")
    (made / "bin/it").chmod(0o755)
    os.link(made / "bin/it", made / "bin/too")
    (made / "sbin").symlink_to("bin")
    os.mkfifo(made / "pipe")
    Path(os.fsdecode(os.fsencode(made) + b"/odd\xff\n")).write_bytes(b"")
    os.utime(made / "bin/it", ns=(0, 123_456_789))
    return made


@pytest.fixture
def finder(tmp_path: Path) -> Finder:
    data = DataDir(tmp_path / "data")
    return Finder(data, ImageStore(data), tmp_path)


def bring(finder: Finder, text: str = "dir:it") -> str:
    return finder.bring(Ask(text), Silent())


def test_its_files_are_the_image_s(finder: Finder, root: Path) -> None:
    image_id = bring(finder)
    (layer,) = finder.store.layers(image_id)
    found = {entry.name: entry for entry in layer.entries}
    assert found.keys() == {b"", b"bin", b"bin/it", b"bin/too", b"sbin", b"pipe", b"odd\xff\n"}
    assert (found[b"bin/it"].mode, found[b"bin/it"].mtime_ns, found[b"bin/it"].size) == (0o755, 123_456_789, 8)
    assert (found[b"bin/too"].kind, found[b"bin/too"].target) == (Kind.HARDLINK, b"bin/it")
    assert (found[b"sbin"].target, found[b"pipe"].kind) == (b"bin", Kind.FIFO)
    manifest = finder.store.manifest(image_id)
    assert (manifest.name, manifest.label("os"), manifest.label("arch")) == ("it", host.OS, host.arch())
    assert manifest.app is None


@pytest.mark.parametrize(
    ("text", "beside"), [("dir:it", "it.manifest"), ("dir:it/", "it.manifest"), ("dir:./a/rootfs", "a/manifest")]
)
def test_a_manifest_lies_beside_it(finder: Finder, root: Path, tmp_path: Path, text: str, beside: str) -> None:
    (tmp_path / "a").mkdir()
    if "rootfs" in text:  # as an appc image unpacks
        root.rename(tmp_path / "a/rootfs")
    (tmp_path / beside).write_text(json.dumps({**MANIFEST, "app": APP}))
    first = bring(finder, text)
    assert finder.store.manifest(first).name == "example.com/it" and finder.store.manifest(first).app == APP
    assert finder.verdict(Ask(text)).fresh
    tick()
    (tmp_path / beside).write_text(json.dumps({**MANIFEST, "name": "example.com/other"}))
    assert not finder.verdict(Ask(text)).fresh
    assert finder.store.manifest(bring(finder, text)).name == "example.com/other"


def test_it_is_called_after_its_folder_when_it_is_a_rootfs(finder: Finder, root: Path, tmp_path: Path) -> None:
    (tmp_path / "My App").mkdir()
    root.rename(tmp_path / "My App/rootfs")
    assert finder.store.manifest(bring(finder, "dir:My App/rootfs")).name == "my_app"


def touch(root: Path) -> None:
    os.utime(root / "bin/it", ns=(0, 123_456_789))  # the time that it had


def rewrite(root: Path) -> None:
    (root / "bin/it").write_bytes(b"PROGRAM\n")
    touch(root)


CHANGES: dict[str, tuple[Callable[[Path], Any], bool]] = {
    "nothing but a new ctime": (touch, False),
    "content under the old times": (rewrite, True),
    "a mode": (lambda root: (root / "bin/it").chmod(0o700), True),
    "a new file": (lambda root: (root / "bin/new").write_bytes(b""), True),
    "one file less": (lambda root: (root / "pipe").unlink(), True),
    "a link to a directory": (lambda root: [(root / "sbin").unlink(), (root / "sbin").symlink_to("/bin")], True),
    "an attribute": (lambda root: os.setxattr(root / "bin", "user.a", b"b"), True),
    "the root's mode": (lambda root: root.chmod(0o711), True),
}


@pytest.mark.parametrize("name", CHANGES)
def test_what_changes_in_it_is_noticed(finder: Finder, root: Path, name: str) -> None:
    change, another = CHANGES[name]
    first = bring(finder)
    assert finder.verdict(Ask("dir:it")).fresh and bring(finder) == first
    tick()
    change(root)
    assert not finder.verdict(Ask("dir:it")).fresh
    assert (bring(finder) != first) is another and finder.verdict(Ask("dir:it")).fresh


def test_it_is_read_when_any_later_change_must_move_its_times(
    finder: Finder, root: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    changed = []

    def change(seconds: float) -> None:
        """While it is waited for that the clock goes on."""
        if not changed:
            changed.append(seconds)
            rewrite(root)

    monkeypatch.setattr("stages.images.sources.time.sleep", change)
    image_id = bring(finder)
    assert changed and finder.verdict(Ask("dir:it")).fresh
    touch(root)
    assert bring(finder) == image_id


def test_one_that_is_written_all_the_time_is_not_waited_for_for_ever(
    finder: Finder, root: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    file = root / "bin/it"
    monkeypatch.setattr("stages.images.sources._PATIENCE", 0.1)
    monkeypatch.setattr("stages.images.sources.time.sleep", lambda _: os.truncate(file, file.stat().st_size + 1))
    with pytest.raises(ImageError, match="is being written"):
        bring(finder)


def test_a_copy_elsewhere_is_the_same_image(finder: Finder, root: Path, tmp_path: Path) -> None:
    first = bring(finder)
    (tmp_path / "elsewhere").mkdir()
    root.rename(tmp_path / "elsewhere/it")
    assert bring(finder, "dir:elsewhere/it") == first


def to_file(root: Path) -> None:
    root.rename(root.with_name("gone"))
    root.write_bytes(b"")


def to_socket(root: Path) -> None:
    with socket.socket(socket.AF_UNIX) as made:
        made.bind(str(root / "socket"))


BAD: dict[str, tuple[Callable[[Path], Any], str]] = {
    "missing": (lambda root: root.rename(root.with_name("gone")), "no-file"),
    "a file": (to_file, "no-file"),
    "a socket in it": (to_socket, "type"),
    "a process file system on it": (lambda root: (root / "proc/self").mkdir(parents=True), "mounted"),
    "a manifest that is no JSON": (lambda root: root.with_name("it.manifest").write_text("{"), "manifest"),
    "a manifest that is a list": (lambda root: root.with_name("it.manifest").write_text("[1]"), "manifest"),
    "a manifest that is deep": (lambda root: root.with_name("it.manifest").write_text("[" * 99_999), "manifest"),
    "a manifest of something else": (lambda root: root.with_name("it.manifest").write_text("{}"), "manifest"),
    "a manifest that is a directory": (lambda root: root.with_name("it.manifest").mkdir(), "manifest"),
    "half a character": (
        lambda root: root.with_name("it.manifest").write_text(json.dumps({**MANIFEST, "name": "\ud800"})),
        "manifest",
    ),
}


@pytest.mark.parametrize("name", BAD)
def test_what_is_no_image_is_a_sentence_and_an_unchanged_store(finder: Finder, root: Path, name: str) -> None:
    change, reason = BAD[name]
    change(root)
    with pytest.raises(ImageError) as caught:
        bring(finder)
    assert caught.value.reason == reason and "dir:it" in caught.value.sentence, caught.value
    assert finder.store.ids() == [] and finder.store.blobs.ids() == []
    assert not finder.data.images.incoming.exists() or os.listdir(finder.data.images.incoming) == []


def test_the_disk_is_not_filled(root: Path, finder: Finder, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(intake, "_too_full", lambda room, size: size > 0)
    monkeypatch.setattr(blobs, "receive", None)  # it is refused before that
    with pytest.raises(HostError, match="no space left while importing dir:it"):
        bring(finder)
    assert finder.store.ids() == [] and finder.store.blobs.ids() == []
