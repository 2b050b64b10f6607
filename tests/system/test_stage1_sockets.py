"""Socket-activated ports: sockets that the caller passed, or that stage1 made, reach the app that has the port."""

from __future__ import annotations

import os
import shutil
import socket
import subprocess
from pathlib import Path
from typing import Any

import pytest

from stages.images import build
from tests.system import workbench
from tests.system.stage1_pod import HandMadePod, passing, sh

pytestmark = pytest.mark.system


@pytest.fixture(params=["crun", "runc", "fly"])
def pod(request: pytest.FixtureRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> HandMadePod:
    name = str(request.param)
    if name == "fly":
        return HandMadePod(tmp_path, "fly")
    if shutil.which(name) is None:
        pytest.skip(f"{name} is not installed")
    monkeypatch.setenv("PODWRIGHT_RUNTIME", name)
    return HandMadePod(tmp_path)


def port(name: str, number: int, protocol: str = "tcp") -> dict[str, Any]:
    return {"name": name, "port": number, "protocol": protocol, "socketActivated": True}


# Says whether LISTEN_PID is its own id, as sd_listen_fds(3) has it, and what its sockets are.
TELL = "echo $(($LISTEN_PID == $$)) $LISTEN_FDS $LISTEN_FDNAMES; for fd in $(seq 3 $((2 + $LISTEN_FDS))); do"
TELL += " readlink /proc/$$/fd/$fd; done"


def add(pod: HandMadePod, name: str, script: str, *ports: dict[str, Any]) -> None:
    root = pod.add(name, sh(script), ports=list(ports))
    for applet in ("readlink", "seq"):
        (root / "bin" / applet).symlink_to("busybox")


def run(pod: HandMadePod, *sockets: socket.socket) -> subprocess.CompletedProcess[str]:
    """fly is in the host's network, and says so when it is asked for another."""
    network = ["--net=host"] if pod.flavor == "fly" else []
    return pod.run(*network, sockets=[one.fileno() for one in sockets])


def name_of(one: socket.socket) -> str:
    return os.readlink(f"/proc/self/fd/{one.fileno()}")


@pytest.mark.contract("L.1 rkt_socket_activation")
def test_a_passed_socket_is_the_app_s(pod: HandMadePod) -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        add(pod, "web", TELL, port("http", server.getsockname()[1]))
        ended = run(pod, server)
        assert (ended.returncode, ended.stderr) == (0, "")
        assert ended.stdout.splitlines() == ["1 1 http", name_of(server)]


def of_one_number() -> tuple[socket.socket, socket.socket]:
    """Of both kinds."""
    while True:
        stream, datagrams = socket.create_server(("127.0.0.1", 0)), socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        try:
            datagrams.bind(stream.getsockname())
            return stream, datagrams
        except OSError:  # somebody has it
            stream.close()
            datagrams.close()


@pytest.mark.contract("L.1 rkt_socket_activation")
def test_each_socket_goes_to_its_port_and_what_fits_none_is_told(pod: HandMadePod) -> None:
    first, datagrams = of_one_number()
    with (
        first,
        datagrams,
        socket.create_server(("127.0.0.1", 0)) as second,
        socket.create_server(("127.0.0.1", 0)) as other,
    ):
        ports = [port("two", second.getsockname()[1]), port("udp", first.getsockname()[1], "udp")]
        # The first comes by the port of the host that is exposed for it.
        add(pod, "web", TELL, *ports, port("one", 80))
        pod.manifest["ports"] = [{"name": "one", "hostPort": first.getsockname()[1]}]
        ended = run(pod, first, second, other, datagrams)
        assert ended.returncode == 0, ended
        assert ended.stdout.splitlines() == ["1 3 two:udp:one", name_of(second), name_of(datagrams), name_of(first)]
        assert ended.stderr.count("\n") == 1 and f"(port {other.getsockname()[1]})" in ended.stderr


@pytest.mark.contract("L.1 rkt_socket_activation")
def test_a_port_whose_socket_nobody_passed_gets_one(pod: HandMadePod) -> None:
    with socket.socket() as kept:  # for whoever says that he shares it, which chance gives to nobody
        kept.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        kept.bind(("", 0))
        number = kept.getsockname()[1]
        add(pod, "web", f"{TELL}; cat /proc/net/tcp /proc/net/tcp6 | grep -ci ':{number:04X} '", port("http", number))
        ended = run(pod)
    lines = ended.stdout.splitlines()
    assert ended.returncode == 0 and lines[0] == "1 1 http" and lines[1].startswith("socket:["), ended
    assert int(lines[2]) >= 1


@pytest.mark.contract("L.1 rkt_socket_activation")
def test_a_socket_activated_app_answers(tmp_path: Path) -> None:
    pod = HandMadePod(tmp_path)
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as server:
        server.bind(("127.0.0.1", 0))
        add(pod, "web", "echo up; head -c 4 <&3", port("word", server.getsockname()[1], "udp"))
        process = pod.start(sockets=[server.fileno()])
        assert process.stdout is not None and process.stdout.readline() == "up\n"
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as client:
            client.sendto(b"HELO", server.getsockname())
        out, error = process.communicate()
        assert (process.returncode, out) == (0, "HELO"), error


@pytest.mark.parametrize("runtime", ["crun", "runc"])
def test_beside_busy_apps_with_handlers_and_private_users(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, runtime: str
) -> None:
    if shutil.which(runtime) is None:
        pytest.skip(f"{runtime} is not installed")
    monkeypatch.setenv("PODWRIGHT_RUNTIME", runtime)
    pod = HandMadePod(tmp_path)
    # Other apps start processes all the time, so ids are taken while the socket-activated one waits for its handler.
    add(pod, "busy", "while [ ! -e /shared/done ]; do /bin/echo >/dev/null; sleep 0.01; done")
    add(pod, "web", f"{TELL}; touch /shared/done", port("http", 36751))
    handler = {"name": "pre-start", "exec": ["/bin/sleep", "0.1"]}
    pod.manifest["apps"][1]["app"]["eventHandlers"] = [handler]
    pod.manifest["volumes"] = [{"name": "shared", "kind": "empty", "mode": "0777"}]
    for app in pod.manifest["apps"]:
        app["mounts"] = [{"volume": "shared", "path": "/shared"}]
        subprocess.run(["chown", "-Rh", "1000000:1000000", str(pod.root(app["name"]))], check=True)
    ended = pod.run("--private-users=1000000:65536")
    assert ended.returncode == 0 and ended.stdout.startswith("1 1 http\n"), ended


@pytest.mark.contract("L.1 rkt_socket_activation")
def test_what_doit_was_passed_reaches_the_app(tmp_path: Path) -> None:
    project = workbench.Project(tmp_path / "project", tmp_path / "data")
    links = [build.symlink(f"bin/{name}", "busybox") for name in ("readlink", "seq")]
    project.image("web.aci", workbench.manifest("example.com/web", app=["/bin/sh"]), workbench.busybox(*links))
    with socket.create_server(("127.0.0.1", 0)) as server:
        ports = [{"name": "http", "containerPort": server.getsockname()[1], "socketActivated": True}]
        container = {"name": "web", "image": "images/web.aci", "command": ["/bin/sh", "-c", TELL], "ports": ports}
        project.write(workbench.spec("shop", "0d6a3d52-31e0-4c8e-9e6c-6a5cf2f5ab01", [container]))
        project.wrapper = passing([server.fileno()], lock=1000)
        # The second run is one in which there is nothing to prepare.
        for _ in range(2):
            process = project.started("run", "pod=shop", pass_fds=[server.fileno()])
            out, error = process.communicate()
            assert (process.returncode, out.splitlines()) == (0, ["1 1 http", name_of(server)]), error
