"""The pod's networks for real, by the CNI plugins of the host; all rules, links and leases are gone afterwards."""

from __future__ import annotations

import fcntl
import json
import shlex
import shutil
import signal
import socket
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from stages.stage1.crun.network import PLUGIN_DIRECTORIES
from tests.system.stage1_pod import HandMadePod, sh

pytestmark = pytest.mark.system

BRIDGE = "pwtest0"
SUBNET = "10.231.77"
# The bridge and the rules are the machine's, where the tests of another checkout may run too.
LOCK = Path("/run/lock/podwright-network-tests")


def rules() -> list[str]:
    """The NAT rules and chains of the host."""
    return subprocess.run(
        ["iptables", "-t", "nat", "-S"], capture_output=True, text=True, check=True
    ).stdout.splitlines()


def remove_empty_chains(before: list[str]) -> None:
    """The portmap plugin leaves its own chains, empty but for what marks packets, and the rules that lead to them."""
    added = [shlex.split(line) for line in rules() if line not in before]
    for words in [words for words in added if words[0] == "-A"]:
        subprocess.run(["iptables", "-t", "nat", "-D", *words[1:]], check=True)
    for words in [words for words in added if words[0] == "-N"]:
        subprocess.run(["iptables", "-t", "nat", "-X", words[1]], check=True)


@pytest.fixture
def config(tmp_path: Path) -> Iterator[Path]:
    """A configuration directory with a network of our own, named default: the built-in one's addresses may be taken."""
    if not any(Path(directory, "bridge").exists() for directory in PLUGIN_DIRECTORIES) or not shutil.which("iptables"):
        pytest.skip("needs containernetworking-plugins and iptables")
    with open(LOCK, "ab") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield from configured(tmp_path)


def configured(tmp_path: Path) -> Iterator[Path]:
    before, forwarding = rules(), Path("/proc/sys/net/ipv4/ip_forward")
    forwards = forwarding.read_text()
    ipam = {
        "type": "host-local",
        "ranges": [[{"subnet": f"{SUBNET}.0/24"}]],
        "routes": [{"dst": "0.0.0.0/0"}],
        "dataDir": str(tmp_path / "leases"),
    }
    bridge = {"type": "bridge", "bridge": BRIDGE, "isGateway": True, "ipMasq": True, "ipam": ipam}
    portmap = {"type": "portmap", "capabilities": {"portMappings": True}, "snat": True}
    (tmp_path / "net.d").mkdir()
    conflist = {"cniVersion": "0.4.0", "name": "default", "plugins": [bridge, portmap]}
    (tmp_path / "net.d/10-default.conflist").write_text(json.dumps(conflist))
    (tmp_path / "net.d/20-lo.conf").write_text(json.dumps({"cniVersion": "0.4.0", "name": "lo", "type": "loopback"}))
    yield tmp_path
    subprocess.run(["ip", "link", "delete", BRIDGE], check=False, capture_output=True)
    forwarding.write_text(forwards)
    ours = [line for line in rules() if line not in before and (SUBNET in line or "id:" in line)]
    remove_empty_chains(before)
    assert ours == []
    assert not list((tmp_path / "leases/default").glob("[0-9]*")), "a lease is left"


@pytest.fixture
def pod(tmp_path: Path) -> HandMadePod:
    (tmp_path / "pods").mkdir()
    return HandMadePod(tmp_path / "pods")


def flags(config: Path, net: str = "default") -> list[str]:
    return [f"--net={net}", f"--local-config={config}"]


@pytest.mark.contract("L.1 rkt_net")
def test_the_default_network_has_an_address_and_a_way_to_the_host(pod: HandMadePod, config: Path) -> None:
    pod.add("web", sh(f"ip -o -4 addr show eth0; ip route; echo hello | nc -w 5 {SUBNET}.1 $PORT"))
    with socket.create_server(("0.0.0.0", 0)) as server:
        port = str(server.getsockname()[1])
        pod.manifest["apps"][0]["app"]["environment"] = [{"name": "PORT", "value": port}]
        process = pod.start(*flags(config))
        connection, _ = server.accept()
        with connection:
            assert connection.recv(100) == b"hello\n"
        out, error = process.communicate()
    assert f"{SUBNET}." in out and f"default via {SUBNET}.1" in out, (out, error)
    assert not (pod.path / "net-info.json").exists()


def test_a_pod_asks_whom_the_host_s_own_resolver_asks(pod: HandMadePod, config: Path, tmp_path: Path) -> None:
    (tmp_path / "stub").write_text("nameserver 127.0.0.53\n")
    pod.add("web", sh("cat /etc/resolv.conf"))
    script = "mount -t tmpfs none /run && mkdir -p /run/systemd/resolve && mount --bind $0 /etc/resolv.conf && "
    script += 'echo nameserver 192.0.2.1 >/run/systemd/resolve/resolv.conf && exec "$@"'
    prefix = ["unshare", "-m", "/bin/sh", "-c", script, str(tmp_path / "stub")]
    ended = pod.run(*flags(config), prefix=prefix)
    assert (ended.returncode, ended.stdout) == (0, "nameserver 192.0.2.1\n"), ended.stderr


def test_gc_takes_down_what_a_killed_init_left(pod: HandMadePod, config: Path) -> None:
    pod.add("web", sh("echo up; sleep 1000"))
    process = pod.start(*flags(config))
    assert process.stdout is not None and process.stdout.readline() == "up\n"
    process.kill()
    process.communicate()
    assert any(pod.uuid in line for line in rules())
    for _ in range(2):
        subprocess.run([pod.entrypoint("gc"), pod.uuid], cwd=pod.path, check=True)
    assert not any(pod.uuid in line for line in rules())
    assert not (pod.path / "net-info.json").exists()


@pytest.mark.parametrize("by", ["gc", "run"])
def test_a_network_that_could_not_be_taken_down_is_tried_again(pod: HandMadePod, config: Path, by: str) -> None:
    root = pod.add("web", sh("echo up; until test -e /dir1/go; do sleep 0.05; done"))
    process = pod.start(*flags(config))
    assert process.stdout is not None and process.stdout.readline() == "up\n"
    leases = config / "leases"
    leases.rename(config / "away")
    leases.write_text("in the way of whoever looks for the lease")
    (root / "dir1/go").touch()
    _, told = process.communicate()
    assert process.returncode == 0
    assert told.count("\n") == 1 and told.startswith("stage1: failed to take down network default: bridge: "), told
    assert "the next run tries it again, and gc" in told
    (record,) = json.loads((pod.path / "net-info.json").read_text())
    assert (config / "away/default" / record["ip"]).exists()
    assert not (pod.path / "ended").exists(), "stage0 would not call gc"

    leases.unlink()
    (config / "away").rename(leases)
    if by == "gc":
        done = subprocess.run(
            [pod.entrypoint("gc"), pod.uuid], cwd=pod.path, check=True, capture_output=True, text=True
        )
        assert done.stderr == ""
    else:
        again = pod.run(*flags(config))
        assert (again.returncode, again.stdout, again.stderr) == (0, "up\n", "")
        assert (pod.path / "ended").exists()
    assert not (pod.path / "net-info.json").exists()
    assert not (leases / "default" / record["ip"]).exists()


def test_what_was_connected_before_a_network_that_fails_is_taken_down(pod: HandMadePod, config: Path) -> None:
    pod.add("web", sh("exit 0"))
    ended = pod.run(*flags(config, "default,nosuch"))
    assert ended.returncode == 254 and ended.stderr.count("\n") == 1, ended.stderr
    bridge = json.loads((config / "net.d/10-default.conflist").read_text())["plugins"][0]
    broken = {"cniVersion": "0.4.0", "name": "half", "plugins": [bridge, {"type": "nosuchplugin"}]}
    (config / "net.d/30-half.conflist").write_text(json.dumps(broken))
    ended = pod.run(*flags(config, "half"))
    assert ended.returncode == 254 and ended.stderr.count("\n") == 1, ended.stderr
    assert not (pod.path / "net-info.json").exists()


def test_apps_share_the_network_also_under_private_users(pod: HandMadePod, config: Path) -> None:
    pod.add("one", sh("nc -l -p 7000"))
    # The word is there before nc is: it ends when the other side does, which has nothing to say.
    pod.add("two", sh("until nc 127.0.0.1 7000; do sleep 0.05; done <<END\nword\nEND"))
    for name in ("one", "two"):
        subprocess.run(["chown", "-Rh", "1000000:1000000", str(pod.root(name))], check=True)
    ended = pod.run("--private-users=1000000:65536", *flags(config))
    assert (ended.returncode, ended.stdout) == (0, "word\n"), ended


@pytest.mark.contract("L.1 rkt_error_output")
@pytest.mark.parametrize(
    ("net", "change", "words"),
    [
        ("nosuch", {}, "failed to setup network nosuch"),
        ("default:IP=10.9.9.9", {}, "failed to setup network default"),
        ("default", {"ports": [{"name": "ghost", "hostPort": 1}]}, "Port name ghost is not defined by any apps"),
    ],
)
def test_what_cannot_be_set_up_is_one_sentence(
    pod: HandMadePod, config: Path, net: str, change: dict[str, Any], words: str
) -> None:
    pod.add("web", sh("exit 0"))
    pod.manifest.update(change)
    ended = pod.run(*flags(config, net))
    assert ended.returncode == 254
    assert words in ended.stderr and ended.stderr.count("\n") == 1, ended.stderr


@pytest.mark.parametrize(
    ("script", "words"),
    [
        ("kill -9 $$", "failed to setup network default: bridge: signal 9"),
        ("exit 3", "failed to setup network default: bridge: exit code 3"),
    ],
)
def test_a_plugin_that_says_nothing_is_told_by_its_end(
    pod: HandMadePod, config: Path, tmp_path: Path, script: str, words: str
) -> None:
    pod.add("web", sh("exit 0"))
    ended = pod.run(*flags(config), prefix=bridge_is(tmp_path, script))
    assert (ended.returncode, ended.stderr) == (254, f"stage1: {words}\n")


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_plugin_that_takes_long_ends_with_the_wish_for_the_pod(
    pod: HandMadePod, config: Path, tmp_path: Path, number: signal.Signals
) -> None:
    """As one of DHCP does where nobody answers. It takes what it waits for along, which has its pipes open too."""
    pod.add("web", sh("echo never"))
    script = f"echo $CNI_COMMAND >>{tmp_path}/asked; test $CNI_COMMAND = DEL || {{ sleep 1000; exit 1; }}"
    process = pod.start(*flags(config), prefix=bridge_is(tmp_path, script))
    while not (tmp_path / "asked").exists():
        time.sleep(0.01)
    process.send_signal(number)
    out, error = process.communicate(timeout=20)
    assert (process.returncode, out) == (128 + number, "")
    assert error == "stage1: failed to setup network default: bridge: interrupted\n"
    assert (tmp_path / "asked").read_text().split() == ["ADD", "DEL"]
    assert not (pod.path / "net-info.json").exists()


def bridge_is(folder: Path, script: str) -> list[str]:
    """The command line in whose mount namespace the plugin `bridge` is a script."""
    plugins = next(one for one in PLUGIN_DIRECTORIES if Path(one, "bridge").exists())
    fake = folder / "bridge"
    fake.write_text(f"#!/bin/sh\n{script}\n")
    fake.chmod(0o755)
    return ["unshare", "-m", "/bin/sh", "-c", f'mount --bind {fake} {plugins}/bridge; exec "$@"', "-"]


def test_an_address_can_be_asked_for(pod: HandMadePod, config: Path) -> None:
    pod.add("web", sh("ip -o -4 addr show eth0"))
    ended = pod.run(*flags(config, f"default:IP={SUBNET}.99"))
    assert f" {SUBNET}.99/24 " in ended.stdout, ended


@pytest.mark.contract("L.1 rkt_metadata_service")
def test_the_metadata_service_is_reached_through_the_gateway(pod: HandMadePod, config: Path) -> None:
    pod.add("web", sh("echo $AC_METADATA_URL"))
    assert pod.run("--mds-token=cafe", *flags(config)).stdout == f"http://{SUBNET}.1:18112/cafe\n"
