"""What is said of an image that is not there, by what else the word may have been meant to be."""

from __future__ import annotations

from pathlib import Path

import pytest

from stages.images.ask import not_stored


@pytest.mark.parametrize(
    ("text", "hint"),
    [
        ("nginx:1", "of a registry it is written docker://nginx:1"),
        ("localhost:5000/app", "of a registry it is written docker://localhost:5000/app"),
        ("localhost/app:1", "`podman save -o FILE localhost/app:1`, and then docker-archive:FILE"),
        ("containers-storage:app", "`podman save -o FILE app`, and then docker-archive:FILE"),
        ("docker-daemon:app:1", "`docker save -o FILE app:1`, and then docker-archive:FILE"),
        ("docker-daemon:", "`doit images import ./FILE` brings one in"),
        ("sha256:0123abcd", "an id is written sha256-0123abcd; `doit images` lists those that are there"),
        ("pods", "a root file system is written dir:pods, an OCI layout oci:pods"),
        ("app.tar", "a file is written ./app.tar; of OCI images oci-archive:app.tar or docker-archive:app.tar"),
    ],
)
def test_the_hint_is_what_was_meant(tmp_path: Path, text: str, hint: str) -> None:
    (tmp_path / "pods").mkdir()
    (tmp_path / "app.tar").touch()
    assert not_stored(text, tmp_path).hint.endswith(hint)
