"""OCI images from layouts and archives: what is stored, what is shared, and that bad ones leave the store as it was."""

from __future__ import annotations

import gzip
import io
import json
import struct
import tarfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from stages.base.errors import ImageError
from stages.base.paths import DataDir
from stages.base.progress import Silent
from stages.images import build, oci
from stages.images.ask import Ask
from stages.images.finder import Finder
from stages.images.store import ImageStore
from tests.clock import tick
from tests.images import oci_maker
from tests.images.oci_maker import Image, descriptor, digest, layer, write_index, write_layout

BASE = layer(
    [build.directory("etc"), build.regular("etc/passwd", b"web:x:1000:1001::/:\n"), build.regular("etc/a", b"1")]
)
TOP = layer([build.regular("etc/.wh.a", b""), build.regular("etc/b", b"2")])


@pytest.fixture
def finder(tmp_path: Path) -> Finder:
    data = DataDir(tmp_path / "data")
    return Finder(data, ImageStore(data), tmp_path)


def bring(finder: Finder, text: str, platform: str = "") -> str:
    return finder.bring(Ask(text, platform=platform), Silent())


def blobs(finder: Finder) -> set[str]:
    return set(finder.store.blobs.ids())


def id_of(image: Image) -> str:
    return digest(image.manifest()).replace(":", "-")


@pytest.mark.parametrize("kind", ["plain", "gzip", "zstd"])
def test_an_image_is_kept_by_manifest_and_its_layers_by_diff_id(finder: Finder, tmp_path: Path, kind: str) -> None:
    image = Image([BASE, TOP], kind, process={"Entrypoint": ["/x"]})
    write_layout(tmp_path / "it", {"1.0": image})
    image_id = bring(finder, "oci:it:1.0")
    store = finder.store
    assert image_id == id_of(image)
    assert blobs(finder) == {digest(one).replace(":", "-") for one in (BASE, TOP)}
    assert store.blobs.path(store.blob_ids(image_id)[0]).read_bytes() == TOP
    assert store.has(image_id) and store.rehash(image_id)
    assert store.ids() == [image_id] and store.size(image_id) == len(BASE) + len(TOP)
    manifest = store.manifest(image_id)
    assert (manifest.name, manifest.label("version"), manifest.app and manifest.app["exec"]) == ("it", "1.0", ["/x"])
    assert store.find("it", {"version": "1.0"}) == image_id
    strongest, weakest = store.layers(image_id)
    assert strongest.whiteouts == {b"etc/a"} and strongest.changes
    assert [one.name for one in weakest.entries] == [b"etc", b"etc/a", b"etc/passwd"]


SKIPPED = struct.pack("<II", 0x184D2A50, 5) + b"table"  # a zstd frame that is no data: zstd:chunked has one at the end


@pytest.mark.parametrize(
    ("kind", "packed"),
    [
        ("gzip", lambda pack, data: pack(data[:700]) + pack(data[700:])),
        ("zstd", lambda pack, data: pack(data[:700]) + pack(data[700:])),
        ("zstd", lambda pack, data: pack(data[:700]) + SKIPPED + pack(data[700:]) + SKIPPED),
    ],
    ids=["gzip members", "zstd frames", "zstd:chunked"],
)
def test_a_layer_may_be_packed_in_pieces(
    finder: Finder, tmp_path: Path, kind: str, packed: Callable[[Callable[[bytes], bytes], bytes], bytes]
) -> None:
    class Pieces(Image):
        def blobs(self) -> list[tuple[str, bytes]]:
            def pack(piece: bytes) -> bytes:
                return oci_maker.pack(piece, kind)[1]

            return [(oci_maker.pack(data, kind)[0], packed(pack, data)) for data in self.layers]

    write_layout(tmp_path / "it", {"x": Pieces([BASE, TOP])})
    assert finder.store.has(bring(finder, "oci:it"))
    assert blobs(finder) == {digest(one).replace(":", "-") for one in (BASE, TOP)}


def test_a_layer_that_is_stored_is_not_opened_again(finder: Finder, tmp_path: Path) -> None:
    write_layout(tmp_path / "one", {"x": Image([BASE])})
    bring(finder, "oci:one")
    second = Image([BASE, TOP])
    write_layout(tmp_path / "two", {"x": second})
    (tmp_path / "two/blobs" / digest(second.blobs()[0][1]).replace(":", "/")).unlink()
    assert finder.store.has(bring(finder, "oci:two"))
    assert len(blobs(finder)) == 2


def test_layers_go_with_the_last_image_that_has_them(finder: Finder, tmp_path: Path) -> None:
    write_layout(tmp_path / "it", {"one": Image([BASE]), "two": Image([BASE, TOP])})
    one, two = bring(finder, "oci:it:one"), bring(finder, "oci:it:two")
    noted = {path.name: path.stat().st_size for path in finder.data.images.inventories.iterdir()}
    assert finder.store.remove(two) == len(TOP) + noted[oci_maker.digest(TOP).replace(":", "-")]
    assert finder.store.has(one) and not finder.store.has(two)
    assert finder.store.remove(one) == len(BASE) + noted[oci_maker.digest(BASE).replace(":", "-")]
    assert blobs(finder) == set() and finder.store.ids() == []
    assert not list(finder.data.images.root.rglob("*.config"))


def test_an_archive_and_a_packed_one_are_the_same_image(finder: Finder, tmp_path: Path) -> None:
    folder = write_layout(tmp_path / "it", {"x": Image([BASE, TOP])})
    path = oci_maker.archive(folder, tmp_path / "it.tar")
    (tmp_path / "it.tar.gz").write_bytes(gzip.compress(path.read_bytes()))
    assert bring(finder, "oci:it") == bring(finder, "oci-archive:it.tar") == bring(finder, "oci-archive:it.tar.gz:x")


def test_docker_s_archive_has_its_layers_under_the_same_names(finder: Finder, tmp_path: Path) -> None:
    image = Image([BASE, TOP, BASE], process={"Cmd": ["/y"]})
    oci_maker.docker_archive(tmp_path / "d.tar", image, "localhost/team/app:2", "docker.io/library/app:latest")
    image_id = bring(finder, "docker-archive:d.tar")
    assert finder.store.rehash(image_id)
    assert bring(finder, "docker-archive:d.tar:app") == image_id
    assert bring(finder, "docker-archive:d.tar:localhost/team/app:2") == image_id
    assert finder.store.manifest(image_id).name == "localhost/team/app"
    assert len(finder.store.blob_ids(image_id)) == 3
    assert finder.store.find("localhost/team/app", {"version": "2"}) == image_id


def test_of_several_images_in_docker_s_archive_one_is_named(finder: Finder, tmp_path: Path) -> None:
    one, two, bare = Image([BASE]), Image([BASE, TOP]), Image([TOP])
    images = [(one, ["localhost/team/app:1"]), (two, ["localhost/team/app:2", "docker.io/library/box:latest"])]
    oci_maker.docker_archives(tmp_path / "d.tar", *images, (bare, []))
    layers = {name: bring(finder, f"docker-archive:d.tar:{name}") for name in ("localhost/team/app:1", "box")}
    assert finder.store.blob_ids(layers["localhost/team/app:1"]) == (digest(BASE).replace(":", "-"),)
    assert len(finder.store.blob_ids(layers["box"])) == 2
    assert bring(finder, "docker-archive:d.tar:localhost/team/app:2") == layers["box"]
    for text in ("docker-archive:d.tar", "docker-archive:d.tar:localhost/team/app:3"):
        with pytest.raises(ImageError) as caught:
            bring(finder, text)
        assert caught.value.reason == "no-tag" and "localhost/team/app:1" in caught.value.hint
        assert "docker.io/library/box:latest" in caught.value.hint and text in caught.value.sentence


def test_the_account_is_read_from_the_layers_as_they_lie_on_each_other(finder: Finder, tmp_path: Path) -> None:
    user = {"User": "web"}
    gone = layer([build.regular("etc/.wh.passwd", b"")])
    write_layout(tmp_path / "it", {"kept": Image([BASE, TOP], process=user), "gone": Image([BASE, gone], process=user)})
    groups = {}
    for tag in ("kept", "gone"):
        app = finder.store.manifest(bring(finder, f"oci:it:{tag}")).app
        assert app is not None
        groups[tag] = app["group"]
    assert groups == {"kept": "1001", "gone": "0"}


def test_the_platform_that_is_asked_for_is_taken(finder: Finder, tmp_path: Path) -> None:
    other = Image([TOP], platform={"os": "linux", "architecture": "s390x"})
    mine = Image([BASE])
    folder = write_layout(tmp_path / "it", {"a": mine, "b": other})
    listed = [descriptor(one.manifest(), platform=one.platform) for one in (other, mine)] + [
        descriptor(b"x", platform={"os": "unknown", "architecture": "unknown"})
    ]
    index = json.dumps({"schemaVersion": 2, "mediaType": oci.INDEX, "manifests": listed}).encode()
    oci_maker.put(folder, index)
    write_index(folder, {**descriptor(index, "many"), "mediaType": oci.INDEX})
    assert bring(finder, "oci:it:many", "linux/amd64") == id_of(mine)
    assert bring(finder, "oci:it:many", "linux/s390x") == id_of(other)
    with pytest.raises(ImageError) as caught:
        bring(finder, "oci:it:many", "linux/arm/v7")
    assert caught.value.reason == "no-platform" and "linux/s390x" in caught.value.hint


def test_an_image_without_an_index_is_for_the_platform_that_is_asked_for(finder: Finder, tmp_path: Path) -> None:
    image = Image([BASE], platform={"os": "linux", "architecture": "arm", "variant": "v6"})
    write_layout(tmp_path / "it", {"x": image})
    oci_maker.docker_archive(tmp_path / "d.tar", image)
    for text in ("oci:it", "docker-archive:d.tar"):
        for _ in range(2):  # the second time it is stored
            with pytest.raises(ImageError) as caught:
                bring(finder, text, "linux/386")
            assert caught.value.reason == "no-platform" and "linux/arm" in caught.value.sentence
        # A processor runs what was made for lesser ones of its kind.
        assert finder.store.has(bring(finder, text, "linux/arm/v7"))


def test_a_tag_is_needed_only_where_there_are_several_images(finder: Finder, tmp_path: Path) -> None:
    write_layout(tmp_path / "it", {"a": Image([BASE]), "b": Image([TOP])})
    oci_maker.archive(tmp_path / "it", tmp_path / "it.tar")
    for text in ("oci:it", "oci:it:c", "oci-archive:it.tar", "oci-archive:it.tar:c"):
        with pytest.raises(ImageError) as caught:
            bring(finder, text)
        assert caught.value.reason == "no-tag" and caught.value.hint == "add one of these: :a, :b"
        assert text in caught.value.sentence
    assert bring(finder, f"oci:it:{digest(Image([TOP]).manifest())}") == id_of(Image([TOP]))


def test_fresh_until_the_layout_s_index_moves(finder: Finder, tmp_path: Path) -> None:
    folder = write_layout(tmp_path / "it", {"x": Image([BASE])})
    ask = Ask("oci:it:x")
    assert not finder.verdict(ask).fresh
    first = bring(finder, "oci:it:x")
    assert finder.verdict(ask).fresh and finder.known(ask) == first
    tick()
    (folder / "index.json").write_bytes((folder / "index.json").read_bytes())
    assert not finder.verdict(ask).fresh
    assert bring(finder, "oci:it:x") == first and finder.verdict(ask).fresh
    write_layout(folder, {"x": Image([BASE, TOP])})
    assert not finder.verdict(ask).fresh and bring(finder, "oci:it:x") != first
    finder.store.remove(finder.known(ask) or "")
    assert not finder.verdict(ask).fresh


@pytest.mark.parametrize(
    "text", [b"", b"{", b"[]", b"[" * 100_000, b"null", b'{"image": 1}', b'{"image": "sha256-x"}', b"\xff"]
)
def test_a_damaged_note_of_what_a_layout_was_costs_a_look(finder: Finder, tmp_path: Path, text: bytes) -> None:
    write_layout(tmp_path / "it", {"x": Image([BASE])})
    image_id = bring(finder, "oci:it")
    (note,) = finder.data.images.sources.iterdir()
    note.write_bytes(text)
    assert not finder.verdict(Ask("oci:it")).fresh
    assert bring(finder, "oci:it") == image_id and finder.verdict(Ask("oci:it")).fresh


def test_a_damaged_layer_is_noticed_and_brought_again(finder: Finder, tmp_path: Path) -> None:
    write_layout(tmp_path / "it", {"x": Image([BASE, TOP])})
    image_id = bring(finder, "oci:it")
    blob = finder.store.blobs.path(finder.store.blob_ids(image_id)[0])
    blob.chmod(0o600)
    blob.write_bytes(b"damage")
    assert not finder.store.has(image_id) and not finder.store.heal(image_id)
    assert bring(finder, "oci:it") == image_id and finder.store.rehash(image_id)


def test_an_exported_image_imports_to_the_same_layers(finder: Finder, tmp_path: Path) -> None:
    write_layout(tmp_path / "it", {"x": Image([BASE, TOP])})
    image_id = bring(finder, "oci:it")
    with open(tmp_path / "out.tar", "wb") as out:
        finder.store.export(image_id, out)
    again = bring(finder, "oci-archive:out.tar")
    assert finder.store.blob_ids(again) == finder.store.blob_ids(image_id)
    assert finder.store.manifest(again).app == finder.store.manifest(image_id).app


def test_ids_are_found_by_their_beginning_and_by_what_a_pod_manifest_says(finder: Finder, tmp_path: Path) -> None:
    write_layout(tmp_path / "it", {"x": Image([BASE])})
    image_id = bring(finder, "oci:it")
    store = finder.store
    assert store.resolve(image_id[:15]) == store.resolve(image_id.replace("-", ":")) == image_id
    assert store.appc_id(image_id).startswith("sha512-") and store.resolve(store.appc_id(image_id)) == image_id
    assert finder.known(Ask(image_id[:20])) == image_id


def test_an_image_may_have_no_layers_an_empty_one_and_one_twice(finder: Finder, tmp_path: Path) -> None:
    images = {"none": Image([]), "empty": Image([oci_maker.EMPTY_LAYER]), "twice": Image([BASE, BASE])}
    write_layout(tmp_path / "it", images)
    for tag, image in images.items():
        assert bring(finder, f"oci:it:{tag}") == id_of(image)


# ---- what is wrong leaves the store as it was


def broken(change: Callable[[Path, Image], object]) -> Callable[[Path], str]:
    def make(tmp_path: Path) -> str:
        image = Image([BASE, TOP])
        change(write_layout(tmp_path / "bad", {"x": image}), image)
        return "oci:bad:x"

    return make


def swap_layer(folder: Path, image: Image, data: bytes, number: int = 1) -> None:
    """The bytes of a layer, under the digest that the manifest has."""
    oci_maker.put(folder, data, digest(image.blobs()[number][1]))


def reindex(folder: Path, manifest: bytes, **more: Any) -> None:
    oci_maker.put(folder, manifest)
    write_index(folder, {**descriptor(manifest, "x"), **more})


def with_layer(image: Image, **more: Any) -> bytes:
    document = json.loads(image.manifest())
    document["layers"][1] |= more
    return json.dumps(document).encode()


def named(name: str, kind: bytes = tarfile.REGTYPE, target: str = "") -> bytes:
    """A layer with one entry, by a writer that writes anything."""
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode="w") as archive:
        member = tarfile.TarInfo(name)
        member.type, member.linkname = kind, target
        archive.addfile(member)
    return out.getvalue()


def escaping() -> bytes:
    return named("../../escaped")


def other_diff_id(folder: Path, image: Image) -> None:
    lying = json.loads(image.config())
    lying["rootfs"]["diff_ids"][1] = digest(b"other")
    config = json.dumps(lying).encode()
    oci_maker.put(folder, config)
    parts = {"mediaType": oci.CONFIG, "digest": digest(config), "size": len(config)}
    reindex(folder, json.dumps({**json.loads(image.manifest()), "config": parts}).encode())


def circle(folder: Path, image: Image) -> None:
    """An index that lists itself under the digest it has been given."""
    name = "sha256:" + "c" * 64
    index = json.dumps({"schemaVersion": 2, "manifests": [{"mediaType": oci.INDEX, "digest": name, "size": 400}]})
    data = index.encode().ljust(400)
    oci_maker.put(folder, data, name)
    write_index(folder, {"mediaType": oci.INDEX, "digest": name, "size": 400, "annotations": {oci.REF_NAME: "x"}})


def deep(folder: Path, image: Image) -> None:
    """Indexes in indexes, all of them true."""
    entry = descriptor(image.manifest())
    for _ in range(8):
        data = json.dumps({"schemaVersion": 2, "manifests": [entry]}).encode()
        oci_maker.put(folder, data)
        entry = {**descriptor(data), "mediaType": oci.INDEX}
    write_index(folder, {**entry, "annotations": {oci.REF_NAME: "x"}})


def with_config(data: bytes) -> Callable[[Path, Image], object]:
    """The image with another configuration."""

    def change(folder: Path, image: Image) -> None:
        oci_maker.put(folder, data)
        parts = {"mediaType": oci.CONFIG, "digest": digest(data), "size": len(data)}
        reindex(folder, image.manifest(config=parts))

    return change


def with_process(**process: Any) -> Callable[[Path, Image], object]:
    return lambda folder, image: with_config(Image(image.layers, process=process).config())(folder, image)


def foreign(folder: Path, image: Image) -> None:
    """A layer that is only to be had from somewhere else, which nobody asks."""
    (folder / "blobs" / digest(image.blobs()[1][1]).replace(":", "/")).unlink()
    kind = "application/vnd.oci.image.layer.nondistributable.v1.tar+gzip"
    reindex(folder, with_layer(image, mediaType=kind, urls=["http://127.0.0.1:1/layer"]))


BAD: dict[str, tuple[Callable[[Path, Image], object], str]] = {
    "digest of a layer": (lambda f, i: swap_layer(f, i, b"\0" * len(i.blobs()[1][1])), "digest"),
    "size of a layer": (lambda f, i: swap_layer(f, i, i.blobs()[1][1] + b"x"), "size"),
    "missing layer": (lambda f, i: (f / "blobs" / digest(i.blobs()[1][1]).replace(":", "/")).unlink(), "missing-part"),
    "diff id": (other_diff_id, "diff-id"),
    "packing": (lambda f, i: reindex(f, with_layer(i, mediaType=oci.LAYER)), "media-type"),
    "media type of a layer": (lambda f, i: reindex(f, with_layer(i, mediaType="text/html")), "media-type"),
    "size of the manifest": (lambda f, i: write_index(f, {**descriptor(i.manifest(), "x"), "size": 1}), "size"),
    "digest of the manifest": (lambda f, i: oci_maker.put(f, i.manifest()[:-1] + b" ", digest(i.manifest())), "digest"),
    "index and manifest": (lambda f, i: reindex(f, i.manifest(manifests=[])), "ambiguous-manifest"),
    "an index that says manifest": (
        lambda f, i: reindex(f, json.dumps({"mediaType": oci.INDEX, "manifests": []}).encode()),
        "media-type",
    ),
    "circle": (circle, "digest"),
    "too deep": (deep, "limit"),
    "layout of another version": (lambda f, i: (f / "oci-layout").write_text('{"imageLayoutVersion": "2"}'), "layout"),
    "no layout": (lambda f, i: (f / "oci-layout").unlink(), "missing-part"),
    "environment that is no list": (with_process(Env={"A": "1"}), "config"),
    "a number for a user": (with_process(User=0), "config"),
    "a number for a signal": (with_process(StopSignal=9), "config"),
    "the root as a volume": (with_process(Volumes={"/": {}}), "config"),
    "the root as a volume, said longer": (with_process(Volumes={"/a/../": {}}), "config"),
    "a zero byte in a word": (with_process(Entrypoint=["/bin/sh\0"]), "config"),
    "half a character": (with_process(Env=["A=\ud800"]), "json"),
    "a number without end": (with_config(b'{"rootfs": ' + b"9" * 10_000 + b"}"), "json"),
    "a configuration without end": (with_config(b'{"rootfs": ' + b"[" * 200_000), "json"),
    "no layers, and two diff ids": (lambda f, i: reindex(f, i.manifest(layers=[])), "layer-count"),
    "foreign layer": (foreign, "missing-part"),
    "a directory for a configuration": (
        lambda f, i: [(path := f / "blobs" / digest(i.config()).replace(":", "/")).unlink(), path.mkdir()],
        "missing-part",
    ),
    "too many layers": (lambda f, i: reindex(f, i.manifest(layers=[descriptor(b"")] * 501)), "limit"),
}


@pytest.mark.parametrize("name", BAD)
def test_a_bad_image_is_one_sentence_and_an_unchanged_store(finder: Finder, tmp_path: Path, name: str) -> None:
    change, expected = BAD[name]
    text = broken(change)(tmp_path)
    with pytest.raises(ImageError) as caught:
        bring(finder, text)
    assert caught.value.reason == expected
    assert "\n" not in caught.value.sentence and text in caught.value.sentence
    assert blobs(finder) == set() and finder.store.ids() == []


@pytest.mark.parametrize(
    ("data", "expected"),
    [
        (escaping(), "escapes"),
        (layer([build.regular(".wh..", b"")]), "whiteout"),
        (layer([build.regular(".wh.", b"")]), "whiteout"),
        (named("a/" * 3000 + "x"), "name"),
        (named("a" * 300), "name"),
        (named("/etc/x"), "escapes"),
        (named("x", tarfile.LNKTYPE, "../../etc/passwd"), "escapes"),
        (b"no archive at all", "compression"),
        (b"", "compression"),
        (TOP[:700], "truncated"),
    ],
    ids=[
        "escaping",
        "whiteout of nothing",
        "whiteout of the root",
        "huge name",
        "long part of a name",
        "from the root",
        "hard link outwards",
        "no archive",
        "empty",
        "cut off",
    ],
)
def test_a_bad_layer_takes_the_good_ones_with_it(finder: Finder, tmp_path: Path, data: bytes, expected: str) -> None:
    write_layout(tmp_path / "bad", {"x": Image([BASE, data], "plain")})
    with pytest.raises(ImageError) as caught:
        bring(finder, "oci:bad")
    assert caught.value.reason == expected
    assert blobs(finder) == set() and finder.store.ids() == []


def test_a_bad_layer_does_not_take_one_that_another_image_has(finder: Finder, tmp_path: Path) -> None:
    write_layout(tmp_path / "good", {"x": Image([BASE])})
    kept = bring(finder, "oci:good")
    write_layout(tmp_path / "bad", {"x": Image([BASE, b"no archive"], "plain")})
    with pytest.raises(ImageError):
        bring(finder, "oci:bad")
    assert finder.store.has(kept)


@pytest.mark.parametrize(
    ("text", "expected"),
    [("oci:nowhere", "no-file"), ("oci-archive:nowhere.tar", "no-file"), ("docker-archive:nowhere.tar", "no-file")],
)
def test_nothing_there(finder: Finder, text: str, expected: str) -> None:
    with pytest.raises(ImageError) as caught:
        bring(finder, text)
    assert caught.value.reason == expected


def test_another_kind_of_archive_is_told_how_it_is_written(finder: Finder, tmp_path: Path) -> None:
    oci_maker.archive(write_layout(tmp_path / "it", {"x": Image([BASE])}), tmp_path / "oci.tar")
    oci_maker.docker_archive(tmp_path / "docker.tar", Image([BASE]), "a:1")
    (tmp_path / "root.tar").write_bytes(BASE)
    for text, hint in (
        ("docker-archive:oci.tar", "did you mean oci-archive:FILE?"),
        ("oci-archive:docker.tar", "did you mean docker-archive:FILE?"),
        ("docker-archive:root.tar", "dir:DIR"),
    ):
        with pytest.raises(ImageError) as caught:
            bring(finder, text)
        assert caught.value.hint.endswith(hint)


def truncate(store: ImageStore, image_id: str) -> None:
    store.data.images.oci_config(image_id).write_bytes(b'{"rootfs": {"diff')


def lead_out(store: ImageStore, image_id: str) -> None:
    store.data.images.oci_config(image_id).write_bytes(b'{"rootfs": {"diff_ids": ["sha256:../../../x"]}}')


def lose(store: ImageStore, image_id: str) -> None:
    store.data.images.oci_config(image_id).unlink()


@pytest.mark.parametrize("damage", [truncate, lead_out, lose])
def test_damaged_documents_are_no_image_and_keep_nobody_from_tidying_up(
    finder: Finder, tmp_path: Path, damage: Callable[[ImageStore, str], None]
) -> None:
    write_layout(tmp_path / "one", {"x": Image([BASE, TOP])})
    write_layout(tmp_path / "two", {"x": Image([BASE])})
    first, second = bring(finder, "oci:one"), bring(finder, "oci:two")
    store, all_of_them = finder.store, blobs(finder)
    damage(store, first)
    assert not store.has(first) and not store.heal(first) and not store.rehash(first) and store.size(first) == 0
    # Whose the layers are is not known any more, so none goes; with the image they are nobody's.
    assert store.unused() == [] and store.drop_unused() == 0
    store.remove(second)
    assert blobs(finder) == all_of_them
    assert bring(finder, "oci:one") == first and store.has(first)
    damage(store, first)
    store.remove(first)
    assert store.ids() == []
    store.drop_unused()
    assert blobs(finder) == set()
