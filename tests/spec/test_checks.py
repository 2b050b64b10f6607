"""The rules of a whole pod that no schema says."""

from __future__ import annotations

from typing import Any

import pytest

from stages.spec import checks
from tests.spec.samples import problems, spec, the_problem

EMPTY = {"name": "a", "emptyDir": {}}


def ports(*items: dict[str, Any]) -> dict[str, Any]:
    return {"ports": list(items)}


@pytest.mark.contract("L.1 rkt_volume_mount", "M 1", "M 5", "B.5 net list")
@pytest.mark.parametrize(
    ("path", "says", "data"),
    [
        ("spec.containers[1].name", "first at spec.containers[0].name", spec(second={"name": "web"})),
        ("spec.volumes[1].name", "twice", spec(spec={"volumes": [EMPTY, EMPTY]})),
        ("spec.volumes[0]", "neither hostPath nor emptyDir", spec(spec={"volumes": [{"name": "a"}]})),
        (
            "spec.volumes[0].emptyDir",
            "both hostPath and emptyDir",
            spec(spec={"volumes": [{"name": "a", "hostPath": {"path": "/"}, "emptyDir": {}}]}),
        ),
        (
            "spec.containers[1].ports[0].name",
            "port name",
            spec(app=ports({"name": "http", "containerPort": 80}), second=ports({"name": "http", "containerPort": 81})),
        ),
        (
            "spec.containers[0].ports[1].containerPort",
            'port name "tcp-80" is there twice',
            spec(app=ports({"containerPort": 80}, {"containerPort": 80})),
        ),
        (
            "spec.containers[1].ports[0].hostPort",
            "host port 80 is there twice, first at spec.containers[0].ports[0].hostPort",
            spec(
                app=ports({"containerPort": 1, "hostPort": 80}),
                second=ports({"containerPort": 2, "hostPort": 80, "hostIP": "127.0.0.1"}),
            ),
        ),
        (
            "spec.containers[0].ports[0].hostIP",
            "not an IP address",
            spec(app=ports({"containerPort": 1, "hostPort": 80, "hostIP": "localhost"})),
        ),
        (
            "spec.containers[0].ports[0].hostIP",
            "without hostPort",
            spec(app=ports({"containerPort": 1, "hostIP": "::1"})),
        ),
        (
            "spec.containers[0].ports[0].hostPort",
            "network none",
            spec(app=ports({"containerPort": 1, "hostPort": 80}), stage0={"net": ["none"]}),
        ),
        (
            "spec.containers[0].ports[0].hostPort",
            "network host",
            spec(app=ports({"containerPort": 1, "hostPort": 80}), stage0={"net": ["host"]}),
        ),
        ("stage0.interactive", "one app", spec(second={}, stage0={"interactive": True})),
        ("stage0.mdsRegister", "without network", spec(stage0={"net": ["none"], "mdsRegister": True})),
        ("stage0.apps.wbe", "no app", spec(stage0={"apps": {"wbe": {}}})),
        ("stage0.privateUsers", "highest id", spec(stage0={"privateUsers": {"shift": 2**31 - 1, "count": 2}})),
        ("metadata.annotations.podwright/x", "podwright's own", spec(metadata={"annotations": {"podwright/x": "1"}})),
    ],
)
def test_single_faults(path: str, says: str, data: dict[str, Any]) -> None:
    problem = the_problem(data)
    assert problem.path == path
    assert says in problem.message


@pytest.mark.contract("B.5 net list")
@pytest.mark.parametrize(
    ("net", "path", "says"),
    [
        (["a", "b", "a"], "stage0.net[2]", "there twice"),
        (["a:x=1", "a:x=2"], "stage0.net[1]", "there twice"),
        (["a:b:c"], "stage0.net[0]", "more than one colon"),
        ([":x=1"], "stage0.net[0]", "no name"),
        (["a,b"], "stage0.net[0]", "comma"),
        (["a b"], "stage0.net[0]", "blank"),
        (["all:x=1"], "stage0.net[0]", "no arguments"),
        (["host:x=1"], "stage0.net[0]", "no arguments"),
        (["none:"], "stage0.net[0]", "no arguments"),
        (["default", "none"], "stage0.net[1]", "stands alone"),
        (["host", "default"], "stage0.net[0]", "stands alone"),
    ],
)
def test_networks_that_make_no_sense(net: list[str], path: str, says: str) -> None:
    problem = the_problem(spec(stage0={"net": net}))
    assert problem.path == path
    assert says in problem.message


@pytest.mark.parametrize("net", [["default"], ["none"], ["host"], ["all"], ["default", "backend:IP=10.1.2.3;X=y"]])
def test_networks_that_do(net: list[str]) -> None:
    assert problems(spec(stage0={"net": net})) == []


@pytest.mark.parametrize(
    "data",
    [
        spec(
            app=ports({"containerPort": 53}, {"containerPort": 53, "protocol": "UDP"}),
        ),
        spec(
            app=ports(
                {"name": "a", "containerPort": 1, "hostPort": 53},
                {"name": "b", "containerPort": 1, "hostPort": 53, "protocol": "UDP"},
            )
        ),
        spec(
            app=ports(
                {"name": "a", "containerPort": 1, "hostPort": 80, "hostIP": "127.0.0.1"},
                {"name": "b", "containerPort": 2, "hostPort": 80, "hostIP": "127.0.0.2"},
            )
        ),
        spec(stage0={"privateUsers": {"shift": 2**31 - 65536, "count": 65536}}),
        spec(stage0={"interactive": True}),
        spec(stage0={"mdsRegister": True}),
    ],
)
def test_what_only_looks_like_a_fault(data: dict[str, Any]) -> None:
    assert problems(data) == []


def ready(**more: Any) -> dict[str, Any]:
    data = spec(stage0={"podManifest": "pod.json", **more})
    del data["spec"]
    return data


def test_a_ready_manifest_needs_no_spec() -> None:
    assert problems(ready()) == []
    assert problems({**ready(), "spec": {"hostname": "x"}}) == []


@pytest.mark.contract("L.1 rkt_prepare", "L.1 rkt_run", "M 14", "M 48")
@pytest.mark.parametrize(
    ("path", "data"),
    [
        ("metadata.labels", {**ready(), "metadata": {**spec()["metadata"], "labels": {}}}),
        ("metadata.annotations", {**ready(), "metadata": {**spec()["metadata"], "annotations": {}}}),
        ("spec.containers", {**ready(), "spec": spec()["spec"]}),
        ("spec.volumes", {**ready(), "spec": {"volumes": []}}),
        ("spec.securityContext", {**ready(), "spec": {"securityContext": {}}}),
        ("spec.terminationGracePeriodSeconds", {**ready(), "spec": {"terminationGracePeriodSeconds": 1}}),
        ("stage0.env", ready(env={})),
        ("stage0.apps", ready(apps={})),
        ("stage0.inheritEnv", ready(inheritEnv=True)),
    ],
)
def test_a_ready_manifest_excludes_all_that_would_go_into_one(path: str, data: dict[str, Any]) -> None:
    problem = the_problem(data)
    assert problem.path == path
    assert "beside stage0.podManifest" in problem.message


def test_without_a_ready_manifest_there_must_be_apps() -> None:
    data = spec()
    del data["spec"]["containers"]
    assert (the_problem(data).path, the_problem(data).message) == ("spec.containers", "missing")
    del data["spec"]
    assert (the_problem(data).path, the_problem(data).message) == ("spec", "missing")


def test_a_misspelled_app_of_stage0_is_recognised() -> None:
    assert the_problem(spec(stage0={"apps": {"wbe": {}}})).hint == "did you mean 'web'?"


@pytest.mark.parametrize("odd", [None, 1, 1.5, True, "x", [], [[]], [1], {}, {"x": 1}, [{"name": []}], [{"name": {}}]])
def test_no_shape_of_data_confuses_the_checks(odd: Any) -> None:
    shapes: list[Any] = [odd, *({**spec(), field: odd} for field in ("metadata", "spec", "stage0"))]
    shapes += [spec(spec={field: odd}) for field in ("containers", "volumes", "securityContext", "hostname")]
    shapes += [
        spec(app={field: odd})
        for field in ("name", "command", "args", "env", "ports", "volumeMounts", "resources", "securityContext")
    ]
    port_fields = ("name", "containerPort", "hostPort", "hostIP", "protocol")
    shapes += [spec(app={"ports": [{field: odd}]}) for field in port_fields]
    shapes += [spec(app={"ports": [{"containerPort": 1, "protocol": odd}, {"containerPort": odd, "hostPort": odd}]})]
    shapes += [spec(app={"volumeMounts": [{"name": odd, "mountPath": odd}]})]
    shapes += [spec(app={"resources": {"limits": odd, "requests": {"cpu": odd, "memory": odd}}})]
    shapes += [spec(app={"resources": {"limits": {"cpu": odd, "memory": odd}}})]
    shapes += [spec(app={"securityContext": {"capabilities": {"add": odd, "drop": odd}}})]
    shapes += [spec(stage0={field: odd}) for field in ("net", "apps", "privateUsers", "interactive", "podManifest")]
    shapes += [spec(stage0={"apps": {"web": {"isolators": odd, "user": odd}}})]
    shapes += [spec(stage0={"privateUsers": {"shift": odd, "count": odd}})]
    for data in shapes:
        list(checks.faults(data))
        problems(data)
