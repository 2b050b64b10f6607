"""One app of the pod manifest: the image's app section with what the spec says over it (contract A.2 to A.5)."""

from __future__ import annotations

import json
import os
import posixpath
from collections.abc import Mapping, Set
from typing import Any

from stages.base.digest import short
from stages.base.errors import PodError
from stages.images.manifest import ENTRYPOINT, ImageManifest
from stages.images.store import is_oci
from stages.linux import capabilities
from stages.spec import names
from stages.spec.model import EXCLUSIVE, App, Capabilities, PodSpec, Resources, Seccomp, Security

Section = dict[str, Any]

# Names the empty volumes that stage1 fills with what the image has there: appc has them empty, OCI's VOLUMEs are not.
IMAGE_VOLUMES = "podwright/image-volumes"
RETAIN, REMOVE = "os/linux/capabilities-retain-set", "os/linux/capabilities-remove-set"
_SECCOMP_SETS = frozenset(("os/linux/seccomp-retain-set", "os/linux/seccomp-remove-set"))
# As rkt has it: everything may be called; and with nothing removed the default filter counts.
_PROFILES: dict[Seccomp, Section] = {
    Seccomp.UNCONFINED: {"name": "os/linux/seccomp-retain-set", "value": {"set": ["@appc.io/all"]}},
    Seccomp.RUNTIME_DEFAULT: {"name": "os/linux/seccomp-remove-set", "value": {"set": ["@appc.io/empty"]}},
}


def runtime_app(
    spec: PodSpec, app: App, image_id: str, image: ImageManifest, environment: Mapping[str, str], taken: Set[str]
) -> tuple[Section, list[Section]]:
    """The app as the pod manifest lists it, and the volumes that its image's mount points imply.

    environment: the caller's, for inheritEnv. taken: the names of the pod's other volumes. Raises PodError when there
    is nothing to execute.
    """
    section = _section(app, image_id, image)
    section["environment"] = _environment(spec, app, section.get("environment") or [], environment)
    if isolators := _isolators(app, section.get("isolators") or []):
        section["isolators"] = isolators
    mounts, points, implied = _mounts(spec, app, section.get("mountPoints") or [], taken)
    if points:
        section["mountPoints"] = points
    if ports := _ports(app, section.get("ports") or []):
        section["ports"] = ports
    made: Section = {
        "name": app.name,
        "image": {"name": image.name, "id": image_id, "labels": _listed(image.labels)},
        "app": section,
    }
    annotations = dict(image.annotations) | dict(app.annotations)
    annotations.pop(IMAGE_VOLUMES, None)
    if implied and is_oci(image_id):
        annotations[IMAGE_VOLUMES] = " ".join(volume["name"] for volume in implied)
    optional: Section = {"annotations": _listed(tuple(annotations.items())), "mounts": mounts}
    optional["readOnlyRootFS"] = app.security.read_only_root
    return made | {key: value for key, value in optional.items() if value}, implied


def inherited(environment: Mapping[str, str]) -> tuple[dict[str, str], list[str]]:
    """Which variables of the caller an app can inherit, and the names that it cannot (no valid appc names, M 3)."""
    good = {name: value for name, value in environment.items() if names.is_variable(name)}
    return good, sorted(environment.keys() - good.keys())


def _section(app: App, image_id: str, image: ImageManifest) -> Section:
    if image.app is None and app.command is None:
        raise PodError(
            f"image {short(image_id)} has no app section and app {app.name} gives no command",
            hint=f"say what to execute: `command: [/path/to/program]` for {app.name}",
            reason="no-command",
        )
    own = image.app or {"user": str(os.getuid()), "group": str(os.getgid())}
    section: Section = {key: value for key, value in own.items() if value is not None}
    section["exec"] = _command(app, image_id, image, section)
    chosen = {"user": app.security.user, "group": app.security.group, "workingDirectory": app.working_dir}
    section |= {key: value for key, value in chosen.items() if value is not None}
    if app.security.supplementary_gids is not None:
        section["supplementaryGIDs"] = list(app.security.supplementary_gids)
    return section


def _command(app: App, image_id: str, image: ImageManifest, section: Section) -> list[str]:
    """What is executed. Of an OCI image, args alone replace Cmd and not Entrypoint, as in Kubernetes."""
    if app.command is not None:
        return [*app.command, *app.args]
    own = list(section.get("exec") or [])
    says = "an empty exec"
    if is_oci(image_id):
        says = "neither Entrypoint nor Cmd"
        if app.args:
            own = json.loads(image.annotation(ENTRYPOINT) or "[]")
    if not [*own, *app.args]:
        raise PodError(
            f"image {short(image_id)} has {says} and app {app.name} gives no command",
            hint=f"say what to execute: `command: [/path/to/program]` for {app.name}",
            reason="no-command",
        )
    return [*own, *app.args]


def _environment(spec: PodSpec, app: App, own: list[Section], caller: Mapping[str, str]) -> list[Section]:
    """The app's, over the pod's, over the image's, over what is inherited. A variable keeps its first place."""
    merged = {item["name"]: item["value"] for item in own}
    merged |= {one.name: one.value for one in (*spec.stage0.env, *app.env)}
    if spec.stage0.inherit_env:
        for name, value in inherited(caller)[0].items():
            merged.setdefault(name, value)
    return _listed(tuple(merged.items()))


def _isolators(app: App, own: list[Section]) -> list[Section]:
    """The image's isolators, but those that the spec names, or names one that excludes them, and the spec's."""
    chosen = [*_resource_isolators(app.resources), *_security_isolators(app.security)]
    chosen += [{"name": one.name, "value": json.loads(one.value)} for one in app.isolators]
    # What the pod says for all apps gives way to an app's own set.
    if app.security.seccomp is not None and not _SECCOMP_SETS & {one["name"] for one in chosen}:
        chosen.append(_PROFILES[app.security.seccomp])
    replaced = {one["name"] for one in chosen}
    for pair in EXCLUSIVE:
        if not replaced.isdisjoint(pair):
            replaced.update(pair)
    return [one for one in own if one["name"] not in replaced] + chosen


def _resource_isolators(resources: Resources) -> list[Section]:
    made = []
    for name, limit, request, unit in (
        ("resource/cpu", resources.cpu_limit, resources.cpu_request, "m"),
        ("resource/memory", resources.memory_limit, resources.memory_request, ""),
    ):
        values = {"limit": limit, "request": request}
        value = {key: f"{amount}{unit}" for key, amount in values.items() if amount is not None}
        if value:
            made.append({"name": name, "value": value})
    if resources.pids_limit is not None:
        made.append({"name": "resource/pids", "value": {"limit": str(resources.pids_limit)}})
    return made


def _security_isolators(security: Security) -> list[Section]:
    made: list[Section] = []
    if security.capabilities is not None:
        made.append(_capabilities(security.capabilities))
    if security.no_new_privileges:
        made.append({"name": "os/linux/no-new-privileges", "value": True})
    return made


def _capabilities(change: Capabilities) -> Section:
    """Kubernetes' add and drop as one set: appc cannot say an empty retain-set, so "none" removes all defaults."""
    kept = change.applied(frozenset(capabilities.DEFAULT), frozenset(capabilities.NAMES))
    if not kept:
        return {"name": REMOVE, "value": {"set": list(capabilities.DEFAULT)}}
    return {"name": RETAIN, "value": {"set": sorted(kept)}}


def _mounts(
    spec: PodSpec, app: App, points: list[Section], taken: Set[str]
) -> tuple[list[Section], list[Section], list[Section]]:
    """The app's mounts, its mount points with the spec's read-only flags, and volumes for points that have none.

    A mount point that the spec mounts on gets the volume's name, and is before the image's: rkt's own stage1 takes the
    flag of the first one with that name. One that nothing is mounted on, by path or by name, gets an empty volume, so
    that the manifest is complete for every stage1 (appc: it is runnable when each mount point has a volume). Points of
    one name have one volume.
    """
    mounts: dict[str, Section] = {}
    for mount in app.mounts:
        mounts.setdefault(posixpath.normpath(mount.path), {"volume": mount.volume, "path": mount.path})
    by_path: dict[str, Section] = {}
    for mount in app.mounts:
        place = posixpath.normpath(mount.path)
        by_path[place] = {"name": mount.volume, "path": mount.path, "readOnly": mount.read_only}
    for point in points:
        by_path.setdefault(posixpath.normpath(point["path"]), dict(point))
    declared = {volume.name for volume in spec.volumes}
    implied: dict[str, Section] = {}
    for place, point in by_path.items():
        if place not in mounts and point["name"] not in declared:
            if point["name"] not in implied:
                volume = _free(f"{app.name}-{point['name']}", taken | {one["name"] for one in implied.values()})
                implied[point["name"]] = {"name": volume, "kind": "empty", "mode": "0755", "uid": 0, "gid": 0}
            mounts[place] = {"volume": implied[point["name"]]["name"], "path": point["path"]}
    return list(mounts.values()), list(by_path.values()), list(implied.values())


def _free(wish: str, taken: Set[str]) -> str:
    """The name, or if that is taken the first one with a number behind it that is not."""
    name, number = wish, 2
    while name in taken:
        name, number = f"{wish}-{number}", number + 1
    return name


def _ports(app: App, own: list[Section]) -> list[Section]:
    chosen: list[Section] = [
        {"name": port.name, "port": port.port, "protocol": port.protocol.value}
        | ({"socketActivated": True} if port.socket_activated else {})
        for port in app.ports
    ]
    replaced = {port["name"] for port in chosen}
    return [port for port in own if port["name"] not in replaced] + chosen


def _listed(pairs: tuple[tuple[str, str], ...]) -> list[Section]:
    return [{"name": name, "value": value} for name, value in pairs]
