"""Which images this host runs, by their labels os and arch."""

from __future__ import annotations

import pytest

from stages.base.errors import ImageError
from stages.images import manifest
from stages.images.manifest import ImageManifest
from stages.linux import host

HERE = {"os": host.OS, "arch": host.arch()}
ELSEWHERE = next(arch for arch in host.ARCHITECTURES if arch not in host.runnable())


def image(**labels: str) -> ImageManifest:
    listed = [{"name": name, "value": value} for name, value in labels.items()]
    return manifest.of({"name": "example.com/web", "labels": listed})


@pytest.mark.parametrize(
    ("labels", "reason", "says"),
    [
        ({"arch": host.arch()}, "missing-os", "missing os label in the image manifest"),
        ({"os": host.OS}, "missing-arch", "missing arch label in the image manifest"),
        ({**HERE, "os": "freebsd"}, "bad-os", 'bad os "freebsd"'),
        ({**HERE, "arch": "vax"}, "bad-arch", 'bad arch "vax" for linux'),
        ({**HERE, "arch": ELSEWHERE}, "foreign-arch", ELSEWHERE),
    ],
)
@pytest.mark.contract("L.1 rkt_os_arch", "A.11 prepareAppImage")
def test_the_labels_os_and_arch_must_be_there_and_fit(labels: dict[str, str], reason: str, says: str) -> None:
    with pytest.raises(ImageError) as refused:
        manifest.check_platform(image(**labels), "image of web")
    assert refused.value.reason == reason and says in refused.value.sentence


def test_an_image_for_this_host_passes() -> None:
    manifest.check_platform(image(**HERE), "image of web")


@pytest.mark.contract("A.13 prepareStage1Image")
def test_stage1_s_image_need_not_say_what_it_is_for_but_must_not_say_something_else() -> None:
    for labels in ({}, HERE, {"os": host.OS}, {"arch": host.arch()}):
        manifest.check_platform(image(**labels), "image of stage1", said=False)
    for labels in ({"os": "freebsd"}, {"arch": ELSEWHERE}, {"arch": "vax"}):
        with pytest.raises(ImageError):
            manifest.check_platform(image(**labels), "image of stage1", said=False)


GOOD = b'{"acKind": "ImageManifest", "acVersion": "0.8.11", "name": "example.com/web"}'


@pytest.mark.parametrize(
    "data",
    [
        b"\xef\xbb\xbf" + GOOD,
        GOOD.decode().encode("utf-16"),
        GOOD[:-1] + b', "x": NaN}',
        GOOD[:-1] + b', "x": "\xff"}',
        GOOD[:-1] + b', "annotations": [{"name": "x", "value": "\\ud800"}]}',
    ],
    ids=["byte order mark", "utf-16", "no number", "no character", "half a character"],
)
def test_what_only_python_takes_for_json_is_refused(data: bytes) -> None:
    # It would be stage1 that finds out, which may be anybody's.
    assert manifest.parse(GOOD, "web.aci").name == "example.com/web"
    with pytest.raises(ImageError) as refused:
        manifest.parse(data, "web.aci")
    assert refused.value.sentence.startswith("web.aci: the manifest is not JSON: ")
