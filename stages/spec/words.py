"""What jsonschema found, in our words: which field, what is wrong with it, what may have been meant."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterable, Iterator
from typing import Any

from stages.base.records import NamedTuple
from stages.spec.problems import Path, dotted

_KINDS = {
    "object": "a mapping",
    "array": "a list",
    "string": "a string",
    "integer": "an integer",
    "number": "a number",
    "boolean": "true or false",
    "null": "null",
}
_LONGEST = 60


class Fault(NamedTuple):
    """One fault of plain data. at_key: it is the key that is wrong. quote: the value wants quotes around it."""

    path: Path
    message: str
    hint: str = ""
    at_key: bool = False
    quote: bool = False


def faults(error: Any) -> Iterator[Fault]:
    """One of jsonschema's errors (ValidationError); one about several keys becomes several faults."""
    path = tuple(error.absolute_path)
    if "propertyNames" in error.schema_path:
        yield Fault((*path, error.instance), f"the name {_own_words(error)}", at_key=True)
        return
    yield from _WORDINGS.get(str(error.validator), _other)(path, error)


def line(fault: Fault) -> str:
    """A fault as one line, where there is no file to point into."""
    said = f"{dotted(fault.path)}: {fault.message}" if fault.path else fault.message
    return f"{said} ({fault.hint})" if fault.hint else said


def meant(word: str, known: Iterable[str]) -> str:
    """The hint that names what is spelled almost like `word`, or ""."""
    import difflib

    lowered = {one.lower(): one for one in known}
    close = difflib.get_close_matches(word.lower(), lowered, n=1, cutoff=0.6)
    return f"did you mean {lowered[close[0]]!r}?" if close else ""


def show(value: Any) -> str:
    """A value as YAML has it, shortened."""
    text = json.dumps(value, ensure_ascii=False)
    return text if len(text) <= _LONGEST else text[: _LONGEST - 3] + "..."


def _own_words(error: Any) -> str:
    """The schema's errorMessage about the value (editors show it too), else jsonschema's own sentence."""
    own = error.schema.get("errorMessage") if isinstance(error.schema, dict) else None
    return f"{show(error.instance)} {own}" if own else error.message


def _other(path: Path, error: Any) -> Iterator[Fault]:
    from stages.spec import kubernetes

    known = error.schema.get("examples", ()) if isinstance(error.schema, dict) else ()
    hint = meant(error.instance, known) if isinstance(error.instance, str) else ""
    yield Fault(path, _own_words(error), kubernetes.value(path, error.instance) or hint)


def _required(path: Path, error: Any) -> Iterator[Fault]:
    # jsonschema makes one error of every missing key, and names it only in its sentence.
    name = next(name for name in error.validator_value if f"{name!r} is a required" in error.message)
    yield Fault((*path, name), "missing", _example(name, error.schema.get("properties", {}).get(name, {})))


def _example(name: str, schema: Any) -> str:
    """The hint that shows how a field that is not filled in may look, or ""."""
    examples = [_fresh_uuid()] if name == "uid" else schema.get("examples")
    return f"for example `{name}: {show(examples[0])}`" if examples else ""


def _fresh_uuid() -> str:
    """One to be copied: the same example for everybody would become two pods of one UUID."""
    import uuid

    return str(uuid.uuid4())


def _unknown(path: Path, error: Any) -> Iterator[Fault]:
    from stages.spec import kubernetes  # for the few specs that are wrong

    known = error.schema.get("properties", {})
    for name in error.instance:
        if name not in known:
            # First what the word means elsewhere: hostNetwork is no hostname that was misspelled.
            hint = kubernetes.field(path, name) or meant(name, known) or f"known here: {', '.join(known)}"
            yield Fault((*path, name), "unknown field", hint, at_key=True)


def _type(path: Path, error: Any) -> Iterator[Fault]:
    from stages.spec import kubernetes

    wanted = error.validator_value
    wanted = [wanted] if isinstance(wanted, str) else wanted
    kinds = " or ".join(_KINDS[one] for one in wanted)
    scalar = isinstance(error.instance, bool | int | float)
    quote = scalar and "string" in wanted
    hint = "" if quote else kubernetes.shape(path, error.instance) or _unquoted(wanted, error.instance)
    if error.instance is None and path:
        hint = hint or _example(str(path[-1]), error.schema)
    yield Fault(path, f"must be {kinds}, not {_described(error.instance)}", hint, quote=quote)


def _unquoted(wanted: list[str], value: Any) -> str:
    """The hint for a number, or true or false, that is a string because of its quotes, or ""."""
    plain = {"integer": r"-?\d+", "number": r"-?\d+(\.\d+)?", "boolean": "true|false"}
    switch = {"yes": "true", "on": "true", "no": "false", "off": "false"}.get(str(value).lower())
    if switch and "boolean" in wanted:
        return f"write {switch}"
    bare = isinstance(value, str) and any(re.fullmatch(plain.get(one, "(?!)"), value) for one in wanted)
    return f"without quotes: {value}" if bare else ""


def _described(value: Any) -> str:
    if isinstance(value, dict):
        return "a mapping"
    if isinstance(value, list):
        return "a list"
    return f"the string {show(value)}" if isinstance(value, str) else show(value)


def _choice(path: Path, error: Any) -> Iterator[Fault]:
    from stages.spec import kubernetes

    allowed = error.validator_value
    words = [one for one in allowed if isinstance(one, str)]
    hint = meant(error.instance, words) if isinstance(error.instance, str) else ""
    hint = kubernetes.value(path, error.instance) or hint
    message = f"{show(error.instance)} is not allowed, it must be one of: {', '.join(show(one) for one in allowed)}"
    yield Fault(path, message, hint)


def _only(path: Path, error: Any) -> Iterator[Fault]:
    from stages.spec import kubernetes

    own = error.schema.get("errorMessage") or f"is not allowed, it must be {show(error.validator_value)}"
    message = f"{show(error.instance)} {own}"
    yield Fault(path, message, kubernetes.value(path, error.instance))


def _bound(path: Path, error: Any) -> Iterator[Fault]:
    relation = "less" if "inimum" in str(error.validator) else "greater"
    yield Fault(path, f"{show(error.instance)} is {relation} than {error.validator_value}")


def _twice(path: Path, error: Any) -> Iterator[Fault]:
    seen: list[str] = []
    for index, item in enumerate(error.instance):
        text = show(item)
        if text in seen:
            yield Fault((*path, index), f"{text} is there twice")
        seen.append(text)


def _empty(path: Path, error: Any) -> Iterator[Fault]:
    yield Fault(path, "must not be empty")


_WORDINGS: dict[str, Callable[[Path, Any], Iterator[Fault]]] = {
    "required": _required,
    "additionalProperties": _unknown,
    "type": _type,
    "enum": _choice,
    "const": _only,
    "minimum": _bound,
    "maximum": _bound,
    "uniqueItems": _twice,
    "minItems": _empty,
}
