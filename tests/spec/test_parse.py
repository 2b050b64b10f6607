"""Every field of a spec arrives in the record, in the one form that the rest of the program knows."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from stages.spec import parse
from stages.spec.model import (
    App,
    Capabilities,
    EmptyDir,
    Env,
    HostPath,
    Isolator,
    Mount,
    OverlayMode,
    PathType,
    PodSpec,
    Port,
    Protocol,
    Range,
    Resources,
    Seccomp,
    Security,
    Signatures,
    Stage0,
    Users,
    Volume,
)
from tests.spec.samples import SHOP, UID, app, pod, spec


def test_the_least_pod_has_the_documented_defaults() -> None:
    web = App(name="web", image="images/web.aci")
    assert pod(spec()) == PodSpec(name="plain", uid=UID, apps=(web,), path=Path("pod.yaml"))


def test_the_design_s_example(tmp_path: Path) -> None:
    path = tmp_path / "shop.yaml"
    path.write_text(SHOP)
    web = App(
        name="web",
        image="images/web.aci",
        command=("/usr/bin/shop",),
        args=("serve", "--port=8080"),
        env=(Env("TZ", "UTC"),),
        working_dir="/srv",
        ports=(Port("http", 8080, Protocol.TCP, 80),),
        mounts=(Mount("data", "/data", read_only=True),),
        resources=Resources(cpu_limit=500, memory_limit=256 << 20),
        security=Security(user="1000", capabilities=Capabilities(drop=("ALL",)), read_only_root=True),
    )
    assert parse.load(path) == PodSpec(
        name="shop",
        uid=UID,
        hostname="shop",
        apps=(web,),
        volumes=(Volume("data", HostPath("/srv/shop")), Volume("scratch", EmptyDir())),
        stage0=Stage0(private_users=Users.AUTO, env=(Env("LANG", "C.UTF-8"),)),
        path=path,
    )


@pytest.mark.parametrize(
    ("given", "field", "value"),
    [
        ({"command": ["a", "b c"]}, "command", ("a", "b c")),
        ({"args": []}, "args", ()),
        ({"args": ["$(HOME)", ""]}, "args", ("$(HOME)", "")),
        ({"env": [{"name": "A"}, {"name": "B", "value": "x=y"}]}, "env", (Env("A", ""), Env("B", "x=y"))),
        ({"ports": [{"containerPort": 53, "protocol": "UDP"}]}, "ports", (Port("udp-53", 53, Protocol.UDP),)),
        (
            {"ports": [{"containerPort": 80.0, "hostPort": 8080.0, "hostIP": "::1"}]},
            "ports",
            (Port("tcp-80", 80, Protocol.TCP, 8080, "::1"),),
        ),
        (
            {"resources": {"limits": {"pids": 9, "cpu": 1.5}, "requests": {"cpu": "1", "memory": "1k"}}},
            "resources",
            Resources(cpu_request=1000, cpu_limit=1500, memory_request=1000, pids_limit=9),
        ),
        (
            {"securityContext": {"runAsUser": 0, "runAsGroup": 7, "allowPrivilegeEscalation": False}},
            "security",
            Security(user="0", group="7", no_new_privileges=True),
        ),
        ({"securityContext": {"allowPrivilegeEscalation": True}}, "security", Security()),
        (
            {"securityContext": {"seccompProfile": {"type": "Unconfined"}}},
            "security",
            Security(seccomp=Seccomp.UNCONFINED),
        ),
        (
            {"securityContext": {"capabilities": {"add": ["KILL", "CAP_CHOWN"], "drop": ["ALL", "FOWNER"]}}},
            "security",
            Security(capabilities=Capabilities(("CAP_CHOWN", "CAP_KILL"), ("ALL",))),
        ),
    ],
)
def test_fields_of_an_app(given: dict[str, Any], field: str, value: object) -> None:
    found = getattr(app(spec(app=given)), field)
    assert found == value
    assert repr(found) == repr(value)  # 80 and 80.0 are equal, and are not the same in a manifest


@pytest.mark.parametrize(
    ("given", "field", "value"),
    [
        ({"overlay": True}, "overlay", OverlayMode.TRUE),
        ({"overlay": False}, "overlay", OverlayMode.FALSE),
        ({"overlay": "auto"}, "overlay", OverlayMode.AUTO),
        ({"privateUsers": False}, "private_users", Users.OFF),
        ({"privateUsers": "auto"}, "private_users", Users.AUTO),
        ({"privateUsers": {"shift": 1000000, "count": 65536}}, "private_users", Range(1000000, 65536)),
        ({"stage1": "sha512-abc"}, "stage1", "sha512-abc"),
        ({"dependencies": ["./a.aci", "b:1"]}, "dependencies", ("./a.aci", "b:1")),
        ({"inheritEnv": True}, "inherit_env", True),
        ({"env": {"B": "2", "A": "1"}}, "env", (Env("A", "1"), Env("B", "2"))),
        ({"net": ["x:IP=10.0.0.1", "default"]}, "net", ("x:IP=10.0.0.1", "default")),
        ({"interactive": True}, "interactive", True),
        ({"mdsRegister": True}, "mds_register", True),
        ({"localConfig": "/etc/rkt"}, "local_config", "/etc/rkt"),
        ({"debug": True}, "debug", True),
        ({"signatures": "off"}, "signatures", Signatures.OFF),
        ({}, "signatures", None),
    ],
)
def test_fields_of_stage0(given: dict[str, Any], field: str, value: object) -> None:
    assert getattr(pod(spec(stage0=given)).stage0, field) == value


def test_a_ready_manifest_leaves_no_apps() -> None:
    data = spec(stage0={"podManifest": "ready.json"})
    del data["spec"]
    found = pod(data)
    assert found.apps == ()
    assert found.stage0.pod_manifest == "ready.json"


def test_fields_of_the_pod() -> None:
    found = pod(
        spec(
            metadata={"uid": UID.upper(), "labels": {"b": "2", "a": "1"}, "annotations": {"example.com/x": "y"}},
            spec={"hostname": "h", "restartPolicy": "Never", "terminationGracePeriodSeconds": 0},
        )
    )
    assert found.uid == UID
    assert found.labels == (("a", "1"), ("b", "2"))
    assert found.annotations == (("example.com/x", "y"),)
    assert (found.hostname, found.termination_grace) == ("h", 0)


def test_volumes_and_mounts_are_cleaned() -> None:
    data = spec(
        spec={
            "volumes": [
                {"name": "a", "hostPath": {"path": "//srv/./x/", "type": "File", "recursive": False}},
                {"name": "b", "emptyDir": {"mode": "1777", "uid": 5, "gid": 6}},
            ]
        },
        app=None,
    )
    data["spec"]["containers"][0]["volumeMounts"] = [{"name": "a", "mountPath": "/x//y/./"}]
    found = pod(data)
    assert found.volumes == (
        Volume("a", HostPath("/srv/x", PathType.FILE, recursive=False)),
        Volume("b", EmptyDir(0o1777, 5, 6)),
    )
    assert found.apps[0].mounts == (Mount("a", "/x/y"),)


def test_an_app_s_own_word_comes_before_the_pod_s() -> None:
    whole = {"securityContext": {"runAsUser": 1, "runAsGroup": 2, "supplementalGroups": [3]}}
    assert app(spec(spec=whole)).security == Security("1", "2", (3,))
    assert app(spec(spec=whole, app={"securityContext": {"runAsUser": 9}})).security == Security("9", "2", (3,))
    profiles = [{"seccompProfile": {"type": one.value}} for one in Seccomp]
    found = app(spec(spec={"securityContext": profiles[0]}, app={"securityContext": profiles[1]})).security.seccomp
    assert found is Seccomp.UNCONFINED
    named = {"apps": {"web": {"user": "www-data", "group": "/srv", "supplementaryGroups": []}}}
    assert app(spec(spec=whole, stage0=named)).security == Security("www-data", "/srv", ())


def test_isolators_and_annotations_of_an_app() -> None:
    value = {"z": [1, None], "a": "é"}
    found = app(
        spec(
            stage0={
                "apps": {
                    "web": {
                        "isolators": [{"name": "example.com/x", "value": value}],
                        "annotations": {"b": "2", "a": "1"},
                    }
                }
            }
        )
    )
    assert found.isolators == (Isolator("example.com/x", '{"a":"é","z":[1,null]}'),)
    assert json.loads(found.isolators[0].value) == value
    assert found.annotations == (("a", "1"), ("b", "2"))


def test_records_are_hashable_and_hold_no_mapping() -> None:
    def leaves(value: Any) -> Any:
        if isinstance(value, tuple):
            for item in value:
                yield from leaves(item)
        else:
            yield value

    found = pod(spec(metadata={"labels": {"a": "b"}}, stage0={"env": {"A": "1"}, "privateUsers": "auto"}))
    assert isinstance(hash(found), int)
    assert not [leaf for leaf in leaves(found) if isinstance(leaf, dict | list | set)]


def test_files_are_shown_from_where_one_stands(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    assert parse.shown(tmp_path / "pods" / "a.yaml") == "pods/a.yaml"
    assert parse.shown(Path("/elsewhere/a.yaml")) == "/elsewhere/a.yaml"


def test_the_project_s_own_specs_are_right() -> None:
    for path in sorted((Path(__file__).parent.parent.parent / "pods").glob("*.yaml")):
        assert parse.load(path).apps
