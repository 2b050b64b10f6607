"""Reading OCI's documents: what they say, and what is refused."""

from __future__ import annotations

import json
from typing import Any

import pytest

from stages.base.errors import ImageError
from stages.images import oci, platform
from stages.images.oci import Descriptor, Platform
from tests.images.oci_maker import Image, digest, layer

IMAGE = Image([layer([])])
DIGEST = "sha256:" + "0" * 64


def reason(work: Any, *words: Any) -> str:
    with pytest.raises(ImageError) as caught:
        work(*words)
    assert "\n" not in caught.value.sentence
    return caught.value.reason


def manifest(**changes: Any) -> bytes:
    return json.dumps({**json.loads(IMAGE.manifest()), **changes}).encode()


def test_a_manifest_and_its_configuration() -> None:
    read = oci.manifest(IMAGE.manifest(), "it")
    assert read.config.digest == digest(IMAGE.config())
    assert [one.size for one in read.layers] == [len(data) for _, data in IMAGE.blobs()]
    config = oci.config(IMAGE.config(), 1, "it")
    assert config.platform == Platform("linux", "amd64")
    assert config.diff_ids == (digest(IMAGE.layers[0]),)


@pytest.mark.parametrize("data", [b'{"a": "\xed\xa0\x80"}', '{"a": "\\ud800"}'.encode("utf-16"), b'{"a": NaN}'])
def test_what_only_python_takes_for_json_is_refused(data: bytes) -> None:
    assert reason(oci.document, data, "it") == "json"


def test_docker_s_manifests_are_read_too() -> None:
    document = json.loads(IMAGE.manifest())
    document["mediaType"] = "application/vnd.docker.distribution.manifest.v2+json"
    document["config"]["mediaType"] = "application/vnd.docker.container.image.v1+json"
    document["layers"][0]["mediaType"] = "application/vnd.docker.image.rootfs.diff.tar.gzip"
    data = json.dumps(document).encode()
    assert not oci.is_index(data, "", "it")
    assert len(oci.manifest(data, "it").layers) == 1


@pytest.mark.parametrize(
    ("data", "expected"),
    [
        (b"", "json"),
        (b"[]", "json"),
        (b"[" * 100_000, "json"),
        (b'{"a": 1, "a": 2}', "json"),
        (manifest(layers=None), "json"),
        (manifest(layers=[None]), "descriptor"),
        (manifest(layers=[{"mediaType": oci.LAYER, "digest": DIGEST}]), "size"),
        (manifest(layers=[{"mediaType": oci.LAYER, "digest": DIGEST, "size": -1}]), "size"),
        (manifest(layers=[{"mediaType": oci.LAYER, "digest": DIGEST, "size": 1 << 63}]), "size"),
        (manifest(layers=[{"mediaType": oci.LAYER, "digest": DIGEST, "size": True}]), "size"),
        (manifest(layers=[{"mediaType": oci.LAYER, "digest": DIGEST, "size": 1 << 63}]), "size"),
        (manifest(layers=[{"mediaType": oci.LAYER, "digest": "md5:0", "size": 1}]), "digest"),
        (manifest(layers=[{"mediaType": oci.LAYER, "digest": "sha256:../../etc/passwd", "size": 1}]), "digest"),
        (manifest(layers=[{"mediaType": "text/plain", "digest": DIGEST, "size": 1}]), "media-type"),
        (manifest(layers=[{"mediaType": 7, "digest": DIGEST, "size": 1}]), "json"),
        (manifest(layers=[{"mediaType": oci.LAYER, "digest": DIGEST, "size": 1}] * 501), "limit"),
        (
            manifest(config={"mediaType": "application/vnd.cncf.helm.config.v1+json", "digest": DIGEST, "size": 1}),
            "media-type",
        ),
        (b'{"a": "' + b"x" * oci.MAX_DOCUMENT + b'"}', "limit"),
    ],
)
def test_bad_manifests(data: bytes, expected: str) -> None:
    assert reason(oci.manifest, data, "it") == expected


@pytest.mark.parametrize(
    ("document", "said", "expected"),
    [
        ({"manifests": [], "layers": []}, "", "ambiguous-manifest"),
        ({"manifests": [], "config": {}}, oci.INDEX, "ambiguous-manifest"),
        ({"mediaType": oci.INDEX, "layers": [], "config": {}}, "", "media-type"),
        ({"mediaType": oci.MANIFEST, "layers": [], "config": {}}, oci.INDEX, "media-type"),
        ({"layers": [], "config": {}}, oci.INDEX, "media-type"),
        ({"schemaVersion": 1, "fsLayers": []}, "", "schema-1"),
        ({}, "", "media-type"),
        ({"mediaType": [oci.INDEX], "manifests": []}, "", "json"),
    ],
)
def test_a_document_is_one_thing(document: dict[str, Any], said: str, expected: str) -> None:
    assert reason(oci.is_index, json.dumps(document).encode(), said, "it") == expected


@pytest.mark.parametrize(
    ("document", "expected"),
    [
        ({}, "config"),
        ({"rootfs": {"type": "tree", "diff_ids": [DIGEST]}}, "config"),
        ({"rootfs": {"type": "layers", "diff_ids": []}}, "layer-count"),
        ({"rootfs": {"type": "layers", "diff_ids": [7]}}, "config"),
        ({"rootfs": {"type": "layers", "diff_ids": [DIGEST]}, "config": []}, "config"),
        ({"rootfs": {"type": "layers", "diff_ids": [DIGEST]}, "os": 1}, "json"),
    ],
)
def test_bad_configurations(document: dict[str, Any], expected: str) -> None:
    assert reason(oci.config, json.dumps(document).encode(), 1, "it") == expected


def test_bytes_are_what_their_descriptor_says() -> None:
    right = Descriptor(oci.MANIFEST, digest(b"abc"), 3)
    assert oci.check_bytes(b"abc", right, "it") == b"abc"
    assert reason(oci.check_bytes, b"abcd", right, "it") == "size"
    assert reason(oci.check_bytes, b"abd", right, "it") == "digest"


def entry(text: str, number: int = 0) -> Descriptor:
    return Descriptor(oci.MANIFEST, f"sha256:{number:064x}", 1, Platform(*text.split("/")))


@pytest.mark.parametrize(
    ("listed", "wanted", "expected"),
    [
        (["linux/arm64", "linux/amd64"], "linux/amd64", 1),
        (["linux/arm64/v8"], "linux/arm64", 0),
        (["linux/arm64/v9", "linux/arm64"], "linux/arm64/v8", 1),
        (["linux/arm64"], "linux/arm64/v9", 0),
        (["linux/amd64/v3", "linux/amd64"], "linux/amd64/v2", 1),
        (["linux/arm", "linux/arm/v6"], "linux/arm/v7", 1),
        (["linux/arm/v6", "linux/arm/v7"], "linux/arm/v7", 1),
        (["linux/arm/v5", "linux/arm/v6"], "linux/arm/v7", 1),
        (["linux/amd64/v3", "linux/amd64"], "linux/amd64", 1),
        (["windows/amd64", "linux/amd64"], "linux/amd64", 1),
    ],
)
def test_the_platform_is_picked(listed: list[str], wanted: str, expected: int) -> None:
    entries = [entry(text, number) for number, text in enumerate(listed)]
    assert platform.pick(entries, platform.parse(wanted), "it") is entries[expected]


@pytest.mark.parametrize("wanted", ["linux/s390x", "linux/arm/v5", "linux/arm64", "freebsd/amd64"])
def test_no_platform_fits(wanted: str) -> None:
    entries = [entry("linux/amd64"), entry("linux/arm/v7"), entry("linux/amd64/v3")]
    assert reason(platform.pick, entries, platform.parse(wanted), "it") == "no-platform"


def test_one_entry_without_a_platform_will_do_two_will_not() -> None:
    bare = Descriptor(oci.MANIFEST, DIGEST, 1)
    assert platform.pick([bare], Platform("linux", "amd64"), "it") is bare
    assert reason(platform.pick, [bare, bare], Platform("linux", "amd64"), "it") == "no-platform"


def test_entries_of_an_index_that_say_they_are_no_images_are_left_out() -> None:
    plain = {"mediaType": oci.MANIFEST, "digest": DIGEST, "size": 1}
    kinds = [None, oci.CONFIG, "application/vnd.in-toto+json", ["odd"]]
    listed = [plain, *({**plain, "artifactType": kind, "size": number} for number, kind in enumerate(kinds, 2))]
    found = oci.index(json.dumps({"schemaVersion": 2, "manifests": listed}).encode(), "it")
    assert [one.size for one in found] == [1, 2, 3]


def test_one_without_a_platform_will_do_where_none_fits() -> None:
    bare, wanted = Descriptor(oci.MANIFEST, DIGEST, 1), Platform("linux", "amd64")
    for other in ("unknown/unknown", "linux/arm64"):  # an attestation of the image, another image
        assert platform.pick([entry(other), bare], wanted, "it") is bare
    assert platform.pick([bare, one := entry("linux/amd64")], wanted, "it") is one


@pytest.mark.parametrize(
    ("name", "expected"),
    [("linux/arm64/v8", "aarch64"), ("linux/386", "i386"), ("linux/arm/v6", "armv6l"), ("linux/riscv64", "riscv64")],
)
def test_appc_names_architectures_in_its_own_way(name: str, expected: str) -> None:
    assert platform.appc_arch(platform.parse(name)) == expected
