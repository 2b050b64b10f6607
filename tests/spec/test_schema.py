"""The pod schema, told in our words: everything at once, where it stands, and what may have been meant."""

from __future__ import annotations

import re
from typing import Any

import pytest

from stages.spec import parse, problems, schema, yaml
from tests.spec.samples import SHOP, spec, the_problem, told
from tests.spec.samples import problems as problems_of

BROKEN = """\
apiVersion: v2
kind: Pd
metadata:
  name: My_Shop
  labels: {tier: 1}
spec:
  volumes:
    - {name: data, hostPath: {path: srv/shop}}
    - {name: tmp, emptyDir: {mode: 0755}}
  containers:
    - name: web
      imag: images/web.aci
      command: []
      ports: [{name: http, containerPort: 99999, protocol: TCPP}]
      volumeMounts: [{name: dat, mountPath: /data}]
      resources: {limits: {cpu: 500x, memory: 256Mi}, requests: {memory: 1Gi}}
      securityContext: {capabilities: {drop: [ALL], add: [NET_ADMIM]}}
stage0:
  overlay: maybe
  net: [default, default]
"""


def test_a_broken_spec_is_told_all_at_once_and_in_order() -> None:
    document = yaml.load(BROKEN.encode(), "pods/shop.yaml")
    found = schema.problems(document)
    # The UUID to be copied is another one each time.
    hints = [re.sub(r'"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}"', "UUID", one.hint) for one in found]
    told = [f"{one.line}:{one.column} {one.path}: {one.message}" for one in found]
    assert [f"{one} [{hint}]" for one, hint in zip(told, hints, strict=True)] == [
        '1:13 apiVersion: "v2" is not allowed, it must be "v1" []',
        '2:7 kind: "Pd" is not allowed, it must be "Pod" []',
        "4:3 metadata.uid: missing [for example `uid: UUID`]",
        '4:9 metadata.name: "My_Shop" is not a DNS label: lower-case letters, digits and inner hyphens, at most 63 []',
        '5:18 metadata.labels.tier: must be a string, not 1 [put it into quotes: "1"]',
        '8:37 spec.volumes[0].hostPath.path: "srv/shop" is not an absolute path without `..` '
        "[write the whole path, from / on; nothing is expanded]",
        '9:36 spec.volumes[1].emptyDir.mode: must be a string, not 755 [put it into quotes: "0755"]',
        '11:7 spec.containers[0].image: missing [for example `image: "images/web.aci"`]',
        "12:7 spec.containers[0].imag: unknown field [did you mean 'image'?]",
        "13:16 spec.containers[0].command: must not be empty []",
        "14:43 spec.containers[0].ports[0].containerPort: 99999 is greater than 65535 []",
        '14:60 spec.containers[0].ports[0].protocol: "TCPP" is not allowed, it must be one of: "TCP", "UDP" '
        "[did you mean 'TCP'?]",
        "15:29 spec.containers[0].volumeMounts[0].name: no volume \"dat\" in spec.volumes [did you mean 'data'?]",
        '16:33 spec.containers[0].resources.limits.cpu: "500x" is not a quantity: a number with an optional suffix, '
        "as 500m, 2, 1.5, 64Ki, 256Mi, 1G []",
        '16:74 spec.containers[0].resources.requests.memory: "1Gi" is more than the limit, "256Mi" []',
        '17:59 spec.containers[0].securityContext.capabilities.add[0]: "NET_ADMIM" is not a Linux capability, nor ALL '
        "[did you mean 'NET_ADMIN'?]",
        '19:12 stage0.overlay: "maybe" is not allowed, it must be one of: "auto", true, false []',
        '20:18 stage0.net[1]: the network "default" is there twice, first at stage0.net[0] []',
    ]


def test_the_error_prints_as_compilers_do() -> None:
    document = yaml.load(BROKEN.encode(), "pods/shop.yaml")
    error = problems.error("pods/shop.yaml", schema.problems(document))
    lines = error.text().splitlines()
    assert lines[0] == 'pods/shop.yaml:1:13: apiVersion: "v2" is not allowed, it must be "v1"'
    place = lines.index("pods/shop.yaml:12:7: spec.containers[0].imag: unknown field")
    assert lines[place + 1] == "  hint: did you mean 'image'?"
    assert len(error.problems) == 18
    assert "(and 17 more)" in error.sentence
    assert error.exit_code == 3


def test_the_design_s_example_is_right() -> None:
    assert schema.problems(yaml.load(SHOP.encode(), "shop.yaml")) == []


def _mappings() -> list[tuple[str, dict[str, Any]]]:
    """For every mapping of the schema with fields of its own, data with a strange field in it."""
    odd = {"xyzzy": 1}
    return [
        ("xyzzy", {**spec(), **odd}),
        ("metadata.xyzzy", spec(metadata=odd)),
        ("spec.xyzzy", spec(spec=odd)),
        ("spec.volumes[0].xyzzy", spec(spec={"volumes": [{"name": "a", "emptyDir": {}, **odd}]})),
        ("spec.volumes[0].emptyDir.xyzzy", spec(spec={"volumes": [{"name": "a", "emptyDir": odd}]})),
        ("spec.volumes[0].hostPath.xyzzy", spec(spec={"volumes": [{"name": "a", "hostPath": {"path": "/", **odd}}]})),
        ("spec.securityContext.xyzzy", spec(spec={"securityContext": odd})),
        ("spec.containers[0].xyzzy", spec(app=odd)),
        ("spec.containers[0].env[0].xyzzy", spec(app={"env": [{"name": "A", **odd}]})),
        ("spec.containers[0].ports[0].xyzzy", spec(app={"ports": [{"containerPort": 1, **odd}]})),
        (
            "spec.containers[0].volumeMounts[0].xyzzy",
            spec(
                app={"volumeMounts": [{"name": "a", "mountPath": "/a", **odd}]},
                spec={"volumes": [{"name": "a", "emptyDir": {}}]},
            ),
        ),
        ("spec.containers[0].resources.xyzzy", spec(app={"resources": odd})),
        ("spec.containers[0].resources.limits.xyzzy", spec(app={"resources": {"limits": odd}})),
        ("spec.containers[0].resources.requests.xyzzy", spec(app={"resources": {"requests": odd}})),
        ("spec.containers[0].securityContext.xyzzy", spec(app={"securityContext": odd})),
        (
            "spec.containers[0].securityContext.capabilities.xyzzy",
            spec(app={"securityContext": {"capabilities": odd}}),
        ),
        ("stage0.xyzzy", spec(stage0=odd)),
        ("stage0.privateUsers.xyzzy", spec(stage0={"privateUsers": {"shift": 65536, "count": 65536, **odd}})),
        ("stage0.apps.web.xyzzy", spec(stage0={"apps": {"web": odd}})),
    ]


@pytest.mark.parametrize(("path", "data"), _mappings(), ids=[path for path, _ in _mappings()])
def test_unknown_fields_are_refused_at_every_level(path: str, data: dict[str, Any]) -> None:
    problem = the_problem(data)
    assert (problem.path, problem.message) == (path, "unknown field")
    assert problem.hint.startswith("known here: ")


@pytest.mark.parametrize(
    ("written", "meant", "data"),
    [
        ("apiversion", "apiVersion", {**spec(), "apiversion": "v1"}),
        ("stage", "stage0", {**spec(), "stage": {}}),
        ("hostName", "hostname", spec(spec={"hostName": "x"})),
        ("contaners", "containers", spec(spec={"contaners": []})),
        ("volumemounts", "volumeMounts", spec(app={"volumemounts": []})),
        ("enviroment", "env", spec(app={"envs": []})),
        ("workdir", "workingDir", spec(app={"workdir": "/"})),
        ("privateusers", "privateUsers", spec(stage0={"privateusers": "auto"})),
        ("interactiv", "interactive", spec(stage0={"interactiv": True})),
        ("supplementaryGids", "supplementaryGroups", spec(stage0={"apps": {"web": {"supplementaryGroup": [1]}}})),
    ],
)
def test_a_misspelled_field_is_recognised(written: str, meant: str, data: dict[str, Any]) -> None:
    assert the_problem(data).hint == f"did you mean {meant!r}?"


@pytest.mark.parametrize(
    ("path", "says", "data"),
    [
        ("metadata.name", "DNS label", spec(metadata={"name": "a" * 64})),
        ("metadata.name", "DNS label", spec(metadata={"name": "a\n"})),
        ("metadata.name", "DNS label", spec(metadata={"name": "-a"})),
        ("metadata.name", "must be a string, not true", spec(metadata={"name": True})),
        ("metadata.uid", "not a UUID", spec(metadata={"uid": "7f0c0a3e"})),
        ("metadata.uid", "not a UUID", spec(metadata={"uid": "00000000-0000-0000-0000-000000000000"})),
        ("metadata.annotations.A_b", "AC Identifier", spec(metadata={"annotations": {"A_b": "x"}})),
        ("metadata.annotations.a", "must be a string, not a list", spec(metadata={"annotations": {"a": []}})),
        ("spec", "must be a mapping, not a list", {**spec(), "spec": []}),
        ("spec.containers", "must not be empty", spec(spec={"containers": []})),
        ("spec.containers[0]", "must be a mapping, not the string", spec(spec={"containers": ["web"]})),
        ("spec.restartPolicy", 'must be "Never"', spec(spec={"restartPolicy": "Always"})),
        ("spec.terminationGracePeriodSeconds", "less than 0", spec(spec={"terminationGracePeriodSeconds": -1})),
        ("spec.containers[0].image", "not an image reference", spec(app={"image": ""})),
        ("spec.containers[0].image", "not an image reference", spec(app={"image": " a"})),
        ("spec.containers[0].args[0]", "must be a string, not 8080", spec(app={"args": [8080]})),
        ("spec.containers[0].args", "must be a list, not the string", spec(app={"args": "serve"})),
        ("spec.containers[0].env[0].name", "name of a variable", spec(app={"env": [{"name": "1A"}]})),
        ("spec.containers[0].env[0].name", "name of a variable", spec(app={"env": [{"name": "A=B"}]})),
        ("spec.containers[0].env[0].value", "must be a string, not 1", spec(app={"env": [{"name": "A", "value": 1}]})),
        ("spec.containers[0].workingDir", "absolute path", spec(app={"workingDir": "srv"})),
        ("spec.containers[0].workingDir", "absolute path", spec(app={"workingDir": "/srv/../etc"})),
        ("spec.containers[0].ports[0].containerPort", "less than 1", spec(app={"ports": [{"containerPort": 0}]})),
        ("spec.containers[0].ports[0].containerPort", "missing", spec(app={"ports": [{"name": "http"}]})),
        ("spec.containers[0].resources.limits.pids", "less than 1", spec(app={"resources": {"limits": {"pids": 0}}})),
        (
            "spec.containers[0].securityContext.runAsUser",
            "must be an integer, not the string",
            spec(app={"securityContext": {"runAsUser": "root"}}),
        ),
        (
            "spec.containers[0].securityContext.runAsUser",
            "greater than 4294967294",
            spec(app={"securityContext": {"runAsUser": 2**32 - 1}}),
        ),
        (
            "spec.containers[0].securityContext.capabilities.drop[1]",
            "there twice",
            spec(app={"securityContext": {"capabilities": {"drop": ["KILL", "KILL"]}}}),
        ),
        ("stage0.privateUsers", "one of: false, auto", spec(stage0={"privateUsers": True})),
        ("stage0.privateUsers", "one of: false, auto", spec(stage0={"privateUsers": "yes"})),
        ("stage0.privateUsers.count", "missing", spec(stage0={"privateUsers": {"shift": 65536}})),
        ("stage0.overlay", "must be one of", spec(stage0={"overlay": "true"})),
        ("stage0.inheritEnv", "must be true or false", spec(stage0={"inheritEnv": "yes"})),
        ("stage0.env.A B", "name of a variable", spec(stage0={"env": {"A B": "x"}})),
        ("stage0.env.A", "must be a string, not null", spec(stage0={"env": {"A": None}})),
        ("stage0.net", "must not be empty", spec(stage0={"net": []})),
        ("stage0.net[0]", "empty", spec(stage0={"net": [""]})),
        ("stage0.localConfig", "absolute path", spec(stage0={"localConfig": "etc"})),
        ("stage0.apps.web.user", "empty", spec(stage0={"apps": {"web": {"user": ""}}})),
        (
            "stage0.apps.web.isolators[0].value.limit",
            "not a quantity",
            spec(stage0={"apps": {"web": {"isolators": [{"name": "resource/memory", "value": {"limit": "1x"}}]}}}),
        ),
        (
            "stage0.apps.web.isolators[0].value",
            "greater than 1000",
            spec(stage0={"apps": {"web": {"isolators": [{"name": "os/linux/oom-score-adj", "value": 1001}]}}}),
        ),
    ],
)
def test_single_faults(path: str, says: str, data: dict[str, Any]) -> None:
    problem = the_problem(data)
    assert problem.path == path
    assert says in problem.message


@pytest.mark.parametrize("mode", ["0755", "755", "1777", "01777"])
def test_modes_are_octal_strings(mode: str) -> None:
    assert problems_of(spec(spec={"volumes": [{"name": "a", "emptyDir": {"mode": mode}}]})) == []


@pytest.mark.parametrize("mode", ["", "0o755", "8", "0888", "rwx", "07"])
def test_other_strings_are_no_modes(mode: str) -> None:
    assert "mode in octal" in the_problem(spec(spec={"volumes": [{"name": "a", "emptyDir": {"mode": mode}}]})).message


def test_an_empty_volume_may_be_written_with_nothing_behind_it() -> None:
    assert problems_of(spec(spec={"volumes": [{"name": "a", "emptyDir": None}]})) == []


@pytest.mark.parametrize("data", [None, [], "pod", 7, {}])
def test_what_is_no_spec_at_all_is_told(data: object) -> None:
    assert told(data)


def test_a_file_with_faults_is_refused_whole(tmp_path: Any) -> None:
    (tmp_path / "bad.yaml").write_text(BROKEN)
    with pytest.raises(problems.SpecProblems) as caught:
        parse.load(tmp_path / "bad.yaml")
    assert caught.value.reason == "invalid"
    assert len(caught.value.problems) == 18
