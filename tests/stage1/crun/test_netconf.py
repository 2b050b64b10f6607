"""Networks as they are configured, and exposed ports as CNI's port mappings (contract F.7)."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from stages.stage1.crun.netconf import load, port_mappings
from stages.stage1.lib.errors import Stage1Error
from stages.stage1.lib.manifest import Pod


def pod(exposed: list[dict[str, Any]], *ports: dict[str, Any]) -> Pod:
    """A pod with an app for each port."""
    apps = [
        {"name": f"app{number}", "app": {"exec": ["/x"], "user": "0", "group": "0", "ports": [port]}}
        for number, port in enumerate(ports)
    ]
    return Pod({"apps": apps, "ports": exposed}, {str(app["name"]): {} for app in apps})


HTTP = {"name": "http", "protocol": "tcp", "port": 8080}


@pytest.mark.contract("L.1 rkt_net", "F.7 ports")
def test_a_port_leads_from_the_host_into_the_pod() -> None:
    exposed = [{"name": "http", "hostPort": 80, "hostIP": "127.0.0.1"}]
    mapping = {"hostPort": 80, "containerPort": 8080, "protocol": "tcp", "hostIP": "127.0.0.1"}
    assert port_mappings(pod(exposed, HTTP)) == [mapping]


@pytest.mark.contract("F.7 ports")
@pytest.mark.parametrize("named", [[], [HTTP], [HTTP, HTTP]])
def test_a_range_and_a_port_of_the_pod_s_own_choice(named: list[dict[str, Any]]) -> None:
    own = {"name": "dns", "protocol": "udp", "port": 53, "count": 2}
    found = port_mappings(pod([{"name": "http", "hostPort": 5300, "podPort": own}], *named))
    assert [(one["hostPort"], one["containerPort"], one["protocol"]) for one in found] == [
        (5300, 53, "udp"),
        (5301, 54, "udp"),
    ]


def test_a_range_that_the_host_has_no_room_for_is_told() -> None:
    many = {**HTTP, "count": 1000}
    assert len(port_mappings(pod([{"name": "http", "hostPort": 64536}], many))) == 1000
    with pytest.raises(Stage1Error, match="1000 ports of the host from 64537 on go beyond 65535"):
        port_mappings(pod([{"name": "http", "hostPort": 64537}], many))


@pytest.mark.contract("F.7 ports")
def test_a_port_with_a_socket_of_the_caller_s_is_not_forwarded() -> None:
    assert port_mappings(pod([{"name": "http", "hostPort": 80}], HTTP), frozenset(["http"])) == []


@pytest.mark.contract("F.7 ports")
@pytest.mark.parametrize(
    ("ports", "words"),
    [([], "Port name http is not defined by any apps"), ([HTTP, HTTP], "Ambiguous exposed port http")],
)
def test_a_name_that_means_no_port_or_two_is_told(ports: list[dict[str, Any]], words: str) -> None:
    with pytest.raises(Stage1Error, match=words):
        port_mappings(pod([{"name": "http", "hostPort": 80}], *ports))


@pytest.mark.parametrize(
    "plugins",
    [None, {"type": "bridge"}, "bridge", ["bridge"], [[]], [{"type": "x", "capabilities": ["portMappings"]}]],
)
def test_a_network_whose_plugins_are_none_is_told_with_its_file(tmp_path: Path, plugins: object) -> None:
    (tmp_path / "net.d").mkdir()
    (tmp_path / "net.d/10-x.conflist").write_text(json.dumps({"name": "x", "plugins": plugins}))
    with pytest.raises(Stage1Error, match=r"10-x\.conflist is not a network configuration"):
        load("x", str(tmp_path))


def test_both_kinds_of_files_are_read(tmp_path: Path) -> None:
    (tmp_path / "net.d").mkdir()
    (tmp_path / "net.d/10-x.conf").write_text(json.dumps({"name": "x", "type": "bridge"}))
    plugins = [{"type": "bridge", "capabilities": {"portMappings": True}}]
    (tmp_path / "net.d/20-y.conflist").write_text(json.dumps({"name": "y", "cniVersion": "1.0.0", "plugins": plugins}))
    assert load("x", str(tmp_path))["plugins"] == [{"name": "x", "type": "bridge"}]
    assert load("y", str(tmp_path)) == {"name": "y", "cniVersion": "1.0.0", "plugins": plugins}
