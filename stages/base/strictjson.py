"""JSON of somebody else's, read as every reader of JSON would: Python's own takes more than that."""

from __future__ import annotations

import json
import math
from collections.abc import Callable
from typing import Any

_DEEPEST = 200  # whoever reads it later may have less room for recursion than there is here

Pairs = Callable[[list[tuple[str, Any]]], dict[str, Any]]


def loads(data: bytes, pairs: Pairs | None = None) -> Any:
    """The value of a JSON text in UTF-8 (RFC 8259), which can be written again as such. pairs: makes the objects.

    Raises ValueError for anything else: other encodings and byte order marks, numbers that are none or infinite, half
    a character (by its escape, or by bytes that only look like UTF-8), more than 200 values in each other.
    """
    try:
        text = data.decode()
        found = json.loads(text, parse_constant=_no_number, parse_float=_finite, object_pairs_hook=pairs)
    except RecursionError as error:
        raise _too_deep() from error
    if "\\u" in text:
        json.dumps(found, ensure_ascii=False).encode()
    if text.count("[") + text.count("{") > _DEEPEST:
        _check_depth(found)
    return found


def _no_number(text: str) -> None:
    raise ValueError(f"{text} is not a number")


def _finite(text: str) -> float:
    number = float(text)
    if math.isinf(number):
        raise ValueError("a number is too large")
    return number


def _check_depth(found: Any) -> None:
    level, depth = [found], 0
    while level := [one for one in level if isinstance(one, dict | list)]:
        depth += 1
        if depth > _DEEPEST:
            raise _too_deep()
        level = [inside for one in level for inside in (one.values() if isinstance(one, dict) else one)]


def _too_deep() -> ValueError:
    return ValueError("it is nested too deep")
