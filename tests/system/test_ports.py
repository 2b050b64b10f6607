"""A port of the host leads into a pod: spec, CNI and the kernel's rules for real, in a host's network of its own."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.system import workbench
from tests.system.workbench import Project

pytestmark = pytest.mark.system

UID = "7f0c0a3e-6a0e-4f5e-9a57-0d5b0d2f7f61"
# Another network namespace is another host to the pod: its bridge, addresses and rules end with it.
HOST = """
mkdir -p /run/podwright && mount -t tmpfs none /run/podwright && ip link set lo up && exec "$0" "$@"
"""
# The app says that it is there just before it listens; the kernel refuses until it does.
ASK = """
import socket, sys
while True:
    try:
        with socket.create_connection((sys.argv[1], int(sys.argv[2]))) as connection:
            if said := connection.recv(100):
                print(said.decode(), end="")
                break
    except ConnectionRefusedError:
        pass
"""


@pytest.mark.contract("L.1 rkt_net")
def test_a_host_port_leads_to_the_app_of_the_default_network(tmp_path: Path) -> None:
    host = ["unshare", "--net", "--mount", "sh", "-c", HOST]
    project = Project(tmp_path / "project", tmp_path / "data", wrapper=host)
    # The image says the port as well, and so the other app, which is of the same image, has one of that name.
    image = workbench.manifest("example.com/web", app=["/bin/true"])
    image["app"]["ports"] = [{"name": "http", "port": 8080, "protocol": "tcp"}]
    project.image("web.aci", image, workbench.busybox())
    serve = "trap 'exit 5' TERM; echo up; while :; do echo answer | /bin/busybox nc -l -p 8080 & wait $!; done"
    ports = [{"name": "http", "containerPort": 8080, "hostPort": 18080}]
    app = {"name": "web", "image": "images/web.aci", "command": ["/bin/sh", "-c", serve], "ports": ports}
    other = {"name": "other", "image": "images/web.aci"}
    project.write(workbench.spec("shop", UID, [app, other], net=["default"]))
    process = project.started("run", "pod=shop")
    assert process.stdout is not None
    try:
        assert process.stdout.readline() == "up\n"
        (network,) = json.loads((project.pod(UID) / "net-info.json").read_text())
        namespace = f"--net=/proc/{process.pid}/ns/net"
        for address, port in ((network["result"]["ips"][0]["gateway"], 18080), (network["ip"], 8080)):
            asked = ["nsenter", namespace, sys.executable, "-c", ASK, address, str(port)]
            said = subprocess.run(asked, capture_output=True, text=True, check=True)
            assert said.stdout == "answer\n"
    finally:
        process.send_signal(signal.SIGTERM)
        _, err = process.communicate()
    assert process.returncode == 5, err
    assert not (project.pod(UID) / "net-info.json").exists()


SERVING = "trap 'exit 5' TERM; echo up; while :; do sleep 1000 & wait $!; done"


def pods(project: Project, *ports: dict[str, object]) -> None:
    """Two pods with these ports, whose apps stay."""
    project.image("web.aci", workbench.manifest("example.com/web", app=["/bin/true"]), workbench.busybox())
    for number, name in enumerate(("shop", "rival")):
        app = {"name": "web", "image": "images/web.aci", "command": ["/bin/sh", "-c", SERVING], "ports": list(ports)}
        project.write(workbench.spec(name, UID[:-1] + str(number), [app], net=["default"]))


@pytest.fixture
def host(tmp_path: Path) -> Iterator[Project]:
    """A project on a host with a network of its own, as long as the test takes."""
    made = Project(tmp_path / "project", tmp_path / "data")
    keeper = subprocess.Popen(
        ["unshare", "--net", "--mount", "sh", "-c", HOST, "sh", "-c", "echo ready; exec cat"],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
    )
    assert keeper.stdout is not None and keeper.stdout.readline() == b"ready\n"
    made.wrapper = ["nsenter", f"--net=/proc/{keeper.pid}/ns/net", f"--mount=/proc/{keeper.pid}/ns/mnt", "--wd=."]
    try:
        yield made
    finally:
        keeper.communicate()


@pytest.mark.parametrize("protocol", ["TCP", "UDP"])
def test_a_port_of_the_host_has_one_pod(host: Project, protocol: str) -> None:
    pods(host, {"name": "http", "containerPort": 8080, "hostPort": 18080, "protocol": protocol})
    first = host.started("run", "pod=shop")
    assert first.stdout is not None and first.stdout.readline() == "up\n"
    second = host.doit("run", "pod=rival")
    assert second.code == 254 and second.out == ""
    told = f"the host's port *:18080/{protocol.lower()} is taken by another pod or program"
    assert told in second.err and "Traceback" not in second.err
    first.send_signal(signal.SIGTERM)
    _, err = first.communicate()
    assert first.returncode == 5, err
    # What was refused has left nothing, and a port is free with the end of its pod.
    again = host.started("run", "pod=rival")
    assert again.stdout is not None and again.stdout.readline() == "up\n"
    again.send_signal(signal.SIGTERM)
    again.communicate()


def test_a_port_of_a_program_of_the_host_is_not_taken_over(host: Project) -> None:
    pods(host, {"name": "http", "containerPort": 8080, "hostPort": 18080, "hostIP": "127.0.0.1"})
    listening = (
        "import socket, sys; made = socket.create_server(('', 18080)); print('ready', flush=True); sys.stdin.read()"
    )
    program = subprocess.Popen(
        [*host.wrapper, sys.executable, "-uc", listening], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    )
    assert program.stdout is not None and program.stdout.readline() == "ready\n"
    refused = host.doit("run", "pod=shop")
    assert refused.code == 254 and "127.0.0.1:18080/tcp is taken" in refused.err
    program.communicate()
    pods(host, {"name": "http", "containerPort": 8080, "hostPort": 18080, "hostIP": "198.51.100.1"})
    refused = host.doit("run", "pod=shop")
    assert refused.code == 254 and "198.51.100.1:18080/tcp is of no address of this host" in refused.err
