"""Words of Kubernetes and compose that a spec has not: each is told what to write here, not what is spelled like it."""

from __future__ import annotations

from typing import Any

import pytest

from stages.spec import kubernetes
from tests.spec.samples import problems, spec, the_problem

_DATA = {"volumes": [{"name": "data", "emptyDir": {}}]}


def _there(place: str, name: str) -> dict[str, Any]:
    """A spec whose only fault is the field `name` of the mapping at `place`."""
    context: dict[str, dict[str, Any]] = {
        "": {**spec(), name: {}},
        "metadata": spec(metadata={name: "x"}),
        "spec": spec(spec={name: "x"}),
        "spec.securityContext": spec(spec={"securityContext": {name: 1}}),
        "spec.securityContext.seccompProfile": spec(
            spec={"securityContext": {"seccompProfile": {"type": "RuntimeDefault", name: "x"}}}
        ),
        "spec.volumes": spec(spec={"volumes": [{"name": "data", name: {}}]}),
        "spec.volumes.emptyDir": spec(spec={"volumes": [{"name": "data", "emptyDir": {name: "x"}}]}),
        "spec.containers": spec(app={name: "x"}),
        "spec.containers.resources": spec(app={"resources": {name: "x"}}),
        "spec.containers.env": spec(app={"env": [{"name": "A", name: {}}]}),
        "spec.containers.volumeMounts": spec(
            app={"volumeMounts": [{"name": "data", "mountPath": "/data", name: "x"}]}, spec=_DATA
        ),
        "spec.containers.securityContext": spec(app={"securityContext": {name: 1}}),
        "spec.containers.securityContext.seccompProfile": spec(
            app={"securityContext": {"seccompProfile": {"type": "RuntimeDefault", name: "x"}}}
        ),
    }
    return context[place]


@pytest.mark.parametrize(
    ("place", "name"), [(place, name) for place, names in kubernetes.FIELDS.items() for name in names]
)
def test_a_field_of_kubernetes_is_told_what_is_here_instead(place: str, name: str) -> None:
    problem = the_problem(_there(place, name))
    assert problem.message == "unknown field" and problem.path.endswith(name)
    assert problem.hint == kubernetes.FIELDS[place][name]


@pytest.mark.parametrize(
    ("says", "data"),
    [
        ("net: [host]", spec(spec={"hostNetwork": True})),
        ("runAsUser: 1000", spec(app={"securityContext": {"runAsNonRoot": True}})),
        ("capabilities: {add: [ALL]}", spec(app={"securityContext": {"privileged": True}})),
        ("hostPath: {path: ...}", spec(spec={"volumes": [{"name": "a", "configMap": {"name": "b"}}]})),
        ("spec.template", {**spec(), "kind": "Deployment"}),
        ("systemd unit", spec(spec={"restartPolicy": "Always"})),
        (
            "make the directory",
            spec(spec={"volumes": [{"name": "a", "hostPath": {"path": "/a", "type": "DirectoryOrCreate"}}]}),
        ),
        ("seccomp-retain-set", spec(app={"securityContext": {"seccompProfile": {"type": "Localhost"}}})),
    ],
)
def test_what_is_said_helps(says: str, data: dict[str, Any]) -> None:
    assert says in the_problem(data).hint


@pytest.mark.parametrize(
    ("hint", "data"),
    [
        ('write ["httpd", "-p", "80 80"]', spec(app={"command": "httpd -p '80 80'"})),
        ('write ["/bin/sh", "-c", "a && b"]', spec(app={"command": "a && b"})),
        ('write ["-v", "$X"]', spec(app={"args": "-v $X"})),
        ('write ["it\'s"]', spec(app={"args": "it's"})),
        ("write {containerPort: 80}", spec(app={"ports": [80]})),
        ("write {containerPort: 80, hostPort: 8080}", spec(app={"ports": ["8080:80"]})),
        ('write {name: A, value: "b=c"}', spec(app={"env": ["A=b=c"]})),
        ("write [{name: NAME, value: VALUE}]; `stage0.env` is a mapping, for all apps", spec(app={"env": {"A": "b"}})),
        (
            "write {name: VOLUME, mountPath: PATH}, and the volume into spec.volumes",
            spec(app={"volumeMounts": ["./a:/a"]}),
        ),
        ("write [ALL]", spec(app={"securityContext": {"capabilities": {"drop": "ALL"}}})),
        ("without quotes: 1000", spec(app={"securityContext": {"runAsUser": "1000"}})),
        ("without quotes: true", spec(app={"securityContext": {"readOnlyRootFilesystem": "true"}})),
        ("a name is written into `stage0.apps.NAME.user`", spec(app={"securityContext": {"runAsUser": "www"}})),
        ("write {path: /srv}", spec(spec={"volumes": [{"name": "a", "hostPath": "/srv"}]})),
        ("write [host]", {**spec(), "stage0": {"net": "host"}}),
        ("each element begins with `- `", {**spec(), "spec": {"containers": {"name": "a", "image": "b"}}}),
        ("did you mean '128Mi'?", spec(app={"resources": {"limits": {"memory": "128MB"}}})),
        ("did you mean '1Gi'?", spec(app={"resources": {"limits": {"memory": "1g"}}})),
        (
            "write {containerPort: 80, hostPort: 81, hostIP: 127.0.0.1, protocol: UDP}",
            spec(app={"ports": ["127.0.0.1:81:80/udp"]}),
        ),
        ("", spec(app={"ports": ["8080-8090"]})),
        ("write {add: [NET_ADMIN]}", spec(app={"securityContext": {"capabilities": ["NET_ADMIN"]}})),
        (
            "write {name: VOLUME, hostPath: {path: PATH}}, and where it is in the app into its volumeMounts",
            spec(spec={"volumes": ["./data:/data"]}),
        ),
        (
            "write the whole path, from / on; nothing is expanded",
            spec(spec={"volumes": [{"name": "a", "hostPath": {"path": "./data"}}]}),
        ),
        ("write true", {**spec(), "stage0": {"interactive": "yes"}}),
    ],
)
def test_a_value_of_another_shape_is_told_how_it_is_written(hint: str, data: dict[str, Any]) -> None:
    assert the_problem(data).hint == hint


def test_a_uid_that_is_not_filled_in_is_given_one() -> None:
    assert the_problem(spec(metadata={"name": "a", "uid": None})).hint.startswith("for example `uid: ")


@pytest.mark.parametrize("written", [True, "yes"])
def test_private_users_are_told_all_that_they_may_be(written: Any) -> None:
    told = the_problem({**spec(), "stage0": {"privateUsers": written}}).message
    assert told.endswith("is not allowed, it must be one of: false, auto, {shift: NUMBER, count: NUMBER}")


def test_a_volume_of_an_unknown_kind_is_one_fault() -> None:
    assert [one.path for one in problems(spec(spec={"volumes": [{"name": "a", "secret": {}}]}))] == [
        "spec.volumes[0].secret"
    ]
    assert [one.path for one in problems(spec(spec={"volumes": [{"name": "a"}]}))] == ["spec.volumes[0]"]
