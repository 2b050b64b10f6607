"""appc's documents: what the specification allows passes, what it forbids is said (contract K.1 to K.5)."""

from __future__ import annotations

from typing import Any

import pytest

from stages.spec import document

APP = {"exec": ["/bin/app"], "user": "0", "group": "0"}
PORT = {"name": "a", "protocol": "tcp"}
VALUE = {
    "resource/cpu": {"limit": "500m"},
    "resource/memory": {"request": "1G", "limit": "2Gi", "default": False},
    "resource/network-bandwidth": {"default": True, "limit": "1G"},
    "os/linux/capabilities-retain-set": {"set": ["CAP_KILL"]},
    "os/linux/seccomp-remove-set": {"set": ["@appc.io/all", "open"], "errno": "ENOSYS"},
    "os/linux/no-new-privileges": True,
    "os/linux/oom-score-adj": -1000,
    "os/linux/cpu-shares": 2,
    "os/linux/selinux-context": {"user": "u", "role": "r", "type": "t", "level": "s0:c1,c2"},
    "os/linux/apparmor-profile": {"profile": "x"},
    "os/unix/sysctl": {"net.core.somaxconn": "1024"},
    "example.com/nobody-knows": {"anything": [1]},
}


def image(**more: Any) -> dict[str, Any]:
    return {"acKind": "ImageManifest", "acVersion": "0.8.11", "name": "example.com/app", **more}


def an_app(**more: Any) -> dict[str, Any]:
    return image(app={**APP, **more})


def pod(*apps: dict[str, Any], **more: Any) -> dict[str, Any]:
    return {"acKind": "PodManifest", "acVersion": "0.8.11", "apps": list(apps) or [runtime()], **more}


def runtime(**more: Any) -> dict[str, Any]:
    return {"name": "web", "image": {"id": "sha512-abc"}, **more}


def pairs(**values: str) -> list[dict[str, str]]:
    return [{"name": name, "value": value} for name, value in values.items()]


@pytest.mark.parametrize(
    "data",
    [
        image(),
        image(unknown=1, app=None, labels=None, annotations=None, dependencies=None, pathWhitelist=None),
        image(labels=pairs(os="linux", arch="amd64", version="1")),
        image(labels=pairs(os="linux")),
        image(labels=pairs(arch="vax")),
        image(annotations=pairs(authors="a\0b")),
        image(annotations=pairs(created="2015-11-01T10:00:00.5+02:00", homepage="https://x.org", authors="any one")),
        image(dependencies=[{"imageName": "a/b", "imageID": "sha512-12", "labels": pairs(os="linux"), "size": 1}]),
        image(dependencies=[{"imageName": "a/b", "imageID": ""}], pathWhitelist=["/a", "/b/"]),
        an_app(exec=[]),
        an_app(exec=["relative", ""], workingDirectory="", environment=pairs(**{"A.b-c": ""})),
        an_app(user="/etc/passwd", supplementaryGids=[1], supplementaryGIDs=[2]),
        an_app(eventHandlers=[{"name": "pre-start", "exec": ["a"]}, {"name": "post-stop", "exec": ["b"]}]),
        an_app(mountPoints=[{"name": "data", "path": "/data", "readOnly": True}]),
        an_app(ports=[{"name": "http", "protocol": "tcp", "port": 65000, "count": 536, "socketActivated": True}]),
        an_app(userAnnotations={"A b": "x"}, userLabels={}),
        *(an_app(isolators=[{"name": name, "value": value}]) for name, value in VALUE.items()),
        an_app(isolators=[{"name": "resource/cpu", "value": {"limit": 1}}] * 2),
    ],
)
def test_image_manifests_that_appc_allows(data: dict[str, Any]) -> None:
    assert document.check("image-manifest", data, "x.aci") == []


@pytest.mark.parametrize(
    ("says", "data"),
    [
        ("x.aci: must be a mapping, not a list", []),
        ("x.aci: must be a mapping, not null", None),
        ('acKind: "PodManifest" is not allowed', image(acKind="PodManifest")),
        ('acVersion: "0.0.0" is not a version', image(acVersion="0.0.0")),
        ('acVersion: "1" is not a version', image(acVersion="1")),
        ('name: "Example.com" is not an AC Identifier', image(name="Example.com")),
        ('name: "a\\n" is not an AC Identifier', image(name="a\n")),
        ("name: missing", {"acKind": "ImageManifest", "acVersion": "0.8.11"}),
        ('labels[0].name: "name" is taken', image(labels=pairs(name="x"))),
        ('labels[1].name: the label "a" is there twice', image(labels=[*pairs(a="1"), *pairs(a="2")])),
        ("labels[0].value: must be a string", image(labels=[{"name": "a", "value": 1}])),
        ('labels[0].value: bad os "plan9"', image(labels=pairs(os="plan9", arch="amd64"))),
        ('labels[1].value: bad arch "x86_64" for linux', image(labels=pairs(os="linux", arch="x86_64"))),
        ('annotations[0].value: "yesterday" is not a time', image(annotations=pairs(created="yesterday"))),
        ('"ftp://x" is not an http or https address', image(annotations=pairs(homepage="ftp://x"))),
        (
            'must be one of: "true", "false"',
            image(annotations=[{"name": "appc.io/executor/supports-systemd-notify", "value": "yes"}]),
        ),
        ("dependencies[0].imageName: missing", image(dependencies=[{}])),
        ('imageID: "md5-12" is not an image id', image(dependencies=[{"imageName": "a", "imageID": "md5-12"}])),
        ('pathWhitelist[0]: "a" is not an absolute path', image(pathWhitelist=["a"])),
        ("app.user: missing", image(app={"exec": ["/a"], "group": "0"})),
        ('app.group: "" is empty', an_app(group="")),
        ("app.exec[0]: must be a string", an_app(exec=[1])),
        ("app.exec[1]: has a NUL character in it", an_app(exec=["/a", "b\0"])),
        ("app.isolators[0].value: has a NUL", an_app(isolators=[{"name": "example.com/x", "value": {"a\0": 1}}])),
        ('app.workingDirectory: "srv" is not an absolute path', an_app(workingDirectory="srv")),
        ('app.environment[0].name: "1A" is not the name', an_app(environment=pairs(**{"1A": ""}))),
        ('app.environment[1].name: the variable "A"', an_app(environment=[*pairs(A="1"), *pairs(A="2")])),
        (
            'app.eventHandlers[1].name: the event handler "pre-start"',
            an_app(eventHandlers=[{"name": "pre-start", "exec": ["a"]}] * 2),
        ),
        ("app.eventHandlers[0].name", an_app(eventHandlers=[{"name": "start", "exec": ["a"]}])),
        ("app.ports[0].port: 0 is less than 1", an_app(ports=[{"name": "a", "protocol": "tcp", "port": 0}])),
        ("app.ports[0].port: must be an integer", an_app(ports=[{"name": "a", "protocol": "tcp", "port": 80.5}])),
        ("go beyond 65535", an_app(ports=[{"name": "a", "protocol": "tcp", "port": 65000, "count": 537}])),
        ("app.mountPoints[0].path: missing", an_app(mountPoints=[{"name": "a"}])),
        (
            "exclude each other",
            an_app(
                isolators=[
                    {"name": f"os/linux/capabilities-{kind}-set", "value": {"set": ["CAP_KILL"]}}
                    for kind in ("retain", "remove")
                ]
            ),
        ),
    ],
)
def test_image_manifests_that_appc_forbids(says: str, data: object) -> None:
    (told,) = document.check("image-manifest", data, "x.aci")
    assert says in told


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("resource/cpu", {"limit": "half"}),
        ("resource/cpu", {"default": True, "limit": "1"}),
        ("resource/cpu", 1),
        ("resource/memory", {"limit": None}),
        ("resource/network-bandwidth", {"limit": "1G"}),
        ("resource/network-bandwidth", {"default": True, "limit": "1G", "request": "1G"}),
        ("os/linux/capabilities-retain-set", {"set": []}),
        ("os/linux/capabilities-retain-set", {}),
        ("os/linux/capabilities-remove-set", {"set": ["KILL"]}),
        ("os/linux/seccomp-retain-set", {"set": [""]}),
        ("os/linux/seccomp-retain-set", {"set": ["open"], "errno": "13"}),
        ("os/linux/no-new-privileges", "true"),
        ("os/linux/oom-score-adj", 1001),
        ("os/linux/cpu-shares", 1),
        ("os/linux/selinux-context", {"user": "u", "role": "r", "type": "a:b", "level": "s0"}),
        ("os/linux/selinux-context", {"user": "u", "role": "r", "type": "t"}),
        ("os/linux/apparmor-profile", {"profile": ""}),
        ("os/unix/sysctl", {"a": 1}),
    ],
)
def test_isolators_that_appc_forbids(name: str, value: object) -> None:
    (told,) = document.check("image-manifest", an_app(isolators=[{"name": name, "value": value}]), "x.aci")
    assert told.startswith("app.isolators[0].value")


@pytest.mark.parametrize(
    "data",
    [
        pod(),
        pod(unknown=1, volumes=None, isolators=None, annotations=None, ports=None),
        {"acKind": "PodManifest", "apps": [runtime()]},
        pod(runtime(app=APP, readOnlyRootFS=True, mounts=[{"volume": "a", "path": "dir1"}], annotations=pairs(a="b"))),
        pod(runtime(mounts=[{"volume": "a", "path": "/a", "appVolume": {"name": "a", "kind": "empty"}}])),
        pod(volumes=[{"name": "a", "kind": "host", "source": "/srv", "readOnly": True, "recursive": False}]),
        pod(volumes=[{"name": "a", "kind": "empty", "mode": "0123", "uid": 9991, "gid": 9992, "readOnly": None}]),
        pod(ports=[{"name": "http", "hostPort": 80, "hostIP": "1.2.3.4", "podPort": None}]),
        pod(ports=[{"name": "http", "hostPort": 80, "podPort": {"name": "x", "protocol": "tcp", "port": 8080}}]),
        pod(isolators=[{"name": "resource/memory", "value": {"limit": "1G"}}], userLabels={"a": "b"}),
    ],
)
def test_pod_manifests_that_appc_allows(data: dict[str, Any]) -> None:
    assert document.check("pod-manifest", data, "pod") == []


@pytest.mark.parametrize(
    ("says", "data"),
    [
        ("apps: must not be empty", {**pod(), "apps": []}),
        ("apps[0].image.id: missing", pod({"name": "web", "image": {}})),
        ("volumes[0].source: has a NUL", pod(volumes=[{"name": "a", "kind": "host", "source": "/a\0"}])),
        ("apps[0].mounts[0].path: has a NUL", pod(runtime(mounts=[{"volume": "a", "path": "/a\0"}]))),
        ("apps[0].app.environment[0].value: has a NUL", pod(runtime(app={**APP, "environment": pairs(A="\0")}))),
        ("apps[0].image: missing", pod({"name": "web"})),
        ('apps[0].name: "a.b" is not an AC Name', pod(runtime(name="a.b"))),
        ('apps[1].name: the app name "web" is there twice', pod(runtime(), runtime())),
        ("apps[0].app.user: missing", pod(runtime(app={"exec": ["/a"], "group": "0"}))),
        ('environment[1].name: the variable "A"', pod(runtime(app={**APP, "environment": pairs(A="") * 2}))),
        ("apps[0].mounts[0].volume: missing", pod(runtime(mounts=[{"path": "/a"}]))),
        ('volumes[1].name: the volume name "a"', pod(volumes=[{"name": "a", "kind": "empty"}] * 2)),
        ("volumes[0].kind", pod(volumes=[{"name": "a", "kind": "nfs"}])),
        ("volumes[0].source: missing", pod(volumes=[{"name": "a", "kind": "host"}])),
        ('"srv" is not an absolute path', pod(volumes=[{"name": "a", "kind": "host", "source": "srv"}])),
        ("volumes[0].mode", pod(volumes=[{"name": "a", "kind": "host", "source": "/a", "mode": "0755"}])),
        ("volumes[0].source", pod(volumes=[{"name": "a", "kind": "empty", "source": "/a"}])),
        ('"9" is not a mode', pod(volumes=[{"name": "a", "kind": "empty", "mode": "9"}])),
        ("ports[0].podPort: must be", pod(ports=[{"name": "a", "hostPort": 80, "podPort": 8080}])),
        ("ports[0].podPort.port: missing", pod(ports=[{"name": "a", "hostPort": 80, "podPort": PORT}])),
        ("ports[0].hostPort: 65536 is greater", pod(ports=[{"name": "a", "hostPort": 65536}])),
    ],
)
def test_pod_manifests_that_appc_forbids(says: str, data: object) -> None:
    (told,) = document.check("pod-manifest", data, "pod")
    assert says in told


@pytest.mark.parametrize("odd", [None, 1, 1.5, True, "x", [], [[]], [1], {}, {"x": 1}, [{"name": []}], [{"name": {}}]])
def test_no_shape_of_data_confuses_the_checks(odd: Any) -> None:
    fields = ("labels", "annotations", "app", "dependencies", "pathWhitelist", "name", "acVersion")
    for data in (odd, *(image(**{field: odd}) for field in fields)):
        document.check("image-manifest", data, "x")
    for field in ("exec", "environment", "eventHandlers", "ports", "isolators", "mountPoints", "supplementaryGIDs"):
        document.check("image-manifest", an_app(**{field: odd}), "x")
    for data in (odd, *(pod(**{field: odd}) for field in ("apps", "volumes", "ports", "isolators", "annotations"))):
        document.check("pod-manifest", data, "x")
    for field in ("name", "image", "app", "mounts", "annotations"):
        document.check("pod-manifest", pod(runtime(**{field: odd})), "x")


def test_a_number_without_end_is_no_integer() -> None:
    """JSON has 1e999, which Python reads as infinity."""
    told = document.check("image-manifest", an_app(ports=[{"name": "a", "protocol": "tcp", "port": 1e999}]), "x.aci")
    assert "app.ports[0].port: must be an integer, not Infinity" in [str(one) for one in told]
