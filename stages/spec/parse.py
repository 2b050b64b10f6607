"""Validated data becomes a PodSpec; the one place that knows both Kubernetes' spelling and ours."""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from stages.base.digest import canonical
from stages.spec import names, quantity
from stages.spec.model import (
    App,
    Capabilities,
    EmptyDir,
    Env,
    HostPath,
    Isolator,
    Mount,
    OverlayMode,
    Pairs,
    PathType,
    PodSpec,
    Port,
    PrivateUsers,
    Protocol,
    PullPolicy,
    Range,
    Resources,
    Seccomp,
    Security,
    Signatures,
    Stage0,
    Users,
    Volume,
)
from stages.spec.spelling import capability_names, cleaned, port_name

Data = Mapping[str, Any]


def load(path: Path) -> PodSpec:
    """The spec in the file `path`. Raises SpecProblems with everything that is wrong with it, OSError."""
    return parse(validated(path.read_bytes(), path), path)


def validated(text: bytes, path: Path) -> Data:
    """The plain data of a spec's bytes, when nothing is wrong with it; `path` is for messages. Raises SpecProblems."""
    from stages.spec import problems, schema, yaml

    document = yaml.load(text, shown(path))
    if found := schema.problems(document):
        raise problems.error(document.name, found)
    data: Data = document.data
    return data


def shown(path: Path) -> str:
    """A file's name as messages have it: relative to the working directory when it is below it."""
    try:
        return str(path.relative_to(os.getcwd()))
    except (ValueError, OSError):
        return str(path)


def parse(data: Data, path: Path) -> PodSpec:
    """The record of data that `validated` returned, for the file `path`."""
    metadata, spec, stage0 = data["metadata"], data.get("spec") or {}, data.get("stage0") or {}
    uid = names.uuid(metadata["uid"])
    assert uid is not None, "validated data has a UUID"
    grace = spec.get("terminationGracePeriodSeconds")
    return PodSpec(
        name=metadata["name"],
        uid=uid,
        apps=tuple(_app(item, spec, stage0) for item in spec.get("containers") or ()),
        volumes=tuple(_volume(item) for item in spec.get("volumes") or ()),
        hostname=spec.get("hostname"),
        labels=_pairs(metadata.get("labels")),
        annotations=_pairs(metadata.get("annotations")),
        termination_grace=None if grace is None else int(grace),
        stage0=_stage0(stage0),
        path=path,
    )


def _app(item: Data, spec: Data, stage0: Data) -> App:
    own = (stage0.get("apps") or {}).get(item["name"]) or {}
    command = item.get("command")
    return App(
        name=item["name"],
        image=item["image"],
        command=None if command is None else tuple(command),
        args=tuple(item.get("args") or ()),
        env=tuple(Env(one["name"], one.get("value", "")) for one in item.get("env") or ()),
        working_dir=item.get("workingDir"),
        ports=tuple(_port(one) for one in item.get("ports") or ()),
        mounts=tuple(_mount(one) for one in item.get("volumeMounts") or ()),
        resources=_resources(item.get("resources") or {}),
        security=_security(item.get("securityContext") or {}, spec.get("securityContext") or {}, own),
        isolators=tuple(
            Isolator(one["name"], canonical(one["value"]).decode().rstrip("\n")) for one in own.get("isolators") or ()
        ),
        annotations=_pairs(own.get("annotations")),
        pull=PullPolicy(item.get("imagePullPolicy", "IfNotPresent")),
        platform=own.get("platform", ""),
    )


def _port(item: Data) -> Port:
    number, protocol = int(item["containerPort"]), Protocol(item.get("protocol", "TCP").lower())
    host_port = item.get("hostPort")
    return Port(
        name=port_name(item),
        port=number,
        protocol=protocol,
        host_port=None if host_port is None else int(host_port),
        host_ip=item.get("hostIP", ""),
        socket_activated=item.get("socketActivated", False),
    )


def _mount(item: Data) -> Mount:
    return Mount(item["name"], cleaned(item["mountPath"]), item.get("readOnly", False))


def _volume(item: Data) -> Volume:
    if "hostPath" in item:
        place = item["hostPath"]
        kind = PathType(place.get("type", ""))
        return Volume(item["name"], HostPath(cleaned(place["path"]), kind, place.get("recursive", True)))
    empty = item["emptyDir"] or {}
    mode = int(empty.get("mode", "0755"), 8)
    return Volume(item["name"], EmptyDir(mode, int(empty.get("uid", 0)), int(empty.get("gid", 0))))


def _resources(item: Data) -> Resources:
    limits, requests = item.get("limits") or {}, item.get("requests") or {}
    pids = limits.get("pids")
    return Resources(
        cpu_request=None if "cpu" not in requests else quantity.millicores(requests["cpu"]),
        cpu_limit=None if "cpu" not in limits else quantity.millicores(limits["cpu"]),
        memory_request=None if "memory" not in requests else quantity.byte_count(requests["memory"]),
        memory_limit=None if "memory" not in limits else quantity.byte_count(limits["memory"]),
        pids_limit=None if pids is None else int(pids),
    )


def _security(app: Data, pod: Data, own: Data) -> Security:
    """An app's own word comes before the pod's, and stage0's names before both (checks.py lets no app have two)."""
    merged = {**pod, **app}
    gids = own.get("supplementaryGroups", pod.get("supplementalGroups"))
    return Security(
        user=_account(own.get("user"), merged.get("runAsUser")),
        group=_account(own.get("group"), merged.get("runAsGroup")),
        supplementary_gids=None if gids is None else tuple(int(gid) for gid in gids),
        capabilities=_capabilities(app.get("capabilities")),
        read_only_root=app.get("readOnlyRootFilesystem", False),
        no_new_privileges=app.get("allowPrivilegeEscalation") is False,
        seccomp=Seccomp(merged["seccompProfile"]["type"]) if merged.get("seccompProfile") else None,
    )


def _account(name: str | None, number: int | None) -> str | None:
    if name is not None:
        return name
    return None if number is None else str(int(number))


def _capabilities(item: Data | None) -> Capabilities | None:
    if item is None:
        return None
    return Capabilities(capability_names(item.get("add") or ()), capability_names(item.get("drop") or ()))


def _stage0(item: Data) -> Stage0:
    return Stage0(
        stage1=item.get("stage1", "crun"),
        dependencies=tuple(item.get("dependencies") or ()),
        overlay=OverlayMode(str(item.get("overlay", "auto")).lower()),
        private_users=_private_users(item.get("privateUsers", False)),
        inherit_env=item.get("inheritEnv", False),
        env=tuple(Env(name, value) for name, value in _pairs(item.get("env"))),
        net=tuple(item.get("net", ("default",))),
        interactive=item.get("interactive", False),
        mds_register=item.get("mdsRegister", False),
        local_config=item.get("localConfig"),
        pod_manifest=item.get("podManifest"),
        debug=item.get("debug", False),
        signatures=Signatures(item["signatures"]) if item.get("signatures") else None,
    )


def _private_users(item: Any) -> PrivateUsers:
    if item is False:
        return Users.OFF
    return Users.AUTO if item == "auto" else Range(int(item["shift"]), int(item["count"]))


def _pairs(item: Mapping[str, str] | None) -> Pairs:
    return tuple(sorted((item or {}).items()))
