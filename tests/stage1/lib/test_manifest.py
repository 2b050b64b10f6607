"""The pod manifest as stage1 reads it."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from stages.stage1.lib import manifest
from stages.stage1.lib.errors import Stage1Error


def pod_directory(tmp_path: Path, pod: Any, image: dict[str, Any] | None = None) -> str:
    (tmp_path / "pod").write_text(json.dumps(pod))
    directory = tmp_path / "stage1/rootfs/opt/stage2/web"
    directory.mkdir(parents=True)
    (directory / "manifest").write_text(json.dumps(image or {}))
    return str(tmp_path)


def test_an_app_without_section_takes_the_images(tmp_path: Path) -> None:
    section = {"exec": ["/a"], "user": "u", "group": "g", "supplementaryGids": [5], "workingDirectory": "/w"}
    pod = manifest.load(pod_directory(tmp_path, {"apps": [{"name": "web"}]}, {"name": "i", "app": section}))
    app = pod.apps[0]
    assert (app.command, app.user, app.supplementary_gids, app.working_directory) == (["/a"], "u", [5], "/w")


def test_the_pods_section_replaces_the_images_as_a_whole(tmp_path: Path) -> None:
    image = {"app": {"exec": ["/a"], "isolators": [{"name": "x", "value": 1}]}}
    pod = manifest.load(pod_directory(tmp_path, {"apps": [{"name": "web", "app": {"exec": ["/b"]}}]}, image))
    assert pod.apps[0].command == ["/b"] and pod.apps[0].isolators == []


@pytest.mark.parametrize(
    "pod",
    [
        {"apps": []},
        {},
        [],
        {"apps": [{"name": "../x"}]},
        {"apps": [{"name": "web"}, {"name": "web"}]},
        {"apps": [{"name": "web"}]},
        {"apps": [{"name": "web", "app": {"exec": []}}]},
        {"apps": [{"name": "web", "app": {"exec": ["x"], "eventHandlers": [{"name": "odd", "exec": ["y"]}]}}]},
        {"apps": [{"name": "web", "app": {"exec": ["x"], "environment": [{"name": "y"}]}}]},
        {"apps": [{"name": "web", "app": {"exec": ["x"]}}], "volumes": [{"name": "v", "kind": "odd"}]},
        {"apps": [{"name": "web", "app": {"exec": ["x"]}}], "volumes": [{"name": "v", "kind": "empty", "mode": "9"}]},
        {"apps": "text"},
    ],
)
def test_a_pod_manifest_that_makes_no_sense_is_refused(tmp_path: Path, pod: Any) -> None:
    with pytest.raises(Stage1Error):
        manifest.load(pod_directory(tmp_path, pod))


@pytest.mark.parametrize(
    ("image", "app", "number"),
    [
        (None, None, 15),
        ("SIGQUIT", None, 3),
        ("SIGQUIT", "usr1", 10),
        ("RTMIN+3", None, 37),
        ("SIGRTMAX-1", None, 63),
        ("9", None, 9),
    ],
)
def test_the_stop_signal_is_the_apps_then_the_images_then_term(
    tmp_path: Path, image: str | None, app: str | None, number: int
) -> None:
    noted = [{"annotations": [{"name": manifest.STOP_SIGNAL, "value": one}]} if one else {} for one in (image, app)]
    runtime = {"name": "web", "app": {"exec": ["x"]}, **noted[1]}
    assert manifest.load(pod_directory(tmp_path, {"apps": [runtime]}, noted[0])).apps[0].stop_signal == number


@pytest.mark.parametrize("text", ["", "0", "65", "SIGFOO", "RTMAX+1", "-1", "SIGSIGQUIT", "9" * 40])
def test_a_stop_signal_that_is_none_is_refused(tmp_path: Path, text: str) -> None:
    runtime = {"name": "web", "app": {"exec": ["x"]}, "annotations": [{"name": manifest.STOP_SIGNAL, "value": text}]}
    with pytest.raises(Stage1Error, match="stop signal"):
        manifest.load(pod_directory(tmp_path, {"apps": [runtime]}))
