"""Whether data fits a schema, for the common case that it does: jsonschema takes half as long to load as doit.

What does not fit, jsonschema tells in full. The answer is exact for the keywords that the project's schemas are made
of; any other, and values that plain YAML and JSON do not have, raise Unsure, and jsonschema decides.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from typing import Any

from stages.base.records import NamedTuple


class Unsure(Exception):
    """Only jsonschema can tell."""


class Place(NamedTuple):
    """Where a schema stands, so that its references are found. documents: file name to schema; name: this one's."""

    documents: Mapping[str, Any]
    name: str

    def follow(self, reference: str) -> tuple[Any, Place]:
        """What a `$ref` means: a JSON pointer, in this document or in another one."""
        name, _, pointer = reference.partition("#")
        there = Place(self.documents, name or self.name)
        found = self.documents[there.name]
        for step in pointer.split("/")[1:]:
            found = found[step]
        return found, there


def fits(data: Any, schema: Any, place: Place) -> bool:
    """Whether plain data fits the schema. Raises Unsure."""
    if isinstance(schema, bool):
        return schema
    if type(data) not in _TYPES:
        raise Unsure
    for keyword, value in schema.items():
        if keyword not in KNOWN:
            raise Unsure
        rule = _RULES.get(keyword)
        if rule is not None and not rule(data, value, schema, place):
            return False
    return True


def matches(pattern: str, text: str) -> bool:
    """As in ECMAScript, where `$` is the end of the text; in Python it is also before a final newline."""
    return bool(re.search(re.sub(r"\$$", r"\\Z", pattern), text))


_TYPES: dict[type, frozenset[str]] = {
    str: frozenset({"string"}),
    bool: frozenset({"boolean"}),
    int: frozenset({"integer", "number"}),
    float: frozenset({"number"}),
    dict: frozenset({"object"}),
    list: frozenset({"array"}),
    type(None): frozenset({"null"}),
}
# They say something to people, or are looked at with the keyword that they belong to.
_SILENT = frozenset({"$schema", "$defs", "title", "description", "default", "examples", "errorMessage", "then"})


def _is_of_type(data: Any, value: Any, schema: Any, place: Place) -> bool:
    names = set(_TYPES[type(data)])
    if isinstance(data, float) and data.is_integer():
        names.add("integer")
    return not names.isdisjoint([value] if isinstance(value, str) else value)


def _is_one_of(data: Any, value: Any, schema: Any, place: Place) -> bool:
    if not all(type(one) in (str, bool, type(None)) for one in (data, *value)):
        raise Unsure
    return any(type(one) is type(data) and one == data for one in value)


def _is_unique(data: Any, value: Any, schema: Any, place: Place) -> bool:
    if value is not True or not isinstance(data, list):
        return True
    if len({type(one) for one in data}) > 1 or not all(type(one) in (str, int) for one in data):
        raise Unsure
    return len(set(data)) == len(data)


def _has_properties(data: Any, value: Any, schema: Any, place: Place) -> bool:
    if not isinstance(data, dict):
        return True
    return all(fits(data[name], one, place) for name, one in value.items() if name in data)


def _has_no_others(data: Any, value: Any, schema: Any, place: Place) -> bool:
    if not isinstance(data, dict):
        return True
    known = schema.get("properties", {})
    return all(fits(one, value, place) for name, one in data.items() if name not in known)


def _refers(data: Any, value: Any, schema: Any, place: Place) -> bool:
    return fits(data, *place.follow(value))


def _follows_if(data: Any, value: Any, schema: Any, place: Place) -> bool:
    return not fits(data, value, place) or fits(data, schema.get("then", True), place)


def _is_number(data: Any) -> bool:
    return type(data) in (int, float)


_Rule = Callable[[Any, Any, Any, Place], bool]
_RULES: dict[str, _Rule] = {
    "type": _is_of_type,
    "enum": _is_one_of,
    "const": lambda data, value, schema, place: _is_one_of(data, [value], schema, place),
    "pattern": lambda data, value, schema, place: not isinstance(data, str) or matches(value, data),
    "minLength": lambda data, value, schema, place: not isinstance(data, str) or len(data) >= value,
    "minimum": lambda data, value, schema, place: not (_is_number(data) and data < value),
    "maximum": lambda data, value, schema, place: not (_is_number(data) and data > value),
    "minItems": lambda data, value, schema, place: not isinstance(data, list) or len(data) >= value,
    "uniqueItems": _is_unique,
    "items": lambda data, value, schema, place: (
        not isinstance(data, list) or all(fits(one, value, place) for one in data)
    ),
    "properties": _has_properties,
    "required": lambda data, value, schema, place: not isinstance(data, dict) or all(one in data for one in value),
    "additionalProperties": _has_no_others,
    "propertyNames": lambda data, value, schema, place: (
        not isinstance(data, dict) or all(fits(name, value, place) for name in data)
    ),
    "allOf": lambda data, value, schema, place: all(fits(data, one, place) for one in value),
    "not": lambda data, value, schema, place: not fits(data, value, place),
    "if": _follows_if,
    "$ref": _refers,
}
KNOWN = frozenset(_RULES) | _SILENT
