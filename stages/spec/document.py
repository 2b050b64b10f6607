"""appc's documents, image and pod manifests, against their rules: schemas/*.json and what no schema says."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, Literal

from stages.linux import host
from stages.spec import jsonschemas, words
from stages.spec.model import EXCLUSIVE
from stages.spec.problems import Path
from stages.spec.shapes import integer, mapping, mappings, string, twice
from stages.spec.words import Fault

Kind = Literal["image-manifest", "pod-manifest"]

# appc's table of what runs where (contract K.2).
_ARCHITECTURES = {
    "linux": host.ARCHITECTURES,
    "freebsd": ("amd64", "i386", "arm"),
    "darwin": ("x86_64", "i386"),
}


def check(kind: Kind, data: object, where: str) -> list[str]:
    """Everything that is wrong with a parsed manifest, each fault as one line `path: message`; [] when nothing is.

    where: what the document is called, for a fault of the document as a whole. Unknown keys are no fault (appc ignores
    them), nor are unknown isolators: who runs the app reports those (contract K.2 to K.5).
    """
    found = [fault for error in jsonschemas.errors(kind, data) for fault in words.faults(error)]
    found += _image(data, ()) if kind == "image-manifest" else _pod(data)
    return list(dict.fromkeys(words.line(fault) if fault.path else f"{where}: {words.line(fault)}" for fault in found))


def _image(data: object, path: Path) -> Iterator[Fault]:
    yield from _cut_off(mapping(data).get("app"), (*path, "app"))
    yield from _named(data, path, "labels", "label")
    yield from _named(data, path, "annotations", "annotation")
    yield from _platform(data, path)
    yield from _app(mapping(data, "app"), (*path, "app"))
    for index, item in mappings(mapping(data).get("dependencies")):
        yield from _named(item, (*path, "dependencies", index), "labels", "label")


def _pod(data: object) -> Iterator[Fault]:
    yield from _cut_off(data, ())
    yield from _named(data, (), "apps", "app name")
    yield from _named(data, (), "volumes", "volume name")
    yield from _named(data, (), "annotations", "annotation")
    for index, item in mappings(mapping(data).get("apps")):
        path: Path = ("apps", index)
        yield from _named(item, path, "annotations", "annotation")
        yield from _named(mapping(item, "image"), (*path, "image"), "labels", "label")
        yield from _app(mapping(item, "app"), (*path, "app"))


def _app(app: dict[str, Any], path: Path) -> Iterator[Fault]:
    yield from _named(app, path, "environment", "variable")
    yield from _named(app, path, "eventHandlers", "event handler")
    isolators = [string(item.get("name")) for _, item in mappings(app.get("isolators"))]
    for first, second in EXCLUSIVE:
        if first in isolators and second in isolators:
            yield Fault((*path, "isolators"), f"{first} and {second} exclude each other")
    for index, port in mappings(app.get("ports")):
        number, count = integer(port.get("port")), integer(port.get("count"))
        if number is not None and count is not None and number + count > 65536:
            yield Fault((*path, "ports", index, "count"), f"{count} ports from {number} on go beyond 65535")


def _cut_off(data: object, path: Path) -> Iterator[Fault]:
    """A fault for every word that would end early, because the kernel takes a NUL for the end."""
    pending = [(path, data)]
    while pending:
        path, value = pending.pop()
        if isinstance(value, list):
            pending += [((*path, index), item) for index, item in enumerate(value)]
        elif isinstance(value, dict):
            pending += [(path, key) for key in value] + [((*path, key), item) for key, item in value.items()]
        elif "\0" in string(value):
            yield Fault(path, "has a NUL character in it")


def _platform(data: object, path: Path) -> Iterator[Fault]:
    labels = list(mappings(mapping(data).get("labels")))
    named = {string(item.get("name")): (index, string(item.get("value"))) for index, item in labels}
    if "os" not in named:
        return
    index, system = named["os"]
    if system not in _ARCHITECTURES:
        known = " ".join(_ARCHITECTURES)
        yield Fault((*path, "labels", index, "value"), f'bad os "{system}" (must be one of: [{known}])')
    elif "arch" in named and named["arch"][1] not in _ARCHITECTURES[system]:
        index, architecture = named["arch"]
        known = " ".join(_ARCHITECTURES[system])
        message = f'bad arch "{architecture}" for {system} (must be one of: [{known}])'
        yield Fault((*path, "labels", index, "value"), message)


def _named(owner: object, path: Path, field: str, what: str) -> Iterator[Fault]:
    """A fault for every name that is twice in a list of named things."""
    items = mappings(mapping(owner).get(field))
    yield from twice((((*path, field, index, "name"), string(item.get("name"))) for index, item in items), what)
