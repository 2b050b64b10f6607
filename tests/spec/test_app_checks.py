"""The rules for one app that no schema says."""

from __future__ import annotations

from typing import Any

import pytest

from tests.spec.samples import problems, spec, the_problem

DATA = {"volumes": [{"name": "data", "emptyDir": {}}]}


def mounts(*items: tuple[str, str]) -> dict[str, Any]:
    return {"volumeMounts": [{"name": name, "mountPath": path} for name, path in items]}


def amounts(limits: Any = None, requests: Any = None) -> dict[str, Any]:
    return spec(app={"resources": {"limits": limits or {}, "requests": requests or {}}})


def isolators(*names: str, **app: Any) -> dict[str, Any]:
    values: dict[str, Any] = {
        "resource/memory": {"limit": "1Gi"},
        "resource/cpu": {"limit": 1},
        "resource/pids": 7,
        "os/linux/pids-limit": 7,
        "os/linux/no-new-privileges": True,
        "example.com/own": [1, {"a": None}],
    }
    listed = [{"name": name, "value": values.get(name, {"set": ["CAP_KILL"]})} for name in names]
    return spec(app=app, stage0={"apps": {"web": {"isolators": listed}}})


@pytest.mark.parametrize(
    ("path", "says", "data"),
    [
        ("name", "tasks use it", spec(app={"name": "stage1"})),
        ("name", "tasks use it", spec(app={"name": "dependencies"})),
        ("command[0]", "empty", spec(app={"command": ["", "x"]})),
        ("env[1].name", 'variable "A" is there twice', spec(app={"env": [{"name": "A"}, {"name": "A"}]})),
        ("volumeMounts[0].name", "no volume", spec(app=mounts(("data", "/data")))),
        ("volumeMounts[1].mountPath", "twice", spec(spec=DATA, app=mounts(("data", "/a/b"), ("data", "/a/./b//")))),
        ("volumeMounts[0].mountPath", "hide the app's own root", spec(spec=DATA, app=mounts(("data", "//.")))),
        ("resources.limits.cpu", "more than nothing", amounts({"cpu": "0"})),
        ("resources.limits.cpu", "more than nothing", amounts({"cpu": "-1"})),
        ("resources.requests.memory", "more than nothing", amounts(None, {"memory": 0})),
        ("resources.limits.memory", "too few", amounts({"memory": "4095"})),
        ("resources.limits.memory", "too large", amounts({"memory": "8Ei"})),
        ("resources.requests.cpu", "more than the limit", amounts({"cpu": "500m"}, {"cpu": 0.501})),
        (
            "securityContext.capabilities.drop[1]",
            "both added and dropped",
            spec(app={"securityContext": {"capabilities": {"add": ["CAP_KILL"], "drop": ["CHOWN", "KILL"]}}}),
        ),
    ],
)
def test_single_faults(path: str, says: str, data: dict[str, Any]) -> None:
    problem = the_problem(data)
    assert problem.path == f"spec.containers[0].{path}"
    assert says in problem.message


def test_a_misspelled_volume_is_recognised() -> None:
    data = spec(app=mounts(("dta", "/data")))
    data["spec"].update(DATA)
    assert the_problem(data).hint == "did you mean 'data'?"
    data["spec"]["containers"][0].update(mounts(("xyzzy", "/data")))
    assert the_problem(data).hint == "declared: data"


@pytest.mark.parametrize(
    ("path", "says", "data"),
    [
        (
            "user",
            "runAsUser",
            spec(app={"securityContext": {"runAsUser": 1}}, stage0={"apps": {"web": {"user": "a"}}}),
        ),
        (
            "group",
            "runAsGroup",
            spec(app={"securityContext": {"runAsGroup": 1}}, stage0={"apps": {"web": {"group": "a"}}}),
        ),
        ("isolators[1].name", "there twice", isolators("example.com/own", "example.com/own")),
        (
            "isolators[0].name",
            "resources.limits.memory says the same",
            isolators("resource/memory", resources={"limits": {"memory": "1Gi"}}),
        ),
        (
            "isolators[0].name",
            "resources.requests.cpu says the same",
            isolators("resource/cpu", resources={"requests": {"cpu": 1}}),
        ),
        (
            "isolators[0].name",
            "resources.limits.pids says the same",
            isolators("os/linux/pids-limit", resources={"limits": {"pids": 9}}),
        ),
        (
            "isolators[0].name",
            "securityContext.capabilities says the same",
            isolators("os/linux/capabilities-retain-set", securityContext={"capabilities": {}}),
        ),
        (
            "isolators[0].name",
            "allowPrivilegeEscalation says the same",
            isolators("os/linux/no-new-privileges", securityContext={"allowPrivilegeEscalation": True}),
        ),
        (
            "isolators[0].name",
            "securityContext.seccompProfile says the same",
            isolators("os/linux/seccomp-remove-set", securityContext={"seccompProfile": {"type": "Unconfined"}}),
        ),
        (
            "isolators[1].name",
            "exclude each other",
            isolators("os/linux/capabilities-retain-set", "os/linux/capabilities-remove-set"),
        ),
        (
            "isolators[0].name",
            "exclude each other",
            isolators("os/linux/seccomp-remove-set", "os/linux/seccomp-retain-set"),
        ),
    ],
)
def test_single_faults_of_stage0_apps(path: str, says: str, data: dict[str, Any]) -> None:
    problem = the_problem(data)
    assert problem.path == f"stage0.apps.web.{path}"
    assert says in problem.message


@pytest.mark.parametrize(
    "data",
    [
        amounts({"cpu": 1, "memory": 4096}, {"cpu": "1000m", "memory": "4Ki"}),
        amounts(None, {"memory": 1}),
        spec(app={"securityContext": {"capabilities": {"add": ["KILL"], "drop": ["ALL"]}}}),
        spec(app={"securityContext": {"capabilities": {"add": ["ALL"], "drop": ["KILL"]}}}),
        spec(spec={"securityContext": {"runAsUser": 1}}, stage0={"apps": {"web": {"user": "www-data"}}}),
        spec(app={"command": ["sh", ""]}),
        isolators("example.com/own", "resource/memory", "os/linux/seccomp-retain-set"),
    ],
)
def test_what_only_looks_like_a_fault(data: dict[str, Any]) -> None:
    assert problems(data) == []


def test_a_bad_quantity_is_told_once() -> None:
    assert "is not a quantity" in the_problem(amounts({"cpu": "1x"})).message
