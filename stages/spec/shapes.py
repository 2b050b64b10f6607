"""Looking at data that may have any shape: what is not as expected counts as absent (the schema complains of it)."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from typing import Any

from stages.spec.problems import Path, dotted
from stages.spec.words import Fault, show


def mapping(value: Any, *path: str) -> dict[str, Any]:
    """The mapping that `path` leads to from `value`, or an empty one."""
    for step in path:
        value = value.get(step) if isinstance(value, dict) else None
    return value if isinstance(value, dict) else {}


def rows(value: Any) -> Iterator[tuple[int, Any]]:
    """Index and item of a list."""
    yield from enumerate(value if isinstance(value, list) else ())


def mappings(value: Any) -> Iterator[tuple[int, dict[str, Any]]]:
    """Index and item of those items of a list that are mappings."""
    return ((index, item) for index, item in rows(value) if isinstance(item, dict))


def string(value: Any) -> str:
    """The string, or ""."""
    return value if isinstance(value, str) else ""


def integer(value: Any) -> int | None:
    """The integer (8080.0 is one, as in JSON Schema), or None."""
    if isinstance(value, bool) or not isinstance(value, int | float):
        return None
    return int(value) if isinstance(value, int) or value.is_integer() else None  # no infinity is one


def twice(
    items: Iterable[tuple[Path, Any]], what: str, same: Callable[[Any], Any] = lambda value: value
) -> Iterator[Fault]:
    """A fault for every value that an earlier path had already; `same` says what makes two values one."""
    first: dict[Any, Path] = {}
    for path, value in items:
        if value in ("", None):
            continue
        if same(value) in first:
            yield Fault(path, f"the {what} {show(value)} is there twice, first at {dotted(first[same(value)])}")
        first.setdefault(same(value), path)
