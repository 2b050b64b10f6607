"""How stage1 is called."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from stages.base.errors import PodError
from stages.base.paths import PodPaths
from stages.pod import stage1
from stages.pod.stage1 import Options

EVERYTHING = Options(
    uuid="u",
    net=("a:x=1", "b"),
    debug=True,
    interactive=True,
    private_users="65536:65536",
    mds_token="0" * 32,
    local_config="/etc/rkt",
    hostname="h",
)


def test_the_arguments_come_in_the_contracts_order() -> None:
    assert stage1.arguments("/s/init", EVERYTHING, 6) == [
        "/s/init",
        "--debug",
        "--net=a:x=1,b",
        "--interactive",
        "--private-users=65536:65536",
        "--mds-token=" + "0" * 32,
        "--local-config=/etc/rkt",
        "--hostname=h",
        "u",
    ]


def test_net_is_always_there_and_nothing_else_unless_asked_for() -> None:
    assert stage1.arguments("/s/init", Options(uuid="u"), 6) == ["/s/init", "--net=default", "u"]


def test_an_old_interface_gets_no_flag_that_it_does_not_know() -> None:
    assert not any(word.startswith("--hostname") for word in stage1.arguments("/i", EVERYTHING, 1))


def test_the_environment_is_the_callers_with_the_lock_and_both_selinux_labels() -> None:
    assert stage1.environment({"A": "1"}, 7, {"process": "", "mount": "m"}) == {
        "A": "1",
        "RKT_LOCK_FD": "7",
        "RKT_SELINUX_CONTEXT": "",
        "RKT_SELINUX_MOUNT_CONTEXT": "m",
    }


@pytest.mark.parametrize(("version", "config"), [(4, []), (5, ["--local-config", "/etc/rkt"])])
def test_gc_is_told_of_the_local_configuration_where_it_knows_it(version: int, config: list[str]) -> None:
    assert stage1.gc_arguments("/gc", "u", "/etc/rkt", version) == ["/gc", *config, "u"]
    assert stage1.gc_arguments("/gc", "u", "", version) == ["/gc", "u"]


def test_options_survive_being_json() -> None:
    assert Options.of(json.loads(json.dumps(EVERYTHING._asdict()))) == EVERYTHING


def test_a_flavor_is_the_text_of_a_link_in_stage1s_root(tmp_path: Path) -> None:
    assert stage1.flavor(tmp_path) is None
    (tmp_path / "flavor").symlink_to("kvm")
    assert stage1.flavor(tmp_path) == "kvm"


@pytest.mark.parametrize(
    ("entrypoint", "expected"),
    [("init", "/r/init"), ("/init", "/r/init"), ("/usr/bin/../../../init", "/r/usr/bin/init"), ("../x", "/r/x")],
)
def test_a_program_stays_beneath_stage1s_root(entrypoint: str, expected: str) -> None:
    assert stage1.program(Path("/r"), entrypoint) == expected


def written(tmp_path: Path, document: Any) -> PodPaths:
    pod = PodPaths(tmp_path)
    pod.stage1.mkdir()
    pod.stage1_manifest.write_text(document if isinstance(document, str) else json.dumps(document))
    return pod


def annotated(**entries: str) -> dict[str, Any]:
    return {"annotations": [{"name": f"coreos.com/rkt/stage1/{key}", "value": value} for key, value in entries.items()]}


def test_the_interface_is_read_from_the_manifest(tmp_path: Path) -> None:
    found = stage1.interface(written(tmp_path, annotated(run="/init", **{"interface-version": "5"})))
    assert (found.entrypoint("run"), found.version) == ("/init", 5)
    with pytest.raises(PodError) as caught:
        found.entrypoint("gc")
    assert caught.value.reason == "no-entrypoint"


def test_without_a_version_it_is_the_first(tmp_path: Path) -> None:
    assert stage1.interface(written(tmp_path, annotated(run="/init"))).version == 1


def test_a_manifest_without_annotations_names_no_entrypoint(tmp_path: Path) -> None:
    with pytest.raises(PodError) as caught:
        stage1.interface(written(tmp_path, {})).entrypoint("run")
    assert caught.value.reason == "no-entrypoint"


@pytest.mark.parametrize(
    "document",
    [
        *("", "{", "[]", {"annotations": [1]}, annotated(**{"interface-version": "x"})),
        *({"annotations": [{"name": name, "value": 7}]} for name in (5, "podwright.dev/stage1/ended")),
    ],
)
def test_a_manifest_that_says_nonsense_is_an_error(tmp_path: Path, document: Any) -> None:
    with pytest.raises(PodError) as caught:
        stage1.interface(written(tmp_path, document))
    assert caught.value.reason == "stage1-manifest"
