"""The pod's networks, set up and taken down by the CNI plugins of the host (contract L.1 rkt_net, F.7, H.5)."""

from __future__ import annotations

import os

from stages.stage1.crun import netconf
from stages.stage1.lib import init, quickjson
from stages.stage1.lib.errors import Stage1Error
from stages.stage1.lib.signals import signal

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from stages.stage1.lib.arguments import Arguments

RECORD = "net-info.json"
PLUGIN_DIRECTORIES = ("/usr/lib/cni", "/usr/libexec/cni", "/opt/cni/bin")
# Seconds after which a plugin is asked no longer than whoever started the pod wants.
_LONG = 0.5
_ENDING = {signal.SIGTERM, signal.SIGINT}
_PATH = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"


class Connection:
    """What the apps have to know of the networks: their `gateway` and the resolv.conf that the networks ask for."""

    __slots__ = ("gateway", "nameservers")

    def __init__(self) -> None:
        self.gateway = ""
        self.nameservers = b""


def set_up(options: Arguments, mappings: list[dict[str, Any]], pod_directory: str, netns: str) -> Connection:
    """Connect the network namespace at path `netns` to every network of `options`, in order, as eth0, eth1, ...

    Each is written to net-info.json before it is begun, so that whatever happens gc can take it down. Raises
    Stage1Error with the network's name and the plugin's own words.
    """
    records: list[dict[str, Any]] = []
    connection = Connection()
    for number, (name, arguments) in enumerate(netconf.chosen(options)):
        conflist = netconf.load(name, options.local_config)
        record: dict[str, Any] = {"netName": name, "ifName": f"eth{number}", "args": arguments}
        record |= {"conf": conflist, "ports": mappings}
        records.append(record)
        _save(pod_directory, records)
        result: dict[str, Any] = {}
        for before, plugin in enumerate(conflist["plugins"]):
            try:
                result = _call("ADD", plugin, record, result, options.uuid, netns) or result
            except Stage1Error:
                record["done"] = before
                _save(pod_directory, records)
                raise
        record["result"] = result
        _note(record, result, connection)
        _save(pod_directory, records)
    return connection


def tear_down(pod_directory: str, uuid: str, netns: str) -> list[str]:
    """Undo every network of the pod, last first; `netns` is "" when its namespace is gone.

    Failures end nothing. A network that is not taken down stays in net-info.json, so that it can be tried again: its
    address would be taken for ever. Returns a sentence for each of these.
    """
    path = os.path.join(pod_directory, RECORD)
    try:
        with open(path, encoding="utf-8") as file:
            records = quickjson.load(file)
        if not all(isinstance(record["conf"]["plugins"], list) for record in records):
            raise ValueError(path)
    except FileNotFoundError:
        return []
    except (ValueError, TypeError, KeyError):
        os.unlink(path)
        return [f"{path} is damaged: the networks of the pod cannot be taken down"]
    left: list[dict[str, Any]] = []
    troubles: list[str] = []
    for record in reversed(records):
        if found := _disconnect(record, uuid, netns):
            left.insert(0, record)
            troubles.append(found[0])
    if records and not netns:
        _remove_masquerade(uuid)
    if left:
        _save(pod_directory, left)
    else:
        os.unlink(path)
    return troubles


def _disconnect(record: dict[str, Any], uuid: str, netns: str) -> list[str]:
    """Undo one network as far as it goes; returns what went wrong.

    Plugins can be asked to undo what they have not done (`done` of them have); what they say to that is of no use.
    """
    troubles, plugins = [], record["conf"]["plugins"]
    for number in reversed(range(len(plugins))):
        try:
            _call("DEL", plugins[number], record, record.get("result") or {}, uuid, netns)
        except Stage1Error as error:
            if number < record.get("done", len(plugins)):
                troubles.append(str(error))
    return troubles


def _note(record: dict[str, Any], result: dict[str, Any], connection: Connection) -> None:
    """Pick what others read: addresses in the record, gateway and name servers for the apps."""
    for address in result.get("ips") or ([result["ip4"]] if "ip4" in result else []):
        record.setdefault("ip", str(address.get("address") or address.get("ip") or "").partition("/")[0])
        connection.gateway = connection.gateway or str(address.get("gateway") or "")
    dns = result.get("dns") or {}
    lines = [f"nameserver {server}" for server in dns.get("nameservers") or ()]
    if lines and not connection.nameservers:
        lines += [f"search {' '.join(dns['search'])}"] if dns.get("search") else []
        lines += [f"options {' '.join(dns['options'])}"] if dns.get("options") else []
        connection.nameservers = ("\n".join(lines) + "\n").encode()


def _save(pod_directory: str, records: list[dict[str, Any]]) -> None:
    init.publish(os.path.join(pod_directory, RECORD), quickjson.dumps(records))


def _call(
    command: str, plugin: dict[str, Any], record: dict[str, Any], previous: dict[str, Any], uuid: str, netns: str
) -> dict[str, Any]:
    """Run one plugin (CNI specification 0.4.0): configuration on stdin, result or error as JSON on stdout."""
    name = record["netName"]
    verb = "setup" if command == "ADD" else "take down"
    version = record["conf"].get("cniVersion") or "0.1.0"
    configuration = {**plugin, "name": name, "cniVersion": version}
    if previous:
        configuration["prevResult"] = previous
    if (plugin.get("capabilities") or {}).get("portMappings"):
        configuration["runtimeConfig"] = {"portMappings": record["ports"]}
    variables = {
        "CNI_COMMAND": command,
        "CNI_CONTAINERID": uuid,
        "CNI_NETNS": netns,
        "CNI_IFNAME": record["ifName"],
        "CNI_PATH": ":".join(PLUGIN_DIRECTORIES),
        # Each plugin reads the arguments that it knows, such as host-local's IP.
        "CNI_ARGS": f"IgnoreUnknown=1;{record['args']}" if record["args"] else "",
        "PATH": _PATH,
    }
    what = f"failed to {verb} network {name}: "
    code, out, error = _run(_plugin(str(plugin.get("type", "")), what), configuration, variables, what)
    try:
        answer = quickjson.loads(out.decode(errors="replace"))
    except ValueError:
        answer = {}
    answer = answer if isinstance(answer, dict) else {}
    if code:
        words = answer.get("details") or answer.get("msg") or error.decode("utf-8", "replace").strip()
        if answer.get("msg") and answer.get("details"):
            words = f"{answer['msg']}: {words}"
        words = words or (f"signal {-code}" if code < 0 else f"exit code {code}")
        raise Stage1Error(f"{what}{plugin.get('type')}: {words}")
    return answer


def _run(program: str, configuration: dict[str, Any], variables: dict[str, str], what: str) -> tuple[int, bytes, bytes]:
    """A plugin's exit code, stdout and stderr. What ends a pod kills one that takes long, and all that it began.

    `what` is the beginning of the sentence that tells it. Raises Stage1Error then.
    """
    from subprocess import PIPE, Popen, TimeoutExpired

    with Popen([program], stdin=PIPE, stdout=PIPE, stderr=PIPE, env=variables, process_group=0) as plugin:
        text: bytes | None = quickjson.dumps(configuration).encode()
        while True:
            try:
                out, error = plugin.communicate(text, timeout=_LONG)
                return plugin.returncode, out, error
            except TimeoutExpired:
                text = None
            if received := signal.sigtimedwait(signal.sigpending() & _ENDING, 0):
                os.killpg(plugin.pid, signal.SIGKILL)
                raise Stage1Error(f"{what}{os.path.basename(program)}: interrupted", 128 + received.si_signo)


def _plugin(kind: str, what: str) -> str:
    for directory in PLUGIN_DIRECTORIES:
        path = os.path.join(directory, os.path.basename(kind))
        if kind and os.access(path, os.X_OK):
            return path
    hint = "install containernetworking-plugins, or use --net=host or --net=none"
    raise Stage1Error(f"{what}no CNI plugin {kind!r} on this host ({hint})")


def _remove_masquerade(uuid: str) -> None:
    """The bridge plugin takes its masquerading rules down only where it can still look into the namespace."""
    import shlex
    import subprocess

    def iptables(*words: str) -> str:
        command = ["iptables", "-w", "-t", "nat", *words]
        try:
            return subprocess.run(command, capture_output=True, text=True, env={"PATH": _PATH}).stdout
        except FileNotFoundError:
            return ""

    for line in iptables("-S", "POSTROUTING").splitlines():
        words = shlex.split(line)
        if words[:1] == ["-A"] and any(f'id: "{uuid}"' in word for word in words):
            iptables("-D", *words[1:])
            iptables("-F", words[-1])
            iptables("-X", words[-1])
