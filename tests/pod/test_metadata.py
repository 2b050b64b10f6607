"""The metadata service's client against a real server on a real unix socket."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

import pytest

from stages.base.errors import PodError
from stages.base.paths import PodPaths
from stages.pod.metadata import Service
from tests.pod.mds_server import MetadataServer, serving

UID = "7f0c0a3e-6a0e-4f5e-9a57-0d5b0d2f7f10"


@pytest.fixture
def pod(tmp_path: Path) -> PodPaths:
    made = PodPaths(tmp_path / "pods" / UID)
    for app in ("web", "side"):
        made.app_info(app).mkdir(parents=True)
        made.app_manifest(app).write_bytes(f"manifest of {app}".encode())
    made.manifest.write_bytes(b"the pod manifest")
    return made


@pytest.fixture
def server(tmp_path: Path) -> Iterator[MetadataServer]:
    with serving(tmp_path / "mds.sock") as running:
        yield running


@pytest.fixture
def service(tmp_path: Path) -> Service:
    return Service(tmp_path / "mds.sock", pause=lambda: None)


def test_the_pod_is_registered_and_then_each_app_in_order(
    pod: PodPaths, server: MetadataServer, service: Service
) -> None:
    token = service.register(pod, ("web", "side"))
    assert re.fullmatch(r"[0-9a-f]{32}", token)
    assert server.asked == [
        ("PUT", f"/pods/{UID}?token={token}", b"the pod manifest"),
        ("PUT", f"/pods/{UID}/web", b"manifest of web"),
        ("PUT", f"/pods/{UID}/side", b"manifest of side"),
    ]
    assert pod.mds_registered.read_bytes() == b""


def test_every_registration_has_a_token_of_its_own(pod: PodPaths, server: MetadataServer, service: Service) -> None:
    assert service.register(pod, ()) != service.register(pod, ())


def test_a_refused_pod_leaves_no_marker(pod: PodPaths, server: MetadataServer, service: Service) -> None:
    server.answers["PUT", 2] = 400
    with pytest.raises(PodError) as refused:
        service.register(pod, ("web",))
    assert refused.value.reason == "mds-refused" and "mdsRegister: false" in refused.value.hint
    assert "token" not in refused.value.sentence
    assert [asked.method for asked in server.asked] == ["PUT"] and not pod.mds_registered.exists()


def test_a_refused_app_takes_the_pod_back(pod: PodPaths, server: MetadataServer, service: Service) -> None:
    server.answers["PUT", 3] = 404
    with pytest.raises(PodError) as refused:
        service.register(pod, ("web", "side"))
    assert refused.value.reason == "mds-refused"
    assert [asked.method for asked in server.asked] == ["PUT", "PUT", "DELETE"]
    assert not pod.mds_registered.exists()


@pytest.mark.contract("M 49")
def test_a_broken_connection_is_tried_again_with_the_whole_body(
    pod: PodPaths, server: MetadataServer, service: Service
) -> None:
    server.drop = 3
    service.register(pod, ())
    assert [asked.body for asked in server.asked] == [b"the pod manifest"] * 4


def test_a_connection_that_keeps_breaking_is_told(pod: PodPaths, server: MetadataServer, service: Service) -> None:
    server.drop = 1000
    with pytest.raises(PodError) as broken:
        service.register(pod, ())
    assert broken.value.reason == "mds-unreachable" and len(server.asked) == 4


def test_an_answer_is_not_asked_for_twice(pod: PodPaths, server: MetadataServer, service: Service) -> None:
    server.answers["PUT", 2] = 500
    with pytest.raises(PodError):
        service.register(pod, ())
    assert len(server.asked) == 1


@pytest.mark.contract("I.1 registration")
@pytest.mark.parametrize("place", ["missing", "a file", "nobody listens"])
def test_a_service_that_does_not_run_is_told_with_the_way_around(tmp_path: Path, place: str) -> None:
    address = tmp_path / "mds.sock"
    if place == "a file":
        address.write_bytes(b"")
    if place == "nobody listens":
        with serving(address):
            pass
    with pytest.raises(PodError) as absent:
        Service(address).check()
    assert absent.value.reason == "mds-unreachable"
    assert "not to be running" in absent.value.sentence and "mdsRegister: false" in absent.value.hint


def test_a_running_service_is_found(server: MetadataServer, service: Service) -> None:
    service.check()
    assert server.asked == []


def test_unregistering_removes_the_marker(pod: PodPaths, server: MetadataServer, service: Service) -> None:
    service.register(pod, ())
    service.unregister(pod)
    assert server.asked[-1] == ("DELETE", f"/pods/{UID}", b"") and not pod.mds_registered.exists()


def test_without_the_marker_nothing_is_unregistered(pod: PodPaths, service: Service) -> None:
    service.unregister(pod)


def test_the_socket_is_rkt_s_unless_the_environment_names_one() -> None:
    assert Service.of({}).address == Path("/run/rkt/metadata-svc.sock")
    assert Service.of({"PODWRIGHT_MDS_SOCKET": "/x/y"}).address == Path("/x/y")
