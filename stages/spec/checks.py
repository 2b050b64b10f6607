"""The rules of a whole pod that JSON Schema cannot say: what must be unique, must exist, or excludes something else."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from stages.spec import app_checks
from stages.spec.problems import Path
from stages.spec.shapes import integer, mapping, mappings, rows, string, twice
from stages.spec.spelling import port_name
from stages.spec.words import Fault, meant, show

OUR_ANNOTATIONS = "podwright/"
_HIGHEST_ID = 2**31  # devpts reads ids as signed numbers, contract G

# What would go into a pod manifest, and so cannot be said beside a ready one (rkt refuses the same, contract C.7).
_MANIFEST_FIELDS: tuple[tuple[str, ...], ...] = (
    ("metadata", "labels"),
    ("metadata", "annotations"),
    ("spec", "containers"),
    ("spec", "volumes"),
    ("spec", "securityContext"),
    ("spec", "terminationGracePeriodSeconds"),
    ("stage0", "env"),
    ("stage0", "apps"),
)
_ALONE = ("none", "host")  # networks beside which no other makes sense
_NO_ARGUMENTS = ("all", "host")


def faults(data: Any) -> Iterator[Fault]:
    """What is wrong with the plain data of a spec. Parts that have not the schema's shape are passed over."""
    spec, stage0 = mapping(data, "spec"), mapping(data, "stage0")
    apps = list(mappings(spec.get("containers")))
    declared = [string(item.get("name")) for _, item in mappings(spec.get("volumes"))]
    yield from _annotations(mapping(data, "metadata", "annotations"))
    yield from _volumes(spec)
    yield from twice(
        ((("spec", "containers", index, "name"), string(app.get("name"))) for index, app in apps), "app name"
    )
    for index, app in apps:
        yield from app_checks.faults(app, ("spec", "containers", index), set(declared) - {""})
    yield from _ports(apps, stage0)
    yield from _own_words(mapping(stage0, "apps"), apps)
    yield from _network(stage0)
    yield from _private_users(mapping(stage0, "privateUsers"))
    yield from _interactive(stage0, apps)
    if isinstance(data, dict):
        yield from _ready_manifest(data, spec, stage0)


def _annotations(annotations: dict[str, Any]) -> Iterator[Fault]:
    for name in annotations:
        if name.startswith(OUR_ANNOTATIONS):
            path = ("metadata", "annotations", name)
            hint = "spec.terminationGracePeriodSeconds and the other fields set them"
            yield Fault(path, f"names that begin with {OUR_ANNOTATIONS} are podwright's own", hint, at_key=True)


def _volumes(spec: dict[str, Any]) -> Iterator[Fault]:
    volumes = list(mappings(spec.get("volumes")))
    yield from twice(
        ((("spec", "volumes", index, "name"), string(item.get("name"))) for index, item in volumes), "volume name"
    )
    for index, item in volumes:
        path = ("spec", "volumes", index)
        kinds = [kind for kind in ("hostPath", "emptyDir") if kind in item]
        if not kinds and item.keys() <= {"name"}:  # of another kind, as configMap, is said that it is unknown
            yield Fault(path, "the volume is neither hostPath nor emptyDir", "for example `emptyDir: {}`")
        elif len(kinds) == 2:
            yield Fault((*path, kinds[1]), "the volume is both hostPath and emptyDir", "keep one", at_key=True)


def _ports(apps: list[tuple[int, dict[str, Any]]], stage0: dict[str, Any]) -> Iterator[Fault]:
    ports = [
        (("spec", "containers", number, "ports", index), item)
        for number, app in apps
        for index, item in mappings(app.get("ports"))
    ]
    named = [(path, item) for path, item in ports if "name" in item or integer(item.get("containerPort"))]
    places = (((*path, "name" if "name" in item else "containerPort"), _port_name(item)) for path, item in named)
    yield from twice(places, "port name")
    networks = {_net_name(word) for _, word in rows(stage0.get("net"))}
    for place, (path, item) in enumerate(ports):
        yield from _host_port(path, item, networks)
        for earlier, other in ports[:place]:
            yield from _collision(path, item, earlier, other)


def _port_name(item: dict[str, Any]) -> str:
    return string(item["name"]) if "name" in item else port_name(item)


def _host_port(path: Path, item: dict[str, Any], networks: set[str]) -> Iterator[Fault]:
    address = string(item.get("hostIP"))
    if address and not _is_address(address):
        yield Fault((*path, "hostIP"), f"{show(address)} is not an IP address")
    if "hostPort" not in item:
        if address:
            yield Fault((*path, "hostIP"), "means nothing without hostPort", "add hostPort, or take it out")
        return
    for alone in _ALONE:
        if alone in networks:
            yield Fault((*path, "hostPort"), f"nothing is forwarded with the network {alone}", "take it out")


def _collision(path: Path, item: dict[str, Any], earlier: Path, other: dict[str, Any]) -> Iterator[Fault]:
    """Two ports want one port of the host: same number and transport, and addresses that are equal or everywhere."""
    number = integer(item.get("hostPort"))
    same = number is not None and number == integer(other.get("hostPort"))
    if not same or item.get("protocol", "TCP") != other.get("protocol", "TCP"):
        return
    addresses = (string(item.get("hostIP")), string(other.get("hostIP")))
    if addresses[0] == addresses[1] or {"", "0.0.0.0", "::"} & set(addresses):
        app, port = earlier[2], earlier[4]
        first = f"spec.containers[{app}].ports[{port}].hostPort"
        yield Fault((*path, "hostPort"), f"the host port {number} is there twice, first at {first}")


def _is_address(text: str) -> bool:
    import ipaddress

    try:
        ipaddress.ip_address(text)
    except ValueError:
        return False
    return True


def _own_words(own: dict[str, Any], apps: list[tuple[int, dict[str, Any]]]) -> Iterator[Fault]:
    by_name = {string(app.get("name")): app for _, app in apps}
    for name, item in own.items():
        path = ("stage0", "apps", name)
        if name not in by_name:
            hint = meant(name, by_name) or f"the apps are: {', '.join(by_name)}"
            yield Fault(path, f"no app {show(name)} in spec.containers", hint, at_key=True)
        elif isinstance(item, dict):
            yield from app_checks.own_faults(item, by_name[name], path)


def _net_name(word: Any) -> str:
    return string(word).partition(":")[0]


def _network(stage0: dict[str, Any]) -> Iterator[Fault]:
    """The list as rkt's --net has it (contract B.5), and no network beside none or host."""
    elements = [(("stage0", "net", index), string(word)) for index, word in rows(stage0.get("net"))]
    yield from twice(((path, _net_name(word)) for path, word in elements), "network")
    for path, word in elements:
        name, colon, arguments = word.partition(":")
        if "," in word or any(letter.isspace() for letter in word):
            yield Fault(path, f"{show(word)} has a comma or a blank in it", "one network an item")
        elif word and not name:
            yield Fault(path, f"{show(word)} has no name before the colon")
        elif ":" in arguments:
            yield Fault(path, f"{show(word)} has more than one colon", "write NAME:KEY=VALUE;KEY=VALUE")
        elif colon and name in (*_NO_ARGUMENTS, "none"):
            yield Fault(path, f"the network {name} takes no arguments")
        if name in _ALONE and len(elements) > 1:
            yield Fault(path, f"{name} stands alone, no other network goes with it")
    if stage0.get("mdsRegister") is True and "none" in {_net_name(word) for _, word in elements}:
        yield Fault(("stage0", "mdsRegister"), "a pod without network cannot reach the metadata service")


def _private_users(users: dict[str, Any]) -> Iterator[Fault]:
    shift, count = integer(users.get("shift")), integer(users.get("count"))
    if shift is not None and count is not None and shift + count > _HIGHEST_ID:
        yield Fault(("stage0", "privateUsers"), f"the range ends after {_HIGHEST_ID - 1}, the highest id there may be")


def _interactive(stage0: dict[str, Any], apps: list[tuple[int, dict[str, Any]]]) -> Iterator[Fault]:
    if stage0.get("interactive") is True and len(apps) > 1:
        yield Fault(("stage0", "interactive"), f"a terminal is for one app, this pod has {len(apps)}")


def _ready_manifest(data: dict[str, Any], spec: dict[str, Any], stage0: dict[str, Any]) -> Iterator[Fault]:
    if stage0.get("podManifest") is None:
        if "spec" not in data:
            yield Fault(("spec",), "missing", "a pod needs spec.containers, or stage0.podManifest")
        elif isinstance(data["spec"], dict) and "containers" not in spec:
            hint = "for example `containers: [{name: web, image: images/web.aci}]`"
            yield Fault(("spec", "containers"), "missing", hint)
        return
    for path in _MANIFEST_FIELDS:
        if path[-1] in mapping(data, *path[:-1]):
            yield Fault(path, "cannot be said beside stage0.podManifest", "put it into that manifest", at_key=True)
    if stage0.get("inheritEnv") is True:
        yield Fault(("stage0", "inheritEnv"), "cannot be said beside stage0.podManifest", at_key=True)
