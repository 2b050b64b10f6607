"""JSON by the reader and writer behind `json`: that module itself takes as long to import as Python takes to start."""

from __future__ import annotations

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import IO, Any

__all__ = ["dumps", "load", "loads"]

_BLANKS = " \t\n\r"


class _Plain:
    """What json's own decoder gives the reader when nobody asks for anything else."""

    strict = True
    object_hook = object_pairs_hook = None
    parse_float, parse_int = float, int
    parse_constant = float


def _refuse(value: object) -> object:
    raise TypeError(f"{type(value).__name__} is no JSON")


def _reader() -> Callable[[str], Any]:
    from _json import make_scanner

    scan = make_scanner(_Plain)  # type: ignore[arg-type]

    def loads(text: str) -> Any:
        stripped = text.strip(_BLANKS)
        try:
            value, end = scan(stripped, 0)
        # The last where nobody has loaded json's own error.
        except (StopIteration, RecursionError, SystemError) as error:
            raise ValueError("this is not JSON") from error
        if end != len(stripped):
            raise ValueError("there is something after the JSON value")
        return value

    return loads


def _writer() -> Callable[[Any], str]:
    from _json import encode_basestring_ascii, make_encoder

    encode = make_encoder({}, _refuse, encode_basestring_ascii, None, ": ", ", ", False, False, True)
    return lambda value: "".join(encode(value, 0))


try:
    loads, dumps = _reader(), _writer()
except (ImportError, TypeError):  # another Python than those we know
    from json import dumps, loads


def load(file: IO[str]) -> Any:
    """The value in a text file. Raises ValueError."""
    return loads(file.read())
