"""The quick answer whether data fits a schema is jsonschema's answer, or none."""

from __future__ import annotations

import contextlib
import copy
import subprocess
import sys
import time
from collections.abc import Iterator
from typing import Any

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from stages.spec import fitting, jsonschemas, yaml
from stages.spec.fitting import Place, Unsure
from tests.spec.samples import PLAIN, SHOP, spec

KINDS = ("pod", "image-manifest", "pod-manifest")
FULL = spec(
    metadata={"labels": {"a": "b"}, "annotations": {"example.com/x": "y"}},
    spec={
        "hostname": "h",
        "terminationGracePeriodSeconds": 3,
        "restartPolicy": "Never",
        "securityContext": {"runAsUser": 1, "runAsGroup": 2, "supplementalGroups": [3, 4]},
        "volumes": [{"name": "a", "hostPath": {"path": "/a", "type": "File"}}, {"name": "b", "emptyDir": {"uid": 1}}],
    },
    app={
        "command": ["/a"],
        "args": ["b"],
        "env": [{"name": "A", "value": "b"}],
        "workingDir": "/w",
        "ports": [{"name": "http", "containerPort": 80, "hostPort": 8080, "hostIP": "127.0.0.1"}],
        "volumeMounts": [{"name": "a", "mountPath": "/x"}],
        "imagePullPolicy": "Always",
        "resources": {"limits": {"cpu": 0.5, "memory": "1Gi", "pids": 9}, "requests": {"cpu": "100m"}},
        "securityContext": {"capabilities": {"add": ["KILL"], "drop": ["ALL"]}, "allowPrivilegeEscalation": False},
    },
    stage0={"privateUsers": {"shift": 65536, "count": 65536}, "net": ["none"], "env": {"A": "b"}, "overlay": False},
)
IMAGE = {
    "acKind": "ImageManifest",
    "acVersion": "0.8.11",
    "name": "example.com/app",
    "labels": [{"name": "os", "value": "linux"}],
    "app": {"exec": ["/a"], "user": "0", "group": "0", "environment": [{"name": "A", "value": "b"}]},
    "dependencies": [{"imageName": "example.com/base"}],
    "pathWhitelist": ["/a"],
}
POD = {
    "acKind": "PodManifest",
    "acVersion": "0.8.11",
    "apps": [{"name": "a", "image": {"id": "sha512-" + "0" * 128}, "app": IMAGE["app"]}],
    "volumes": [{"name": "v", "kind": "empty", "mode": "0755", "uid": 0, "gid": 0}],
}
VALID = [
    *(("pod", one) for one in (PLAIN, FULL, yaml.load(SHOP.encode(), "shop").data)),
    ("image-manifest", IMAGE),
    ("pod-manifest", POD),
]
TEXTS = ["", "a", "/a", "A b", "a\n", "..", "Always", "1Gi", "auto"]
NUMBERS = [True, False, None, 0, 1, -1, 80, 65536, 1.0, 0.5, 2**70]
LISTS = [[], ["a"], ["a", "a"], [1, 1.0], {}, {"name": "a"}, {"A": "b"}, {"a/b": 1}, {1: 2}]
VALUES = st.sampled_from([*TEXTS, *NUMBERS, *LISTS]).map(copy.deepcopy)


def quick(kind: str, data: Any) -> bool:
    name = f"{kind}.json"
    place = Place({one: jsonschemas.schema(one) for one in (name, jsonschemas.SHARED)}, name)
    return fitting.fits(data, place.documents[name], place)


def containers(data: Any) -> Iterator[Any]:
    """Every list and dictionary in the data, itself first."""
    if isinstance(data, (dict, list)):
        yield data
        for one in data.values() if isinstance(data, dict) else data:
            yield from containers(one)


@st.composite
def changed(draw: st.DrawFn) -> tuple[str, Any]:
    """A valid document with up to three changes anywhere in it."""
    kind, valid = draw(st.sampled_from(VALID))
    data = copy.deepcopy(dict(valid))
    for _ in range(draw(st.integers(1, 3))):
        inside = draw(st.sampled_from(list(containers(data))))
        keys = list(inside) if isinstance(inside, dict) else list(range(len(inside)))
        if not keys or draw(st.integers(0, 4)) == 0:
            if isinstance(inside, dict):
                inside[draw(st.sampled_from(["name", "value", "env", "x", "a/b"]))] = draw(VALUES)
            else:
                inside.append(draw(VALUES))
        elif draw(st.booleans()):
            inside[draw(st.sampled_from(keys))] = draw(VALUES)
        else:
            del inside[draw(st.sampled_from(keys))]
    return kind, data


@given(changed())
@settings(max_examples=600)
@example(("pod", spec(app={"resources": {"limits": {"cpu": float("nan")}}})))
@example(("pod", spec(spec={"securityContext": {"supplementalGroups": [1, True]}})))
@example(("pod", spec(app={"name": "web\n"})))
def test_it_is_what_jsonschema_says_or_nothing(made: tuple[str, Any]) -> None:
    kind, data = made
    thorough = not any(jsonschemas.thorough(kind, data))
    with contextlib.suppress(Unsure):
        assert quick(kind, data) is thorough
    assert any(jsonschemas.errors(kind, data)) is not thorough


@pytest.mark.parametrize(("kind", "data"), VALID)
def test_it_is_sure_of_what_is_right(kind: str, data: Any) -> None:
    assert quick(kind, data)


@pytest.mark.parametrize("kind", KINDS)
def test_it_knows_every_keyword_of_the_schemas(kind: str) -> None:
    def keywords(schema: Any) -> Iterator[str]:
        if isinstance(schema, list):
            for one in schema:
                yield from keywords(one)
        elif isinstance(schema, dict):
            for keyword, value in schema.items():
                yield keyword
                if keyword in ("properties", "$defs"):
                    yield from keywords(list(value.values()))
                elif keyword in ("items", "additionalProperties", "propertyNames", "allOf", "not", "if", "then"):
                    yield from keywords(value)

    for name in (f"{kind}.json", jsonschemas.SHARED):
        assert set(keywords(jsonschemas.schema(name))) <= fitting.KNOWN


def test_an_unknown_keyword_or_value_is_left_to_jsonschema() -> None:
    for data, schema in (("a", {"format": "ipv4"}), ((1, 2), {}), (1, {"enum": [1]}), ([[]], {"uniqueItems": True})):
        with pytest.raises(Unsure):
            fitting.fits(data, schema, Place({"x": schema}, "x"))


def test_a_valid_spec_does_not_load_jsonschema() -> None:
    program = "import sys; from stages.spec import jsonschemas, yaml; from tests.spec.samples import SHOP; "
    program += "assert not any(jsonschemas.errors('pod', yaml.load(SHOP.encode(), 'x').data)); print(*sys.modules)"
    loaded = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True).stdout
    assert "jsonschema" not in loaded.split()


def patterns(schema: Any) -> Iterator[str]:
    """Every pattern in a schema."""
    for key, value in schema.items() if isinstance(schema, dict) else enumerate(schema):
        if key == "pattern" and isinstance(value, str):
            yield value
        elif isinstance(value, dict | list):
            yield from patterns(value)


@pytest.mark.parametrize("name", sorted(one.name for one in jsonschemas.FOLDER.glob("*.json")))
def test_no_pattern_takes_longer_than_the_text_is_long(name: str) -> None:
    """Manifests come from anywhere: [0-9]+[.]?[0-9]* was minutes with a number of a hundred thousand digits."""
    for pattern in set(patterns(jsonschemas.schema(name))):
        for piece in ("1", "a", "A", "-", ".", "/", "/.", "1.", "a-", " ", "CAP_"):
            for begin in ("", "/", "sha512-", "http://", "1"):
                began = time.process_time()
                fitting.matches(pattern, begin + piece * (20_000 // len(piece)) + "\n!")
                assert time.process_time() - began < 0.5, (pattern, piece, begin)
