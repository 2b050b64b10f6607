"""YAML 1.2 text becomes plain data with positions; everything that YAML could do to us is refused here.

Types are those of the core schema (`0755` is the number 755, `on` and `22:22` are strings). Refused: what is not
UTF-8, more than one document, duplicate keys, keys that are not strings, tags of other schemas, numbers that JSON has
not or that are longer than MOST_BITS, and aliases that make a circle or more than MOST_NODES values.
"""

from __future__ import annotations

import math
import re
from collections.abc import Iterator
from typing import Any

import yaml

from stages.base.records import NamedTuple
from stages.spec import problems
from stages.spec.problems import Path, Problem

if not yaml.__with_libyaml__:
    # yamlcore derives from PyYAML's C classes as soon as it is imported, also where PyYAML was built without them.
    vars(yaml).update(CBaseLoader=yaml.BaseLoader, CBaseDumper=yaml.BaseDumper)
import yamlcore

LARGEST = 1 << 20  # bytes of a file
MOST_NODES = 10_000  # values, every use of an alias counted
MOST_BITS = 1024  # of a whole number, as of the largest with a fraction; Python writes none of some 15000
DEEPEST = 64  # mappings and lists inside each other; libyaml itself overflows its stack at some ten thousand

_TAG = "tag:yaml.org,2002:"
_CORE = {_TAG + name for name in ("str", "int", "float", "bool", "null", "map", "seq")}
_UNPRINTABLE = re.compile("[^\t\n\r\x20-\x7e\x85\xa0-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")
# By an escape in quotes: NUL ends a string for the kernel, a lone surrogate cannot be written anywhere.
_UNWRITABLE = re.compile("[\0\ud800-\udfff]")
_LOADER: Any = yamlcore.CCoreLoader
# What the parser says of frequent mistakes, and what to do.
_MEANT = {
    "block mapping, did not find expected key": "fields of one mapping begin in one column",
    "did not find expected '-' indicator": "elements of one list, and their `-`, begin in one column",
    "mapping values are not allowed": "fields of one mapping begin in one column; a text with `: ` in it wants quotes",
    "found unexpected ':'": "a blank follows the `:` of a field",
    "cannot start any token": "a text that begins with such a character wants quotes",
}


class Document(NamedTuple):
    """A file's plain data (dict, list, str, int, float, bool, None), and where each part of it stands."""

    name: str
    data: Any
    root: Any

    def mark(self, path: Path, *, key: bool = False) -> tuple[int, int]:
        """Line and column, from 1, of the value at `path`; with key=True of the key that leads to it.

        Where the path leads to nothing, the innermost part that is there.
        """
        label, node = self._find(path)
        return _position(label if key else node)

    def written(self, path: Path) -> str:
        """The scalar at `path` as the file spells it: 0755 where the data has 755."""
        return str(self._find(path)[1].value)

    def _find(self, path: Path) -> tuple[Any, Any]:
        label = node = self.root
        for step in path:
            pair = _child(node, step)
            if pair is None:
                break
            label, node = pair
        return label, node


def _syntax(error: Any, text: bytes) -> Problem:
    """What the parser complains of, and for frequent mistakes what to do."""
    mark = error.problem_mark or error.context_mark
    line, column = (mark.line + 1, mark.column + 1) if mark else (1, 1)
    if "another document" in str(error.problem):
        return Problem(line, column, "", "there is another document", "a file of its own for each pod")
    said = ", ".join(part for part in (error.context, error.problem) if part)
    around = text.split(b"\n")[line - 1 : line]
    no_token = "cannot start any token" in said
    tab = any(one.startswith(b"\t") or (no_token and one.lstrip(b" ").startswith(b"\t")) for one in around)
    hint = "indent with blanks, not with tabs" if tab else next((_MEANT[one] for one in _MEANT if one in said), "")
    return Problem(line, column, "", f"not YAML: {said}", hint)


def load(text: bytes, name: str) -> Document:
    """Read one document; `name` is the file's, for messages. Raises SpecProblems, reason `syntax`."""
    try:
        root = _compose(_decoded(text))
    except yaml.MarkedYAMLError as error:
        raise problems.error(name, [_syntax(error, text)], "syntax") from error
    except yaml.YAMLError as error:
        raise problems.error(name, [Problem(1, 1, "", f"not YAML: {error}")], "syntax") from error
    except _RefusedError as refused:
        raise problems.error(name, [refused.problem], "syntax") from refused
    reading = _Reading()
    try:
        data = reading.value(root, ())
    except _RefusedError as refused:
        reading.found.append(refused.problem)
    if reading.found:
        raise problems.error(name, reading.found, "syntax")
    return Document(name, data, root)


class _RefusedError(Exception):
    """A fault after which reading on makes no sense."""

    def __init__(self, position: tuple[int, int], message: str, hint: str = "", path: Path = ()) -> None:
        super().__init__(message)
        self.problem = Problem(*position, problems.dotted(path), message, hint)


def _decoded(text: bytes) -> str:
    if len(text) > LARGEST:
        raise _RefusedError((1, 1), f"the file has {len(text)} bytes, more than a spec may have ({LARGEST})")
    try:
        decoded = text.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        before = text[: error.start].decode("utf-8")
        raise _RefusedError(_after(before), "not UTF-8", "save the file as UTF-8") from error
    if bad := _UNPRINTABLE.search(decoded):
        raise _RefusedError(_after(decoded[: bad.start()]), f"the character U+{ord(bad[0]):04X} is not allowed in YAML")
    return decoded


def _after(before: str) -> tuple[int, int]:
    """The position that follows this text."""
    return before.count("\n") + 1, len(before) - (before.rfind("\n") + 1) + 1


def _compose(text: str) -> Any:
    """The document's root node. Depth is looked at first, event by event, as composing recurses in C."""
    depth = 0
    for event in yaml.parse(text, Loader=_LOADER):
        depth += isinstance(event, yaml.CollectionStartEvent) - isinstance(event, yaml.CollectionEndEvent)
        if depth > DEEPEST:
            raise _RefusedError(_position(event), f"more than {DEEPEST} mappings and lists inside each other")
    root = _LOADER(text).get_single_node()
    if root is None:
        raise _RefusedError((1, 1), "the file is empty", "a pod's spec begins with `apiVersion: v1`")
    return root


def _position(placed: Any) -> tuple[int, int]:
    return placed.start_mark.line + 1, placed.start_mark.column + 1


def _child(node: Any, step: str | int) -> tuple[Any, Any] | None:
    """The key's node (for a list the value's own) and the value's node."""
    if isinstance(node, yaml.MappingNode):
        return next((pair for pair in node.value if pair[0].value == step), None)
    if isinstance(node, yaml.SequenceNode) and isinstance(step, int) and step < len(node.value):
        return node.value[step], node.value[step]
    return None


class _Reading:
    """One pass over the nodes: plain data comes out, faults are collected."""

    def __init__(self) -> None:
        self.found: list[Problem] = []
        self._loader = _LOADER("")
        self._open: list[Any] = []
        self._nodes = 0

    def value(self, node: Any, path: Path) -> Any:
        """The plain data of a node. Raises _RefusedError for what aliases must not do."""
        self._nodes += 1
        if self._nodes > MOST_NODES:
            message = f"more than {MOST_NODES} values, aliases counted as what they stand for"
            raise _RefusedError(_position(node), message, path=path)
        if any(node is one for one in self._open):
            raise _RefusedError(_position(node), "an alias inside the value that it stands for", path=path)
        if len(self._open) >= DEEPEST and not isinstance(node, yaml.ScalarNode):
            raise _RefusedError(_position(node), f"aliases nest more than {DEEPEST} mappings and lists", path=path)
        if node.tag not in _CORE:
            self._complain(node, path, f"the tag {_short(node.tag)} is not known here", "leave it out")
            return None
        self._open.append(node)
        try:
            return self._plain(node, path)
        finally:
            self._open.pop()

    def _plain(self, node: Any, path: Path) -> Any:
        if isinstance(node, yaml.MappingNode) and node.tag == _TAG + "map":
            return dict(self._pairs(node, path))
        if isinstance(node, yaml.SequenceNode) and node.tag == _TAG + "seq":
            return [self.value(item, (*path, index)) for index, item in enumerate(node.value)]
        if isinstance(node, yaml.ScalarNode) and node.tag not in (_TAG + "map", _TAG + "seq"):
            return self._scalar(node, path)
        return self._misnamed(node, path)

    def _pairs(self, node: Any, path: Path) -> Iterator[tuple[str, Any]]:
        first: dict[str, int] = {}
        for label, item in node.value:
            if label.tag != _TAG + "str" or not isinstance(label, yaml.ScalarNode):
                self._complain(label, path, "a key must be a string", "put it into quotes")
                continue
            here = (*path, label.value)
            if label.value in first:
                self._complain(label, here, f"the key is there twice, first on line {first[label.value]}")
            first.setdefault(label.value, label.start_mark.line + 1)
            yield label.value, self.value(item, here)

    def _scalar(self, node: Any, path: Path) -> Any:
        try:
            value = self._loader.construct_object(node)
        except (ValueError, KeyError, IndexError, yaml.YAMLError):
            return self._misnamed(node, path)
        if isinstance(value, float) and not math.isfinite(value):
            self._complain(node, path, "not a finite number")
        if isinstance(value, int) and value.bit_length() > MOST_BITS:
            self._complain(node, path, "the number is too large")
        if isinstance(value, str) and _UNWRITABLE.search(value):
            self._complain(node, path, "the value has a NUL character, or half of a surrogate pair in it")
        return value

    def _misnamed(self, node: Any, path: Path) -> None:
        self._complain(node, path, f"the value is no {_short(node.tag).removeprefix('!!')}", "leave the tag out")

    def _complain(self, node: Any, path: Path, message: str, hint: str = "") -> None:
        self.found.append(Problem(*_position(node), problems.dotted(path), message, hint))


def _short(tag: str) -> str:
    return "!!" + tag.removeprefix(_TAG) if tag.startswith(_TAG) else tag
