"""The image-spec's own cases, written from its text: layer.md's changesets, config.md's and manifest.md's documents."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from stages.base.errors import ImageError
from stages.base.paths import DataDir
from stages.base.progress import Silent
from stages.images import build, oci
from stages.images.build import Member
from stages.images.entry import Entry, Kind
from stages.images.finder import Ask, Finder
from stages.images.oci import Platform
from stages.images.store import ImageStore
from stages.trees.merge import Layer, merge
from stages.trees.model import Node
from tests.images.oci_maker import Image, layer, write_layout

FILE, DIRECTORY, LINK = Kind.FILE, Kind.DIRECTORY, Kind.SYMLINK


def file(path: str, content: str = "", mode: int = 0o644) -> Member:
    return build.regular(path, content.encode(), mode)


def hard(path: str, target: str) -> Member:
    return Member(Entry(path.encode(), Kind.HARDLINK, target=target.encode()))


def tree(folder: Path, *layers: list[Member]) -> dict[str, Node]:
    """The paths of the image with these layers, weakest first."""
    write_layout(folder / "it", {"x": Image([layer(one) for one in layers])})
    data = DataDir(folder / "data")
    store = ImageStore(data)
    image_id = Finder(data, store, folder).bring(Ask("oci:it:x"), Silent())
    parts = [
        Layer(str(number), one.entries, changes=True, whiteouts=one.whiteouts, opaque=one.opaque)
        for number, one in enumerate(store.layers(image_id))
    ]
    found: dict[str, Node] = {}
    pending = [("", merge(parts).root)]
    while pending:
        path, node = pending.pop()
        for name, child in node.children.items():
            found[f"{path}{name.decode()}"] = child
            pending.append((f"{path}{name.decode()}/", child))
    return found


BASE = [
    build.directory("etc"),
    file("etc/my-app-config", "1"),
    build.directory("bin"),
    file("bin/my-app-binary", "binary"),
    file("bin/my-app-tools", "tools"),
]


def test_a_changeset_adds_and_deletes(tmp_path: Path) -> None:
    """layer.md, "Representing Changes": a configuration became a directory, and the tools were changed."""
    second = [
        build.directory("etc"),
        build.directory("etc/my-app.d"),
        file("etc/my-app.d/default.cfg", "default"),
        file("bin/my-app-tools", "new tools"),
        file("etc/.wh.my-app-config"),
    ]
    found = tree(tmp_path, BASE, second)
    expected = {"bin", "bin/my-app-binary", "bin/my-app-tools", "etc", "etc/my-app.d", "etc/my-app.d/default.cfg"}
    assert found.keys() == expected
    assert found["bin/my-app-tools"].size == len("new tools")


LOWER = [
    *(build.directory(path) for path in ("a", "a/b", "a/b/c")),
    file("a/b/c/bar"),
]


@pytest.mark.parametrize(
    "upper",
    [
        [*(build.directory(path) for path in ("a", "a/b", "a/b/c")), file("a/.wh..wh..opq"), file("a/b/c/foo")],
        [
            build.directory("a"),
            file("a/.wh.b"),
            *(build.directory(path) for path in ("a/b", "a/b/c")),
            file("a/b/c/foo"),
        ],
        [*(build.directory(path) for path in ("a", "a/b", "a/b/c")), file("a/b/c/foo"), file("a/.wh..wh..opq")],
    ],
    ids=["opaque", "explicit", "opaque, said last"],
)
def test_opaque_and_explicit_whiteouts_are_alike_in_any_order(tmp_path: Path, upper: list[Member]) -> None:
    """layer.md, "Opaque Whiteout": what lies beside the whiteout in its own layer stays, wherever it is listed."""
    assert tree(tmp_path, LOWER, upper).keys() == {"a", "a/b", "a/b/c", "a/b/c/foo"}


def test_a_whiteout_does_not_reach_its_own_layer(tmp_path: Path) -> None:
    """layer.md, "Whiteouts": they apply to lower layers only."""
    found = tree(tmp_path, [file("x", "old")], [file("x", "newer"), file(".wh.x")])
    assert found.keys() == {"x"} and found["x"].size == len("newer")


def test_a_whiteout_never_becomes_a_file_and_may_be_of_nothing_that_is_there(tmp_path: Path) -> None:
    assert tree(tmp_path, [file("a")], [file(".wh.b"), file("c/.wh..wh..opq")]).keys() == {"a", "c"}


@pytest.mark.parametrize(
    ("before", "after", "kind"),
    [
        ([file("x")], [build.directory("x"), file("x/y")], DIRECTORY),
        ([build.directory("x"), file("x/y")], [file("x", "1")], FILE),
        ([build.directory("x"), file("x/y")], [build.symlink("x", "z")], LINK),
        ([build.symlink("x", "z"), build.directory("z")], [build.directory("x")], DIRECTORY),
    ],
)
def test_an_entry_of_another_type_replaces(
    tmp_path: Path, before: list[Member], after: list[Member], kind: Kind
) -> None:
    """layer.md, "Changeset over existing files": unless both are directories, the old is removed with all in it."""
    found = tree(tmp_path, before, after)
    assert found["x"].kind is kind
    assert ("x/y" in found) == any(one.entry.name == b"x/y" for one in after)


def test_two_directories_become_one_with_the_new_attributes(tmp_path: Path) -> None:
    found = tree(
        tmp_path, [build.directory("x", 0o755), file("x/a")], [build.directory("x", 0o700, uid=7), file("x/b")]
    )
    assert found.keys() == {"x", "x/a", "x/b"} and (found["x"].mode & 0o7777, found["x"].uid) == (0o700, 7)


def test_hard_links_of_a_layer_share_their_file_and_one_into_a_lower_layer_finds_it(tmp_path: Path) -> None:
    """layer.md, "Hardlinks": the target may come from the same layer, or be there from one below."""
    found = tree(tmp_path, [file("a", "a"), hard("b", "a")], [hard("c", "b")])
    assert found["a"] is found["b"] is found["c"]


def test_a_link_s_content_outlives_the_name_that_held_it(tmp_path: Path) -> None:
    found = tree(tmp_path, [file("a", "a"), hard("b", "a")], [file(".wh.a")])
    assert found.keys() == {"b"} and found["b"].size == 1


def test_the_configuration_of_the_specification() -> None:
    """config.md, "Example": its fields, in our own values."""
    document = {
        "created": "2015-10-31T22:22:56.015925234Z",
        "author": "Someone <someone@example.com>",
        "architecture": "amd64",
        "os": "linux",
        "config": {
            "User": "alice",
            "ExposedPorts": {"8080/tcp": {}},
            "Env": ["PATH=/usr/bin:/bin", "FOO=oci_is_a"],
            "Entrypoint": ["/bin/my-app-binary"],
            "Cmd": ["--foreground"],
            "Volumes": {"/var/job-result-data": {}},
            "WorkingDir": "/home/alice",
            "Labels": {"com.example.project.git.commit": "45a939b2999782a3f005621a8d0f29aa387e1d6b"},
        },
        "rootfs": {"type": "layers", "diff_ids": ["sha256:" + "c" * 64, "sha256:" + "5" * 64]},
        "history": [{"created_by": "a tool"}, {"created_by": "a tool", "empty_layer": True}],
    }
    read = oci.config(json.dumps(document).encode(), 2, "it")
    assert read.platform == Platform("linux", "amd64") and len(read.diff_ids) == 2
    assert read.process["Entrypoint"] == ["/bin/my-app-binary"]


def test_the_index_of_the_specification_and_what_in_it_is_no_image() -> None:
    """image-index.md: descriptors of other media types are to be passed over, not refused."""
    listed = [
        {
            "mediaType": oci.MANIFEST,
            "size": 7143,
            "digest": "sha256:" + "e" * 64,
            "platform": {"architecture": "ppc64le", "os": "linux"},
        },
        {
            "mediaType": oci.MANIFEST,
            "size": 7682,
            "digest": "sha256:" + "5" * 64,
            "platform": {"architecture": "amd64", "os": "linux"},
        },
        {"mediaType": "application/xml", "size": 7143, "digest": "sha256:" + "b" * 64},
    ]
    data = json.dumps(
        {"schemaVersion": 2, "mediaType": oci.INDEX, "manifests": listed, "annotations": {"a": "b"}}
    ).encode()
    assert oci.is_index(data, "", "it")
    assert [one.size for one in oci.index(data, "it")] == [7143, 7682]


@pytest.mark.parametrize(
    ("members", "reason"),
    [
        ([file("a/.wh.")], "whiteout"),
        ([file("." * 2 + "/x")], "escapes"),
        ([file("a"), file("a/b")], "below-file"),
    ],
)
def test_layers_that_make_no_sense(tmp_path: Path, members: list[Member], reason: str) -> None:
    with pytest.raises(ImageError) as caught:
        tree(tmp_path, [], members)
    assert caught.value.reason == reason
    assert ImageStore(DataDir(tmp_path / "data")).blobs.ids() == []
