"""docs/spec.md and schemas/pod.json say the same: every field, its type, its default; and the model carries it."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from stages.spec import jsonschemas

PAGE = Path(__file__).parent.parent.parent / "docs" / "spec.md"
ROW = re.compile(r"^\| `([^`]+)` \| ([^|]+) \| ([^|]*) \| ([^|]+) \| ([^|]+) \|$")

POD = jsonschemas.schema("pod.json")
APPC = jsonschemas.schema("appc.json")


def resolved(node: dict[str, Any]) -> dict[str, Any]:
    """The schema node with what it refers to."""
    if "$ref" not in node:
        return node
    file, _, path = node["$ref"].partition("#/$defs/")
    target = (APPC if file else POD)["$defs"][path]
    return {**resolved(target), **{key: value for key, value in node.items() if key != "$ref"}}


def fields(node: dict[str, Any], path: str = "") -> Iterator[tuple[str, dict[str, Any]]]:
    for name, child in node.get("properties", {}).items():
        here, found = f"{path}{name}", resolved(child)
        yield here, found
        if name != "isolators":  # appc's own, they have pages of their own
            yield from inner(here, found)


def inner(path: str, node: dict[str, Any]) -> Iterator[tuple[str, dict[str, Any]]]:
    if node.get("properties"):
        yield from fields(node, f"{path}.")
    for branch in node.get("allOf", ()):
        yield from fields(branch.get("then", {}), f"{path}.")
    if isinstance(node.get("items"), dict):
        yield from fields(resolved(node["items"]), f"{path}[].")
    if isinstance(node.get("additionalProperties"), dict):
        yield from fields(resolved(node["additionalProperties"]), f"{path}.NAME.")


def told() -> dict[str, tuple[str, str]]:
    found = {}
    for line in PAGE.read_text().splitlines():
        if match := ROW.match(line):
            assert match[1] not in found, f"{match[1]} is there twice"
            found[match[1]] = (match[2].strip(), match[3].strip())
    return found


FIELDS = dict(fields(POD))


def test_every_field_has_its_row_in_the_order_of_the_schema() -> None:
    assert list(told()) == list(FIELDS)


@pytest.mark.parametrize("name", FIELDS)
def test_the_default_is_the_schema_s(name: str) -> None:
    node = FIELDS[name]
    expected = f"`{json.dumps(node['default'])}`" if "default" in node else ""
    assert told()[name][1] == ("required" if name in _required() else expected)


def _required() -> set[str]:
    found = set(POD["required"])
    for path, node in FIELDS.items():
        found |= {f"{path}.{name}" for name in node.get("required", ())}
        for branch in node.get("allOf", ()):
            found |= {f"{path}.{name}" for name in branch.get("then", {}).get("required", ())}
        items = node.get("items")
        if isinstance(items, dict) and not path.endswith(".isolators"):
            found |= {f"{path}[].{name}" for name in resolved(items).get("required", ())}
    return found


@pytest.mark.parametrize("name", FIELDS)
def test_editors_have_something_to_show(name: str) -> None:
    text = FIELDS[name].get("description", "")
    assert len(text) >= 8
    assert text.endswith((".", ")"))


def test_every_mapping_is_closed_or_says_what_its_values_are() -> None:
    mappings = {name: node for name, node in FIELDS.items() if node.get("properties")}
    assert not [name for name, node in mappings.items() if node.get("additionalProperties", True)]


@pytest.mark.parametrize("name", ["pod.json", "appc.json", "image-manifest.json", "pod-manifest.json"])
def test_the_schemas_are_schemas(name: str) -> None:
    from jsonschema import Draft202012Validator

    Draft202012Validator.check_schema(jsonschemas.schema(name))
