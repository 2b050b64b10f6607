"""Ready pod manifests: what the graph needs of them is checked before anything is made."""

from __future__ import annotations

import json
from typing import Any

import pytest

from stages.base.errors import PodError
from stages.pod import manifest, ready

GOOD = {"apps": [{"name": "web", "image": {"id": "sha512-ab"}}]}


def read(document: Any) -> dict[str, Any]:
    return ready.read(json.dumps(document).encode(), "pod.json")


def test_what_is_not_read_is_kept() -> None:
    document = {**GOOD, "userLabels": {"a": "b"}, "volumes": [{"name": "x", "kind": "empty"}]}
    assert read(document) == document


@pytest.mark.parametrize(
    ("document", "reason"),
    [
        ([], "ready-manifest"),
        ({}, "ready-manifest"),
        ({"apps": [1]}, "ready-manifest"),
        ({"apps": [{"image": {"id": "sha512-ab"}}]}, "app-name"),
        ({"apps": {"name": "web"}}, "ready-manifest"),
        ({"apps": [{"name": "web", "image": None}]}, "no-image-id"),
        ({"apps": [{"name": "web", "image": {"id": 5}}]}, "no-image-id"),
        ({"apps": [{"name": "web", "image": {"id": ["sha512-ab"]}}]}, "no-image-id"),
        ({"apps": [{"name": "stage1", "image": {"id": "sha512-ab"}}]}, "app-name"),
        ({"apps": [{"name": "dependencies", "image": {"id": "sha512-ab"}}]}, "app-name"),
        ({"apps": []}, "no-apps"),
        ({"apps": None}, "no-apps"),
        ({"apps": [{"name": "Web!", "image": {"id": "sha512-ab"}}]}, "app-name"),
        ({"apps": [{"name": 5, "image": {"id": "sha512-ab"}}]}, "app-name"),
        ({"apps": [{"name": "web"}]}, "no-image-id"),
        ({"apps": [{"name": "web", "image": {"id": ""}}]}, "no-image-id"),
        ({"apps": GOOD["apps"] * 2}, "twice"),
    ],
)
@pytest.mark.contract("A.6 validatePodManifest", "L.2 no apps")
def test_what_cannot_be_prepared_is_refused(document: Any, reason: str) -> None:
    with pytest.raises(PodError) as refused:
        read(document)
    assert refused.value.reason == reason and "pod.json" in refused.value.sentence
    assert "object" not in refused.value.sentence and "indices" not in refused.value.sentence


@pytest.mark.parametrize(
    "data",
    [
        b"{",
        b"[" * 100_000,
        json.dumps(GOOD).encode("utf-16"),
        json.dumps({**GOOD, "x": "\ud800"}).encode(),
        json.dumps({**GOOD, "x": float("nan")}).encode(),
    ],
)
def test_what_is_no_json_is_refused(data: bytes) -> None:
    with pytest.raises(PodError) as refused:
        ready.read(data, "pod.json")
    assert refused.value.reason == "ready-manifest"


def test_a_manifest_that_breaks_a_rule_of_appc_is_not_written() -> None:
    with pytest.raises(PodError) as refused:
        manifest.check({"acKind": "PodManifest", "acVersion": "0.8.11", "apps": [{"name": "web"}]})
    assert refused.value.reason == "pod-manifest"


@pytest.mark.contract("M 5")
def test_a_mount_of_a_volume_that_is_not_there_is_found_before_the_start() -> None:
    app = {"name": "web", "image": {"id": f"sha512-{'0' * 128}"}, "mounts": [{"volume": "data", "path": "/data"}]}
    document: dict[str, Any] = {"acKind": "PodManifest", "acVersion": "0.8.11", "apps": [app]}
    with pytest.raises(PodError) as refused:
        manifest.check(document)
    assert refused.value.reason == "no-volume" and "app web mounts the volume 'data'" in refused.value.sentence
    volume = {"name": "data", "kind": "empty"}
    manifest.check(document | {"volumes": [volume]})
    app["mounts"] = [{"volume": "data", "path": "/data", "appVolume": volume}]
    manifest.check(document)
