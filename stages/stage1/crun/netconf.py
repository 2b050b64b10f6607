"""Which networks a pod asks for, how they are configured, and which ports of the host lead into it."""

from __future__ import annotations

import os

from stages.stage1.lib import quickjson
from stages.stage1.lib.errors import Stage1Error

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from stages.stage1.lib.arguments import Arguments
    from stages.stage1.lib.manifest import Pod

CONFIGURATION = "/etc/podwright"
_PORTS = 65536
DEFAULT: dict[str, Any] = {
    "cniVersion": "0.4.0",
    "name": "default",
    "plugins": [
        {
            "type": "bridge",
            "bridge": "podwright0",
            "isGateway": True,
            "ipMasq": True,
            "hairpinMode": True,
            "ipam": {
                "type": "host-local",
                "ranges": [[{"subnet": "172.16.28.0/24"}]],
                "routes": [{"dst": "0.0.0.0/0"}],
                # Leases end with the machine's uptime, as network namespaces do.
                "dataDir": "/run/podwright/networks",
            },
        },
        {"type": "portmap", "capabilities": {"portMappings": True}, "snat": True},
    ],
}


def chosen(options: Arguments) -> list[tuple[str, str]]:
    """The networks (name, CNI arguments) in the order of their interfaces; `all` is every configured one."""
    if not any(name == "all" for name, _ in options.net):
        return options.net
    named = dict(options.net)
    del named["all"]
    names = sorted({"default", *_configured(options.local_config), *named})
    return [(name, named.get(name, "")) for name in names]


def load(name: str, local_config: str) -> dict[str, Any]:
    """The configuration list of the network `name`: from net.d, else the built-in default. Raises Stage1Error."""
    configured = _configured(local_config)
    if name in configured:
        return configured[name]
    if name == "default":
        return DEFAULT
    raise Stage1Error(f"failed to setup network {name}: there is no network of that name in {_directory(local_config)}")


def _directory(local_config: str) -> str:
    return os.path.join(local_config or CONFIGURATION, "net.d")


def _configured(local_config: str) -> dict[str, dict[str, Any]]:
    """Networks by name from *.conf (one plugin) and *.conflist files, the first in order of file names wins."""
    directory = _directory(local_config)
    result: dict[str, dict[str, Any]] = {}
    try:
        files = sorted(os.listdir(directory))
    except (FileNotFoundError, NotADirectoryError):
        return result
    for file_name in files:
        if not file_name.endswith((".conf", ".conflist")):
            continue
        path = os.path.join(directory, file_name)
        try:
            with open(path, encoding="utf-8") as file:
                fields = quickjson.load(file)
            name = str(fields["name"])
            plugins = fields["plugins"] if file_name.endswith("list") else [fields]
            version = str(fields.get("cniVersion", ""))
            if not isinstance(plugins, list) or not all(map(_is_plugin, plugins)):
                raise TypeError("its plugins are no list of objects")
        except (ValueError, KeyError, TypeError) as error:
            raise Stage1Error(f"failed to setup network: {path} is not a network configuration: {error}") from error
        result.setdefault(name, {"cniVersion": version, "name": name, "plugins": plugins})
    return result


def _is_plugin(fields: Any) -> bool:
    return isinstance(fields, dict) and isinstance(fields.get("capabilities") or {}, dict)


def port_mappings(pod: Pod, served: frozenset[str] = frozenset()) -> list[dict[str, Any]]:
    """The exposed ports of the pod as CNI port mappings (contract F.7), but those `served` otherwise.

    Raises Stage1Error.
    """
    result = []
    for exposed in pod.ports:
        name = str(exposed["name"])
        port = exposed.get("podPort") or _named(pod, name)
        if name in served:
            continue
        first, count = int(exposed["hostPort"]), int(port.get("count") or 1)
        if first + count > _PORTS:
            raise Stage1Error(f"{name}: {count} ports of the host from {first} on go beyond {_PORTS - 1}")
        for number in range(count):
            mapping: dict[str, Any] = {
                "hostPort": first + number,
                "containerPort": int(port["port"]) + number,
                "protocol": str(port.get("protocol", "tcp")),
            }
            if exposed.get("hostIP"):
                mapping["hostIP"] = str(exposed["hostIP"])
            result.append(mapping)
    return result


def _named(pod: Pod, name: str) -> dict[str, Any]:
    """The port of that name, which one app must have. Raises Stage1Error."""
    found = [port for app in pod.apps for port in app.ports if port.get("name") == name]
    if not found:
        raise Stage1Error(f"Port name {name} is not defined by any apps")
    if len(found) > 1:
        raise Stage1Error(f"Ambiguous exposed port {name}")
    return found[0]
