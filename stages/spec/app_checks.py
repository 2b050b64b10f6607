"""The rules for one app that JSON Schema cannot say: names that are unique, limits that fit, words that contradict."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterator
from typing import Any

from stages.base.errors import SpecError
from stages.spec import quantity
from stages.spec.model import EXCLUSIVE
from stages.spec.names import RESERVED
from stages.spec.problems import Path
from stages.spec.shapes import mapping, mappings, rows, string, twice
from stages.spec.spelling import capability_names, cleaned
from stages.spec.words import Fault, meant, show

LEAST_MEMORY = 4096  # bytes; what rkt 1.30 asks for, one page

_RESOURCES: dict[str, Callable[[Any], int]] = {"cpu": quantity.millicores, "memory": quantity.byte_count}

# An isolator, and the field of the app that says the same.
_SAME: tuple[tuple[str, Path], ...] = (
    ("resource/cpu", ("resources", "limits", "cpu")),
    ("resource/cpu", ("resources", "requests", "cpu")),
    ("resource/memory", ("resources", "limits", "memory")),
    ("resource/memory", ("resources", "requests", "memory")),
    ("resource/pids", ("resources", "limits", "pids")),
    ("os/linux/pids-limit", ("resources", "limits", "pids")),
    ("os/linux/capabilities-retain-set", ("securityContext", "capabilities")),
    ("os/linux/capabilities-remove-set", ("securityContext", "capabilities")),
    ("os/linux/no-new-privileges", ("securityContext", "allowPrivilegeEscalation")),
    ("os/linux/seccomp-retain-set", ("securityContext", "seccompProfile")),
    ("os/linux/seccomp-remove-set", ("securityContext", "seccompProfile")),
)


def faults(app: dict[str, Any], path: Path, volumes: set[str]) -> Iterator[Fault]:
    """What is wrong inside one item of spec.containers. volumes: the names that spec.volumes declares."""
    name = string(app.get("name"))
    if name in RESERVED:
        yield Fault((*path, "name"), f"{show(name)} is taken, tasks use it", "choose another name for the app")
    if not next((word for _, word in rows(app.get("command"))), "first"):
        yield Fault((*path, "command", 0), "the program's name is empty")
    env = (((*path, "env", index, "name"), string(item.get("name"))) for index, item in mappings(app.get("env")))
    yield from twice(env, "variable")
    yield from _mounts(app, path, volumes)
    yield from _resources(mapping(app, "resources"), (*path, "resources"))
    where = ("securityContext", "capabilities")
    yield from _capabilities(mapping(app, *where), (*path, *where))


def _mounts(app: dict[str, Any], path: Path, volumes: set[str]) -> Iterator[Fault]:
    where: list[tuple[Path, str]] = []
    for index, item in mappings(app.get("volumeMounts")):
        here = (*path, "volumeMounts", index)
        volume, target = string(item.get("name")), string(item.get("mountPath"))
        if volume and volume not in volumes:
            hint = meant(volume, volumes) or (f"declared: {', '.join(sorted(volumes))}" if volumes else "")
            yield Fault((*here, "name"), f"no volume {show(volume)} in spec.volumes", hint)
        where.append(((*here, "mountPath"), target))
    yield from twice(where, "mount path", cleaned)


def _resources(resources: dict[str, Any], path: Path) -> Iterator[Fault]:
    amounts: dict[tuple[str, str], int] = {}
    for part, resource in itertools.product(("limits", "requests"), _RESOURCES):
        value = mapping(resources, part).get(resource)
        try:
            if _well_formed(value):  # else the schema has said it already
                amounts[part, resource] = _RESOURCES[resource](value)
        except SpecError as error:
            yield Fault((*path, part, resource), error.sentence, error.hint)
    for (part, resource), amount in amounts.items():
        yield from _amount((*path, part, resource), part, resource, amount)
    for resource in _RESOURCES:
        asked, most = amounts.get(("requests", resource)), amounts.get(("limits", resource))
        if asked is not None and most is not None and asked > most:
            shown = f"{show(resources['requests'][resource])} is more than the limit"
            yield Fault((*path, "requests", resource), f"{shown}, {show(resources['limits'][resource])}")


def _well_formed(value: Any) -> bool:
    if isinstance(value, str):
        return quantity.is_quantity(value)
    return isinstance(value, int | float) and not isinstance(value, bool)


def _amount(path: Path, part: str, resource: str, amount: int) -> Iterator[Fault]:
    if amount <= 0:
        yield Fault(path, "must be more than nothing")
    elif (part, resource) == ("limits", "memory") and amount < LEAST_MEMORY:
        hint = "64Mi, for example; m is a thousandth, and M a million"
        yield Fault(path, f"{amount} bytes are too few to run in, the least is {LEAST_MEMORY}", hint)


def _capabilities(item: dict[str, Any], path: Path) -> Iterator[Fault]:
    added = {string(word) for _, word in rows(item.get("add"))} - {""}
    if "ALL" in added:
        return
    names = set(capability_names(added))
    for index, word in rows(item.get("drop")):
        if string(word) not in ("", "ALL") and names & set(capability_names((word,))):
            yield Fault((*path, "drop", index), f"{show(word)} is both added and dropped")


def own_faults(own: dict[str, Any], app: dict[str, Any], path: Path) -> Iterator[Fault]:
    """What is wrong inside one item of stage0.apps; `app` is the item of spec.containers with that name."""
    for ours, theirs in (("user", "runAsUser"), ("group", "runAsGroup")):
        if ours in own and theirs in mapping(app, "securityContext"):
            yield Fault((*path, ours), f"the app's securityContext has {theirs} already", "keep one of the two")
    items = mappings(own.get("isolators"))
    listed = [((*path, "isolators", index, "name"), string(item.get("name"))) for index, item in items]
    yield from twice(listed, "isolator")
    names = {name for _, name in listed}
    for place, name in listed:
        yield from _isolator(place, name, names, app)


def _isolator(path: Path, name: str, names: set[str], app: dict[str, Any]) -> Iterator[Fault]:
    for isolator, field in _SAME:
        if isolator == name and field[-1] in mapping(app, *map(str, field[:-1])):
            yield Fault(path, f"the app's {'.'.join(map(str, field))} says the same already", "keep one of the two")
    for first, second in EXCLUSIVE:
        if name == second and first in names:
            yield Fault(path, f"{second} and {first} exclude each other")
