"""An app of the pod manifest: the image's section with what the spec says over it."""

from __future__ import annotations

from typing import Any

import pytest

from stages.base.errors import PodError
from stages.images.manifest import ImageManifest
from stages.linux import capabilities
from stages.pod import app_section
from stages.spec.model import (
    App,
    Capabilities,
    EmptyDir,
    Env,
    Isolator,
    Mount,
    PodSpec,
    Port,
    Resources,
    Seccomp,
    Security,
    Stage0,
    Volume,
)

ID = "sha512-" + "0" * 128
SECTION = {
    "exec": ["/bin/web", "serve"],
    "user": "1000",
    "group": "100",
    "environment": [{"name": "A", "value": "image"}, {"name": "B", "value": "image"}],
}


def made(app: App, section: Any = SECTION, **spec: Any) -> tuple[dict[str, Any], list[dict[str, Any]]]:
    image = ImageManifest("example.com/web", (("os", "linux"),), section, (), (), frozenset())
    stage0 = spec.pop("stage0", Stage0())
    caller = spec.pop("caller", {})
    pod = PodSpec(name="p", uid="u", apps=(app,), stage0=stage0, **spec)
    return app_section.runtime_app(pod, app, ID, image, caller, {volume.name for volume in pod.volumes})


def section(app: App, image: dict[str, Any] | None = SECTION, **spec: Any) -> dict[str, Any]:
    return dict(made(app, image, **spec)[0]["app"])


def environment(app: App, **spec: Any) -> list[tuple[str, str]]:
    return [(one["name"], one["value"]) for one in section(app, **spec)["environment"]]


@pytest.mark.contract("L.1 rkt_exec")
@pytest.mark.parametrize(
    ("command", "args", "expected"),
    [
        (None, (), ["/bin/web", "serve"]),
        (None, ("-v",), ["/bin/web", "serve", "-v"]),
        (("/bin/other",), (), ["/bin/other"]),
        (("/bin/other", "x"), ("-v",), ["/bin/other", "x", "-v"]),
    ],
)
def test_a_command_replaces_the_images_words_and_args_follow(command: Any, args: Any, expected: list[str]) -> None:
    assert section(App("web", "i", command=command, args=args))["exec"] == expected


@pytest.mark.contract("L.1 rkt_exec", "M 5")
def test_an_image_whose_exec_is_empty_needs_a_command() -> None:
    assert section(App("web", "i", args=("/bin/x",)), SECTION | {"exec": []})["exec"] == ["/bin/x"]
    with pytest.raises(PodError) as caught:
        section(App("web", "i"), SECTION | {"exec": []})
    assert caught.value.reason == "no-command"


@pytest.mark.contract("L.1 rkt_exec")
def test_without_an_app_section_a_command_is_needed() -> None:
    with pytest.raises(PodError) as caught:
        section(App("web", "i"), None)
    assert caught.value.reason == "no-command"
    assert section(App("web", "i", command=("/x",)), None)["exec"] == ["/x"]


@pytest.mark.contract("L.1 rkt_env", "M 3", "M 4", "M.6 environment precedence")
def test_the_apps_environment_is_over_the_pods_over_the_images_over_the_callers() -> None:
    app = App("web", "i", env=(Env("B", "app"), Env("D", "app")))
    stage0 = Stage0(inherit_env=True, env=(Env("B", "pod"), Env("C", "pod=1")))
    caller = {"A": "caller", "E": "caller", "BASH_FUNC_x%%": "() { :; }"}
    assert environment(app, stage0=stage0, caller=caller) == [
        ("A", "image"),
        ("B", "app"),
        ("C", "pod=1"),
        ("D", "app"),
        ("E", "caller"),
    ]


@pytest.mark.contract("L.1 rkt_env")
def test_nothing_is_inherited_unless_asked_for() -> None:
    assert environment(App("web", "i"), caller={"E": "x"}) == [("A", "image"), ("B", "image")]


def test_user_group_and_directory_are_the_specs_where_it_says_so() -> None:
    found = section(App("web", "i", working_dir="/srv", security=Security(user="7", supplementary_gids=(1, 2))))
    assert (found["user"], found["group"], found["workingDirectory"]) == ("7", "100", "/srv")
    assert found["supplementaryGIDs"] == [1, 2]


@pytest.mark.contract("L.1 rkt_caps", "L.2 capabilities replaced")
@pytest.mark.parametrize(
    ("change", "name", "names"),
    [
        (Capabilities(drop=("ALL",)), app_section.REMOVE, set(capabilities.DEFAULT)),
        (Capabilities(add=("ALL",)), app_section.RETAIN, set(capabilities.NAMES)),
        (Capabilities(add=("CAP_BPF",), drop=("ALL",)), app_section.RETAIN, {"CAP_BPF"}),
        (Capabilities(drop=("CAP_KILL",)), app_section.RETAIN, set(capabilities.DEFAULT) - {"CAP_KILL"}),
    ],
)
def test_capabilities_become_one_set_that_replaces_the_images(change: Capabilities, name: str, names: set[str]) -> None:
    image = SECTION | {"isolators": [{"name": app_section.RETAIN, "value": {"set": ["CAP_SYS_ADMIN"]}}]}
    (found,) = section(App("web", "i", security=Security(capabilities=change)), image)["isolators"]
    assert (found["name"], set(found["value"]["set"])) == (name, names)


def test_a_seccomp_profile_is_a_set_that_replaces_the_images_and_gives_way_to_the_apps() -> None:
    removed, retained = "os/linux/seccomp-remove-set", "os/linux/seccomp-retain-set"
    image = SECTION | {"isolators": [{"name": removed, "value": {"set": ["reboot"]}}]}
    for profile, expected in (
        (Seccomp.UNCONFINED, {"name": retained, "value": {"set": ["@appc.io/all"]}}),
        (Seccomp.RUNTIME_DEFAULT, {"name": removed, "value": {"set": ["@appc.io/empty"]}}),
    ):
        security = Security(seccomp=profile)
        assert section(App("web", "i", security=security), image)["isolators"] == [expected]
        own = Isolator(removed, '{"set": ["x"]}')
        found = section(App("web", "i", security=security, isolators=(own,)), image)["isolators"]
        assert found == [{"name": removed, "value": {"set": ["x"]}}]


@pytest.mark.contract("L.1 rkt_app_isolator", "M.6 isolators replaced")
def test_limits_replace_the_images_and_others_stay() -> None:
    image = SECTION | {
        "isolators": [
            {"name": "resource/memory", "value": {"limit": "1G"}},
            {"name": "os/linux/oom-score-adj", "value": 5},
            {"name": "os/linux/seccomp-remove-set", "value": {"set": ["x"]}},
            {"name": "os/linux/pids-limit", "value": 7},
        ]
    }
    app = App(
        "web",
        "i",
        resources=Resources(memory_limit=4096, cpu_limit=500, cpu_request=100, pids_limit=9),
        isolators=(Isolator("os/linux/seccomp-retain-set", '{"set":["y"]}'),),
    )
    assert {one["name"]: one["value"] for one in section(app, image)["isolators"]} == {
        "os/linux/oom-score-adj": 5,
        "resource/memory": {"limit": "4096"},
        "resource/cpu": {"limit": "500m", "request": "100m"},
        "resource/pids": {"limit": "9"},
        "os/linux/seccomp-retain-set": {"set": ["y"]},
    }


def test_what_the_image_says_is_null_is_not_said() -> None:
    nothing = dict.fromkeys(("environment", "isolators", "mountPoints", "ports", "supplementaryGIDs", "eventHandlers"))
    assert section(App("web", "i"), SECTION | nothing) == section(App("web", "i"), SECTION | {"environment": []})


@pytest.mark.contract("L.3 mount without mount point", "M.5 read-only by name")
def test_a_mount_brings_its_read_only_flag_to_the_mount_point() -> None:
    image = SECTION | {"mountPoints": [{"name": "spool", "path": "/data/", "readOnly": False}]}
    app = App("web", "i", mounts=(Mount("files", "/data", True),))
    runtime, implied = made(app, image, volumes=(Volume("files", EmptyDir()),))
    assert runtime["mounts"] == [{"volume": "files", "path": "/data"}]
    assert runtime["app"]["mountPoints"] == [{"name": "files", "path": "/data", "readOnly": True}]
    assert implied == []


@pytest.mark.contract("L.3 implicit empty volume", "L.3 shared by name", "M 5")
def test_a_mount_point_without_a_volume_gets_an_empty_one_and_one_with_its_name_does_not() -> None:
    image = SECTION | {"mountPoints": [{"name": "spool", "path": "/spool"}, {"name": "files", "path": "/files"}]}
    runtime, implied = made(App("web", "i"), image, volumes=(Volume("files", EmptyDir()),))
    assert [one["name"] for one in implied] == ["web-spool"]
    assert runtime["mounts"] == [{"volume": "web-spool", "path": "/spool"}]


def test_the_volume_of_a_mount_point_has_a_name_that_no_other_has() -> None:
    points = [{"name": name, "path": path} for name, path in (("data", "/a"), ("data-2", "/b"), ("data", "/c"))]
    app = App("web", "i", mounts=(Mount("web-data", "/own"),))
    runtime, implied = made(app, SECTION | {"mountPoints": points}, volumes=(Volume("web-data", EmptyDir()),))
    assert [one["name"] for one in implied] == ["web-data-2", "web-data-2-2"]
    mounts = {one["path"]: one["volume"] for one in runtime["mounts"]}
    assert mounts == {"/own": "web-data", "/a": "web-data-2", "/b": "web-data-2-2", "/c": "web-data-2"}


def test_ports_of_the_spec_replace_the_images_of_the_same_name() -> None:
    ports = [{"name": name, "port": port, "protocol": "tcp"} for name, port in (("http", 80), ("x", 1))]
    image = SECTION | {"ports": ports}
    found = section(App("web", "i", ports=(Port("http", 8080),)), image)["ports"]
    assert {one["name"]: one["port"] for one in found} == {"x": 1, "http": 8080}


@pytest.mark.contract("L.1 rkt_socket_activation")
def test_a_socket_activated_port_is_said_so() -> None:
    (found,) = section(App("web", "i", ports=(Port("http", 80, socket_activated=True),)))["ports"]
    assert found == {"name": "http", "port": 80, "protocol": "tcp", "socketActivated": True}


def test_only_the_volumes_of_an_oci_image_start_with_its_content() -> None:
    points = SECTION | {"mountPoints": [{"name": "a", "path": "/a"}, {"name": "b", "path": "/b"}]}
    image = ImageManifest("n", (), points, ((app_section.IMAGE_VOLUMES, "forged"),), (), frozenset())
    for image_id, expected in (("sha256-" + "0" * 64, "web-a web-b"), (ID, None)):
        app = App("web", "i")
        runtime, _ = app_section.runtime_app(
            PodSpec(name="p", uid="u", apps=(app,), stage0=Stage0()), app, image_id, image, {}, set()
        )
        told = {one["name"]: one["value"] for one in runtime.get("annotations", ())}
        assert told.get(app_section.IMAGE_VOLUMES) == expected


@pytest.mark.contract("L.2 app section replaces")
def test_the_spec_s_mount_points_come_first() -> None:
    # rkt's stage1 takes the flag of the first mount point with the volume's name, wherever that is.
    image = SECTION | {"mountPoints": [{"name": "data", "path": "/image", "readOnly": True}]}
    app = App("web", "i", mounts=(Mount("data", "/spec", False),))
    points = section(app, image, volumes=(Volume("data", EmptyDir(0o755, 0, 0)),))["mountPoints"]
    assert [(point["path"], point["readOnly"]) for point in points] == [("/spec", False), ("/image", True)]
