"""Exposed ports as CNI's port mappings (contract F.7)."""

from __future__ import annotations

from typing import Any

import pytest

from stages.stage1.crun.netconf import port_mappings
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
def test_a_range_and_a_port_of_the_pod_s_own_choice() -> None:
    exposed = [{"name": "dns", "hostPort": 5300, "podPort": 53}]
    found = port_mappings(pod(exposed, {"name": "dns", "protocol": "udp", "port": 1053, "count": 2}))
    assert [(one["hostPort"], one["containerPort"], one["protocol"]) for one in found] == [
        (5300, 53, "udp"),
        (5301, 54, "udp"),
    ]


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
