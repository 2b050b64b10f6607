"""The hand-over through the real `doit`: what stage1 is given, registration with a metadata service, failed starts."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.pod.mds_server import MetadataServer, serving
from tests.system import workbench
from tests.system.workbench import Project, Result

pytestmark = pytest.mark.system

UID = "5b0f6a52-11d7-4b3e-93a5-90a6c2f7e001"
OVERLAY = pytest.mark.parametrize("overlay", [True, False], ids=["overlay", "copy"])


@pytest.fixture
def project(tmp_path: Path) -> Project:
    made = Project(tmp_path / "project", tmp_path / "data")
    made.environment["PODWRIGHT_MDS_SOCKET"] = str(tmp_path / "mds.sock")
    for name in ("web", "side"):
        made.image(f"{name}.aci", workbench.manifest(f"example.com/{name}", app=["/bin/true"]), workbench.busybox())
    return made


@pytest.fixture
def server(tmp_path: Path) -> Iterator[MetadataServer]:
    with serving(tmp_path / "mds.sock") as running:
        yield running


def write(project: Project, apps: tuple[str, ...] = ("web",), hostname: str | None = None, **stage0: Any) -> None:
    containers = [{"name": name, "image": f"images/{name}.aci"} for name in apps]
    spec = workbench.spec("shop", UID, containers, **{"stage1": "stub", **stage0})
    if hostname is not None:
        spec["spec"]["hostname"] = hostname
    project.write(spec)


def told(result: Result) -> Any:
    assert result.code == 0, result.err
    return json.loads(result.out)


@OVERLAY
@pytest.mark.parametrize(
    ("stage0", "flags"),
    [
        ({}, ["--net=none"]),
        ({"net": ["default"]}, ["--net=default"]),
        ({"net": ["host"]}, ["--net=host"]),
        ({"net": ["all"]}, ["--net=all"]),
        ({"net": ["default", "ptp:IP=10.1.2.3;A=b"]}, ["--net=default,ptp:IP=10.1.2.3;A=b"]),
        ({"debug": True}, ["--debug", "--net=none"]),
        ({"interactive": True}, ["--net=none", "--interactive"]),
        ({"privateUsers": {"shift": 655360, "count": 65536}}, ["--net=none", "--private-users=655360:65536"]),
        ({"localConfig": "/etc/rkt"}, ["--net=none", "--local-config=/etc/rkt"]),
        ({"hostname": "shop"}, ["--net=none", "--hostname=shop"]),
        (
            {
                "debug": True,
                "net": ["a", "b:c=d"],
                "interactive": True,
                "privateUsers": {"shift": 655360, "count": 1000},
                "localConfig": "/x",
                "hostname": "h",
            },
            "--debug --net=a,b:c=d --interactive --private-users=655360:1000 --local-config=/x --hostname=h".split(),
        ),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, dict) and value else None,
)
@pytest.mark.contract("A.9 argv", "B.5 net list", "H.3 run", "M 15")
def test_each_option_of_the_spec_is_a_flag_of_stage1(
    project: Project, stage0: dict[str, Any], flags: list[str], overlay: bool
) -> None:
    write(project, **stage0, overlay=overlay)
    program = str(project.pod(UID) / "stage1/rootfs/run")
    assert told(project.doit("run", "pod=shop"))["argv"] == [program, *flags, UID]


@OVERLAY
@pytest.mark.contract("A.10 environment", "H.3 run", "B.3 names")
def test_stage1_gets_the_whole_environment_the_lock_and_the_pod_as_its_directory(
    project: Project, overlay: bool
) -> None:
    write(project, overlay=overlay)
    project.environment |= {"MINE": "a=b c", "EMPTY": ""}
    found = told(project.doit("run", "pod=shop"))
    lock = found["environment"].pop("RKT_LOCK_FD")
    assert found["environment"].pop("RKT_SELINUX_CONTEXT") == ""
    assert found["environment"].pop("RKT_SELINUX_MOUNT_CONTEXT") == ""
    assert (found["environment"]["MINE"], found["environment"]["EMPTY"]) == ("a=b c", "")
    assert not [name for name in found["environment"] if name.startswith("RKT_")]
    assert found["cwd"] == str(project.pod(UID))
    assert set(found["descriptors"]) == {"0", "1", "2", lock}
    assert found["descriptors"][lock] == {"target": str(project.pod(UID)), "locked": True}


@OVERLAY
@pytest.mark.contract("I.1 registration", "A.9 argv", "L.1 rkt_metadata_service", "M 49")
def test_a_pod_is_registered_before_it_starts_and_taken_back_when_it_is_removed(
    project: Project, server: MetadataServer, overlay: bool
) -> None:
    write(project, ("web", "side"), net=["host"], mdsRegister=True, localConfig="/x", overlay=overlay)
    argv = told(project.doit("run", "pod=shop"))["argv"]
    (token,) = [word.removeprefix("--mds-token=") for word in argv if word.startswith("--mds-token=")]
    # M 16: the token is in argv, where every process of the host sees it: that is the contract with stage1.
    assert argv[1:] == ["--net=host", f"--mds-token={token}", "--local-config=/x", UID]
    pod = project.pod(UID)
    assert server.asked == [
        ("PUT", f"/pods/{UID}?token={token}", (pod / "pod").read_bytes()),
        ("PUT", f"/pods/{UID}/web", (pod / "appsinfo/web/manifest").read_bytes()),
        ("PUT", f"/pods/{UID}/side", (pod / "appsinfo/side/manifest").read_bytes()),
    ]
    assert (pod / "mds-registered").read_bytes() == b""
    assert token not in "".join(path.read_text(errors="replace") for path in pod.glob("*") if path.is_file())

    assert project.doit("rm", "pod=shop").code == 0
    assert server.asked[-1] == ("DELETE", f"/pods/{UID}", b"")


@pytest.mark.contract("I.1 registration")
def test_each_run_is_registered_anew(project: Project, server: MetadataServer) -> None:
    write(project, net=["host"], mdsRegister=True)
    for _ in range(2):
        assert project.doit("run", "pod=shop").code == 0
    assert [asked.method for asked in server.asked] == ["PUT", "PUT", "DELETE", "PUT", "PUT"]


@pytest.mark.contract("I.1 registration", "C.9 run-prepared", "A.9 registration fails")
def test_without_a_service_the_pod_stays_prepared_and_the_way_around_is_told(project: Project) -> None:
    write(project, net=["host"], mdsRegister=True)
    ran = project.doit("run", "pod=shop")
    assert ran.code == 1 and "mdsRegister: false" in ran.err and "Traceback" not in ran.err
    assert not (project.pod(UID) / "mds-registered").exists()
    # What was prepared stays: the next run has nothing to do but to start.
    write(project, net=["host"], mdsRegister=False)
    assert project.run("shop").tasks == {"overlay", "init"}


@pytest.mark.contract("I.1 registration", "A.9 registration fails")
def test_a_service_that_refuses_an_app_ends_the_run_and_is_asked_to_forget(
    project: Project, server: MetadataServer
) -> None:
    write(project, net=["host"], mdsRegister=True)
    server.answers["PUT", 3] = 404
    ran = project.doit("run", "pod=shop")
    assert ran.code == 1 and "404" in ran.err and ran.out == ""
    assert server.asked[-1].method == "DELETE" and not (project.pod(UID) / "mds-registered").exists()


@pytest.mark.contract("A.9 exec fails", "I.1 registration")
def test_a_stage1_that_cannot_be_executed_is_forgotten_again(project: Project, server: MetadataServer) -> None:
    annotations = [{"name": "coreos.com/rkt/stage1/run", "value": "/missing"}]
    project.image("stage1.aci", workbench.manifest("example.com/s", annotations=annotations), [])
    write(project, net=["host"], mdsRegister=True, stage1="images/stage1.aci")
    ran = project.doit("run", "pod=shop")
    assert ran.code == 127 and "/missing" in ran.err and "Traceback" not in ran.err
    assert [asked.method for asked in server.asked] == ["PUT", "PUT", "DELETE"]
    assert "exited" in project.doit("status", "pod=shop").out


@pytest.mark.contract("C.14 gc", "H.5 gc")
def test_a_service_that_is_gone_stops_no_removal(project: Project, tmp_path: Path) -> None:
    write(project, net=["host"], mdsRegister=True)
    with serving(tmp_path / "mds.sock"):
        assert project.doit("run", "pod=shop").code == 0
    removed = project.doit("rm", "pod=shop")
    assert removed.code == 0 and "metadata service" in removed.err and not project.pod(UID).exists()


def test_debug_tells_the_last_steps(project: Project) -> None:
    write(project, debug=True)
    ran = project.doit("run", "pod=shop")
    assert "setting up stage1" in ran.err and "execing" in ran.err
    write(project)
    assert "execing" not in project.doit("run", "pod=shop").err
