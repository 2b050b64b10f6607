"""An OCI configuration as appc has it."""

from __future__ import annotations

import json
from typing import Any

import pytest

from stages.base.errors import ImageError
from stages.images import manifest as manifests
from stages.images import oci_app
from stages.images.accounts import Account, account
from stages.images.oci import Config, Platform

FILES = {
    b"etc/passwd": b"root:x:0:0::/:/bin/sh\nweb:x:1000:1001::/:\nnogroups:x:7:8\nbad:line\n",
    b"etc/group": b"root:x:0:\nweb:x:1001:\nvideo:x:44:other,web\naudio:x:29:web\nbad\n",
}


HERE = Platform("linux", "amd64")


def translated(platform: Platform = HERE, **process: Any) -> tuple[dict[str, Any], list[str]]:
    told: list[str] = []
    read = FILES.get
    data = oci_app.manifest(
        Config(platform, (), process, ""), "Host:5000/Team/App", "1.2", lambda path: read(path, b""), told.append
    )
    manifests.parse(data, "the translation")
    return json.loads(data), told


def pairs(items: list[dict[str, str]]) -> dict[str, str]:
    return {item["name"]: item["value"] for item in items}


def test_all_fields() -> None:
    made, told = translated(
        Entrypoint=["/bin/app"],
        Cmd=["serve", ""],
        Env=["PATH=/bin", "EMPTY=", "X=a=b", "PATH=/usr/bin"],
        WorkingDir="srv/./app/",
        User="web",
        ExposedPorts={"80/tcp": {}, "53/udp": {}, "8080": {}},
        Volumes={"/var/lib/data": {}},
        StopSignal="SIGQUIT",
        Labels={"org.opencontainers.image.Title": "t", "created": "not a time"},
    )
    assert made["name"] == "host_5000/team/app"
    assert pairs(made["labels"]) == {"arch": "amd64", "os": "linux", "version": "1.2"}
    app = made["app"]
    assert app["exec"] == ["/bin/app", "serve", ""]
    assert pairs(app["environment"]) == {"PATH": "/usr/bin", "EMPTY": "", "X": "a=b"}
    assert app["workingDirectory"] == "/srv/app"
    assert (app["user"], app["group"], app["supplementaryGIDs"]) == ("web", "1001", [29, 44])
    assert {(port["name"], port["port"], port["protocol"]) for port in app["ports"]} == {
        ("tcp-80", 80, "tcp"),
        ("udp-53", 53, "udp"),
        ("tcp-8080", 8080, "tcp"),
    }
    assert app["mountPoints"] == [{"name": "volume-var-lib-data", "path": "/var/lib/data"}]
    told_of = pairs(made["annotations"])
    assert told_of["podwright/stop-signal"] == "SIGQUIT"
    assert told_of["org.opencontainers.image.title"] == "t"
    assert json.loads(told_of["appc.io/docker/entrypoint"]) == ["/bin/app"]
    assert json.loads(told_of["appc.io/docker/cmd"]) == ["serve", ""]
    assert told == []


def test_names_are_there_once() -> None:
    app = translated(ExposedPorts={"80": {}, "80/tcp": {}}, Volumes={"/a/b": {}, "/a-b": {}, "/a/b/": {}})[0]["app"]
    assert [port["name"] for port in app["ports"]] == ["tcp-80"]
    assert {(one["name"], one["path"]) for one in app["mountPoints"]} == {
        ("volume-a-b", "/a-b"),
        ("volume-a-b-2", "/a/b"),
    }


def test_ports_are_understood_as_podman_writes_them() -> None:
    app = translated(ExposedPorts={"8000-8002": {}, "8000": {}, "53-53/UDP": {}})[0]["app"]
    assert sorted(app["ports"], key=lambda port: str(port["name"])) == [
        {"name": "tcp-8000", "port": 8000, "protocol": "tcp"},
        {"name": "tcp-8000-8002", "port": 8000, "protocol": "tcp", "count": 3},
        {"name": "udp-53", "port": 53, "protocol": "udp"},
    ]


def test_an_empty_configuration_is_an_app_without_a_program() -> None:
    app = translated()[0]["app"]
    assert app == {"exec": [], "user": "0", "group": "0"}


def test_null_fields_are_absent_ones() -> None:
    assert translated(Entrypoint=None, Cmd=None, Env=None, Volumes=None)[0]["app"]["exec"] == []


def test_a_variable_that_appc_cannot_name_is_left_out_with_a_word() -> None:
    made, told = translated(Env=["ok=1", "a b=2", "3=x", "noequals"])
    assert pairs(made["app"]["environment"]) == {"ok": "1"}
    assert len(told) == 3


@pytest.mark.parametrize(
    "process",
    [
        {"Entrypoint": "sh -c"},
        {"Cmd": [1]},
        {"Env": {}},
        {"User": 0},
        {"ExposedPorts": {"http": {}}},
        {"ExposedPorts": {"70000/tcp": {}}},
        {"ExposedPorts": {"1-70000/tcp": {}}},
        {"ExposedPorts": {"81-80/tcp": {}}},
        {"Volumes": ["/a"]},
        {"Labels": {"a": 1}},
    ],
)
def test_fields_of_another_type_are_refused(process: dict[str, Any]) -> None:
    with pytest.raises(ImageError) as caught:
        translated(**process)
    assert caught.value.reason == "config"


def test_platforms_become_labels() -> None:
    assert pairs(translated(Platform("linux", "arm", "v7"))[0]["labels"])["arch"] == "armv7l"


def test_a_volume_s_name_is_short_enough_for_a_directory() -> None:
    long = "/" + "a" * 400
    points = translated(Volumes={long: {}, f"{long}/b": {}})[0]["app"]["mountPoints"]
    assert [one["path"] for one in points] == [long, f"{long}/b"]
    assert len({one["name"] for one in points}) == 2 and all(len(one["name"]) < 160 for one in points)


@pytest.mark.parametrize(
    ("user", "expected"),
    [
        ("", Account("0", "0", ())),
        ("0", Account("0", "0", ())),
        ("root", Account("root", "0", ())),
        ("web", Account("web", "1001", (29, 44))),
        ("1000", Account("1000", "1001", (29, 44))),
        ("1000:5", Account("1000", "5", ())),
        ("web:video", Account("web", "video", ())),
        ("4321", Account("4321", "0", ())),
        (":44", Account("0", "44", ())),
        ("nogroups", Account("nogroups", "8", ())),
    ],
)
def test_accounts(user: str, expected: Account) -> None:
    assert account(user, lambda path: FILES.get(path, b"")) == expected


@pytest.mark.parametrize("number", ["9" * 5000, "4294967295", "\u0664\u0664", "-1"])
def test_a_line_with_a_number_that_is_no_id_is_passed_over(number: str) -> None:
    files = {
        b"etc/passwd": f"web:x:1000:{number}::/:\nweb:x:1000:1001::/:\n",
        b"etc/group": f"odd:x:{number}:web\nvideo:x:44:web\n",
    }
    assert account("web", lambda path: files[path].encode()) == Account("web", "1001", (44,))
