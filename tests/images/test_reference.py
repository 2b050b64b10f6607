"""What the word after `image:` means."""

from __future__ import annotations

from pathlib import Path

import pytest

from stages.base.errors import ImageError
from stages.images.reference import LocalFile, Named, Reference, StoredId, parse

PROJECT = Path("/project")


@pytest.mark.contract("M 46")
@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("images/web.aci", LocalFile(PROJECT / "images/web.aci")),
        ("./web", LocalFile(PROJECT / "web")),
        ("../web.aci.gz", LocalFile(PROJECT / "../web.aci.gz")),
        ("/abs/web", LocalFile(Path("/abs/web"))),
        ("file:web.tar", LocalFile(PROJECT / "web.tar")),
        ("sha512-0123abcd", StoredId("sha512-0123abcd")),
        ("example.com/web", Named("example.com/web", ())),
        ("example.com/web:1.2", Named("example.com/web", (("version", "1.2"),))),
        ("busybox:latest,os=linux", Named("busybox", (("os", "linux"), ("version", "latest")))),
    ],
)
def test_references(text: str, expected: Reference) -> None:
    assert parse(text, PROJECT) == expected


@pytest.mark.contract("M 46")
@pytest.mark.parametrize(
    "text",
    ["", "web:", ":1", "web,os", "web,=x", "web,os=a,os=b", "web:1,version=2", "a\0b", "oci:a\0b", "a\udc80", "a\nb"],
)
def test_no_references(text: str) -> None:
    with pytest.raises(ImageError):
        parse(text, PROJECT)
