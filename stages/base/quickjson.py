"""JSON read without the modules around the reader: `import json` takes as long as all of Python's own start."""

from __future__ import annotations

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

scanner: Any
try:
    from _json import make_scanner as scanner
except ImportError:
    scanner = None


class _Plain:
    """What json's own decoder gives the scanner when nobody asks for anything else."""

    strict = True
    object_hook = object_pairs_hook = None
    parse_float, parse_int = float, int
    parse_constant = float
    memo: dict[str, str]


def loads(text: str) -> Any:
    """The value of a JSON text that a program of ours wrote: no blanks around it. Raises ValueError."""
    if scanner is None:
        import json

        return json.loads(text)
    try:
        value, end = scanner(_Plain)(text, 0)
    except (StopIteration, RecursionError, SystemError) as error:  # the last where nobody has loaded json's own error
        raise ValueError("not JSON") from error
    if end != len(text):
        raise ValueError("more than one JSON value")
    return value
