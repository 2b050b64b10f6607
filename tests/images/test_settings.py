"""What the host demands of images, and that a mistake in it is not passed over."""

from __future__ import annotations

from pathlib import Path

import pytest

from stages.base.errors import HostError
from stages.images.settings import Settings, read
from stages.spec.model import Signatures

REQUIRE, WARN, OFF = Signatures.REQUIRE, Signatures.WARN, Signatures.OFF


def written(folder: Path, text: str) -> Settings:
    (folder / "images.json").write_text(text)
    return read({"PODWRIGHT_CONFIG": str(folder)})


def test_nothing_is_said(tmp_path: Path) -> None:
    found = read({"PODWRIGHT_CONFIG": str(tmp_path)})
    assert found == Settings()
    assert (found.signatures("network", None), found.signatures("local", None)) == (REQUIRE, OFF)
    assert (found.signatures("network", OFF), found.signatures("local", WARN)) == (OFF, WARN)


def test_patience_is_in_seconds(tmp_path: Path) -> None:
    assert written(tmp_path, '{"patience": 90}').patience == 90 and Settings().patience == 60


def test_the_stricter_of_host_and_spec_holds(tmp_path: Path) -> None:
    found = written(tmp_path, '{"signatures": {"network": "warn", "local": "require"}, "http": ["a:80"]}')
    assert found.http == {"a:80"}
    assert [found.signatures("network", one) for one in (None, OFF, REQUIRE)] == [WARN, WARN, REQUIRE]
    assert [found.signatures("local", one) for one in (None, OFF, WARN)] == [REQUIRE] * 3


@pytest.mark.parametrize(
    "text",
    [
        "",
        "[]",
        "null",
        "{",
        "[" * 100_000,
        '{"signature": {}}',
        '{"signatures": []}',
        '{"signatures": {"remote": "off"}}',
        '{"signatures": {"network": "no"}}',
        '{"signatures": {"network": null}}',
        '{"http": "a"}',
        '{"http": ["http://a"]}',
        '{"http": [1]}',
        '{"patience": 0}',
        '{"patience": "60"}',
        '{"patience": true}',
        '{"patience": 1e999}',
        '{"patience": NaN}',
    ],
)
def test_what_is_not_understood_is_an_error(tmp_path: Path, text: str) -> None:
    with pytest.raises(HostError) as caught:
        written(tmp_path, text)
    assert "images.json" in caught.value.sentence and caught.value.hint
