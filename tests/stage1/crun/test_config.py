"""The OCI configuration of an app."""

from __future__ import annotations

from typing import Any

from stages.stage1.crun import config
from stages.stage1.crun.isolators import Limits
from stages.stage1.lib.accounts import Account
from stages.stage1.lib.manifest import App


def build(
    uid: int = 0, volumes: tuple[tuple[str, str], ...] = (), join: tuple[str, ...] = ("pid",), **place_fields: Any
) -> dict[str, Any]:
    app = App({"name": "web", "app": {"exec": ["/x", "a b"], "workingDirectory": "/w"}, "readOnlyRootFS": True}, {})
    identity = config.Identity(Account(uid, 5, "u", "/", "/bin/sh"), [6, 7], [("A", "1"), ("B", "=")])
    identity.capabilities = ["CAP_CHOWN"]
    users = place_fields.pop("private_users", None)
    cgroup = place_fields.pop("cgroup", "/podwright-x/web")
    place = config.Placement("/root", {name: f"/proc/1/ns/{name}" for name in join}, cgroup, users)
    place.volumes = [(source, target, ["rbind"]) for source, target in volumes]
    for name, value in place_fields.items():
        setattr(place, name, value)
    return config.build(app, identity, Limits(), place)


def test_the_process_is_the_apps() -> None:
    process = build(uid=1000)["process"]
    assert process["args"] == ["/x", "a b"] and process["cwd"] == "/w" and process["env"] == ["A=1", "B=="]
    assert process["user"] == {"uid": 1000, "gid": 5, "additionalGids": [5, 6, 7]}


def test_only_root_has_capabilities_in_effect_and_none_is_inherited() -> None:
    assert build()["process"]["capabilities"]["effective"] == ["CAP_CHOWN"]
    other = build(uid=1)["process"]["capabilities"]
    assert other == {"bounding": ["CAP_CHOWN"], "effective": [], "permitted": [], "inheritable": [], "ambient": []}


def test_namespaces_are_joined_and_the_mount_namespace_is_new() -> None:
    namespaces = build(join=("uts", "user", "pid"))["linux"]["namespaces"]
    assert namespaces[0] == {"type": "mount"}
    assert [entry["type"] for entry in namespaces[1:]] == ["user", "pid", "uts"]
    assert all("path" in entry for entry in namespaces[1:])


def test_devices_are_denied_but_those_given() -> None:
    rules = build(devices=[("c", 10, 200)])["linux"]["resources"]["devices"]
    assert rules[0] == {"allow": False, "access": "rwm"}
    assert rules[1:] == [{"allow": True, "type": "c", "major": 10, "minor": 200, "access": "rw"}]


def test_without_control_groups_nothing_asks_for_them() -> None:
    linux = build(cgroup="")["linux"]
    assert "cgroupsPath" not in linux and "resources" not in linux


def test_masked_paths_give_way_to_volumes_and_to_the_switch() -> None:
    assert "/proc/kcore" in build()["linux"]["maskedPaths"]
    assert "/sys/firmware" not in build(volumes=(("/s", "/sys/firmware"),))["linux"]["maskedPaths"]
    assert build(mask_paths=False)["linux"]["maskedPaths"] == []


def targets(configuration: dict[str, Any]) -> list[str]:
    return [mount["destination"] for mount in configuration["mounts"]]


def test_standard_mounts_give_way_to_volumes() -> None:
    assert {"/proc", "/dev", "/dev/pts", "/dev/shm", "/dev/mqueue", "/sys"} == set(targets(build()))
    assert "/sys" not in targets(build(volumes=(("/s", "/sys/class"),)))
    assert targets(build(volumes=(("/s", "/dev/shm"),))).count("/dev/shm") == 1


def test_sys_of_the_hosts_network_is_bound_under_private_users() -> None:
    def sys_type(configuration: dict[str, Any]) -> str:
        return next(str(mount["type"]) for mount in configuration["mounts"] if mount["destination"] == "/sys")

    assert sys_type(build(private_users=(1000, 65536))) == "none"
    assert sys_type(build(private_users=(1000, 65536), join=("pid", "network"))) == "sysfs"


def test_a_map_too_small_for_the_tty_group_does_without_it() -> None:
    def options(configuration: dict[str, Any]) -> list[str]:
        return next(list(mount["options"]) for mount in configuration["mounts"] if mount["type"] == "devpts")

    assert "gid=5" in options(build()) and "gid=5" not in options(build(private_users=(1000, 1)))


def test_a_handler_is_root_with_another_command_in_its_own_group() -> None:
    configuration = build(uid=1000)
    handler = config.for_handler(configuration, ["/h"], "/podwright-x/web.pre-start")
    assert handler["process"]["args"] == ["/h"] and handler["process"]["user"]["uid"] == 0
    assert handler["process"]["capabilities"]["effective"] == ["CAP_CHOWN"]
    assert handler["linux"]["cgroupsPath"] == "/podwright-x/web.pre-start"
    assert configuration["process"]["args"] == ["/x", "a b"] and configuration["linux"]["cgroupsPath"].endswith("/web")
