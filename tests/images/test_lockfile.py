"""The lock file: what it says of an image, for which platform, and that nothing wrong in it is believed."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from stages.base.errors import ImageError
from stages.images import lockfile
from stages.images.lockfile import Lock, Locked
from stages.linux import host

ACI, OTHER, OCI = f"sha512:{'a' * 128}", f"sha512:{'b' * 128}", f"sha256:{'c' * 64}"
WEB = Locked("images/web.aci", "linux/amd64", ACI, 10, tree=(ACI, OTHER))
TAG = Locked("docker://host/app:1", "linux/amd64", OCI, 20, "F00D", f"sha256:{'d' * 64}")


@pytest.fixture(autouse=True)
def amd64(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(host, "arch", lambda: "amd64")


def document(**changes: Any) -> bytes:
    image = {"reference": "x", "platform": "", "digest": ACI, "size": 1, "signer": ""}
    image = {key: value for key, value in (image | changes).items() if value is not ...}
    return json.dumps({"lock": 1, "images": {"app": [image]}}).encode()


def test_it_says_of_every_image_what_it_is_and_reads_that_again() -> None:
    lock = Lock({"web": (WEB,), "app": (TAG,)})
    text = lockfile.text(lock)
    assert lockfile.parse(text, "x.lock") == lock and lockfile.text(lockfile.parse(text, "x.lock")) == text
    for image in (one for found in json.loads(text)["images"].values() for one in found):
        assert {"reference", "platform", "digest", "size", "signer"} <= image.keys()
    assert WEB.image_id == ACI.replace(":", "-") and WEB.image_ids == (WEB.image_id, OTHER.replace(":", "-"))
    assert TAG.image_ids == (TAG.image_id,)


def test_a_change_of_one_image_is_a_change_of_its_lines() -> None:
    many = {f"app{number}": (WEB,) for number in range(9)}
    one, other = lockfile.text(Lock(many)), lockfile.text(Lock({**many, "app4": (WEB._replace(size=11),)}))
    lines = list(zip(one.splitlines(), other.splitlines(), strict=True))
    assert [pair for pair in lines if pair[0] != pair[1]] == [(b'        "size": 10,', b'        "size": 11,')]
    backwards = Lock(dict(reversed(many.items())) | {"app0": (WEB, TAG)})
    forwards = Lock(many | {"app0": (TAG, WEB)})
    assert lockfile.text(backwards) == lockfile.text(forwards)


def test_a_reference_is_looked_up_for_this_host_or_for_the_platform_of_the_spec() -> None:
    arm = TAG._replace(platform="linux/arm64", digest=f"sha256:{'e' * 64}")
    small = TAG._replace(platform="linux/386", digest=f"sha256:{'f' * 64}")
    lock = Lock({"app": (arm, small, TAG), "arm": (arm,), "small": (small,), "any": (TAG._replace(platform=""),)})
    assert lock.find("app", TAG.reference, "") == TAG
    assert lock.find("app", TAG.reference, "linux/arm64/v8") == arm
    assert lock.find("small", TAG.reference, "") == small  # which an amd64 host runs as well
    assert lock.find("arm", TAG.reference, "") is None and lock.platforms("arm", TAG.reference) == "linux/arm64"
    assert lock.pinned("arm", TAG.reference) == TAG.index_digest and lock.pinned("arm", "other") == ""
    assert lock.find("any", TAG.reference, "") is not None
    assert lock.find("app", "other", "") is None and lock.find("nobody", TAG.reference, "") is None


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"{",
        b"[]",
        b"<<<<<<< HEAD\n{}",
        b'{"lock": 2, "images": {}}',
        b'{"lock": 1}',
        b'{"lock": 1, "images": []}',
        b'{"lock": 1, "images": {"app": [1]}}',
        b"[" * 100_000,
        b"\xff\xfe",
        document(reference="\ud800"),
        document(reference="half").replace(b"half", b"\xed\xa0\x80"),
        document(reference="\ud800").decode().encode("utf-16"),
        b'{"lock": 1, "images": {"\\ud800": [' + document()[document().index(b"[") + 1 :],
        document(digest=...),
        document(signer=...),
        document(digest="sha512:00"),
        document(digest="sha256:../../../../etc/passwd"),
        document(digest=ACI + "\n"),
        document(size="10"),
        document(size=-1),
        document(size=1 << 63),
        document(size=True),
        document(tree=[1]),
        document(tree="no list"),
        document(index_digest="latest"),
        document(platform="linux"),
        document(platform=1),
        document(reference=None),
        document(imageid="x"),
    ],
)
def test_a_file_that_is_none_is_refused_with_its_name_and_a_remedy(data: bytes) -> None:
    with pytest.raises(ImageError) as refused:
        lockfile.parse(data, "shop.lock")
    assert refused.value.reason == "bad-lock" and "\n" not in refused.value.sentence
    assert refused.value.sentence.startswith("shop.lock is no lock file: ")
    assert refused.value.hint == "`doit lock pod=shop --update` writes it anew"


def test_no_file_is_no_lock(tmp_path: Path) -> None:
    assert lockfile.path(tmp_path / "pods" / "file.yaml", "shop") == tmp_path / "pods" / "shop.lock"
    assert lockfile.read(tmp_path / "shop.lock") is None
    (tmp_path / "shop.lock").write_bytes(document())
    assert lockfile.read(tmp_path / "shop.lock") is not None
