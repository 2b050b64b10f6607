"""The project's JSON Schemas: their files, their digest, and what jsonschema says of a document."""

from __future__ import annotations

import functools
import json
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

from stages.base import shipped
from stages.base.digest import sha256_hex

if TYPE_CHECKING:
    from jsonschema import ValidationError

FOLDER = Path(shipped.path("schemas"))
SHARED = "appc.json"  # what the others refer to


def digest() -> str:
    """The digest of what decides whether a spec is valid."""
    return sha256_hex(b"\0".join((FOLDER / name).read_bytes() for name in ("pod.json", SHARED)))


def errors(kind: str, data: Any) -> Iterator[ValidationError]:
    """Everything that schemas/<kind>.json has against plain data."""
    if not _fits(kind, data):
        yield from thorough(kind, data)


def thorough(kind: str, data: Any) -> Iterator[ValidationError]:
    """The same, from jsonschema itself in any case."""
    yield from _validator(kind).iter_errors(data)


def _fits(kind: str, data: Any) -> bool:
    """Whether jsonschema would have nothing to say."""
    from stages.spec import fitting

    name = f"{kind}.json"
    place = fitting.Place({one: schema(one) for one in (name, SHARED)}, name)
    try:
        return fitting.fits(data, place.documents[name], place)
    except (fitting.Unsure, RecursionError):
        return False


def schema(name: str) -> dict[str, Any]:
    """The schema in schemas/<name>."""
    document: dict[str, Any] = json.loads((FOLDER / name).read_bytes())
    return document


@functools.cache
def _validator(kind: str) -> Any:
    from jsonschema import Draft202012Validator, validators
    from referencing import Registry, Resource
    from referencing.jsonschema import DRAFT202012

    shared: Resource[Any] = Resource.from_contents(schema(SHARED), default_specification=DRAFT202012)
    extend: Any = validators.extend
    strict = extend(Draft202012Validator, {"pattern": _pattern})
    return strict(schema(f"{kind}.json"), registry=Registry().with_resource(SHARED, shared))


def _pattern(validator: Any, pattern: str, instance: Any, _: Any) -> Iterator[ValidationError]:
    from jsonschema import ValidationError

    from stages.spec import fitting

    if validator.is_type(instance, "string") and not fitting.matches(pattern, instance):
        yield ValidationError(f"{instance!r} does not match {pattern!r}")
