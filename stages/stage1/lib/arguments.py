"""The command line of the `run` entrypoint, as stage0 gives it (contract A.9 and H.2)."""

from __future__ import annotations

from stages.stage1.lib.errors import Stage1Error

_SWITCHES = ("debug", "interactive", "mutable", "disable-capabilities-restriction", "disable-paths", "disable-seccomp")
_VALUES = ("net", "private-users", "mds-token", "local-config", "hostname", "dns-conf-mode", "ipc")


class Arguments:
    """What stage0 asked for. `private_users` is (first host id, count) or None; `net` is a list of (name, args)."""

    __slots__ = ("dns", "hostname", "ipc", "local_config", "mds_token", "net", "private_users", "switches", "uuid")

    def __init__(self, uuid: str, switches: frozenset[str], values: dict[str, str]) -> None:
        self.uuid = uuid
        self.switches = switches
        self.net = _networks(values.get("net", "default"))
        self.private_users = _shift(values.get("private-users", ""))
        self.local_config = values.get("local-config", "")
        self.mds_token = values.get("mds-token", "")
        self.hostname = values.get("hostname", "") or f"rkt-{uuid}"
        self.ipc = _one_of("ipc", values.get("ipc", "auto"), ("auto", "private", "parent"))
        self.dns = _dns(values.get("dns-conf-mode", ""))

    @property
    def host_network(self) -> bool:
        """The pod stays in the host's network namespace."""
        return any(name == "host" for name, _ in self.net)

    @property
    def no_network(self) -> bool:
        """The pod has loopback and nothing else."""
        return any(name == "none" for name, _ in self.net)


def parse(argv: list[str]) -> Arguments:
    """`argv` without the program's name. Raises Stage1Error for an unknown flag or a malformed value."""
    if not argv or argv[-1].startswith("-"):
        raise Stage1Error("the last argument must be the pod's UUID")
    switches, values = set(), {}
    for argument in argv[:-1]:
        name, equals, value = argument.removeprefix("--").partition("=")
        if not argument.startswith("--"):
            raise Stage1Error(f"unexpected argument {argument!r}")
        if name in _VALUES and equals:
            values[name] = value
        elif name in _SWITCHES and (not equals or value in ("true", "false")):
            if value != "false":
                switches.add(name)
        else:
            raise Stage1Error(f"unknown flag {argument!r}")
    return Arguments(_uuid(argv[-1]), frozenset(switches), values)


def _uuid(text: str) -> str:
    digits = text.lower().replace("-", "")
    if len(digits) != 32 or any(digit not in "0123456789abcdef" for digit in digits):
        raise Stage1Error(f"{text!r} is not a UUID")
    return text.lower()


def _networks(text: str) -> list[tuple[str, str]]:
    """Contract B.5: a comma list of NAME[:ARGS]."""
    result: list[tuple[str, str]] = []
    for element in text.split(","):
        name, _, arguments = element.partition(":")
        if not name:
            raise Stage1Error("the name of a network must not be empty")
        if ":" in arguments:
            raise Stage1Error(f"network {element!r} has more than one ':'")
        if any(name == known for known, _ in result):
            raise Stage1Error(f"network {name!r} is given twice")
        if arguments and name in ("all", "host", "none"):
            raise Stage1Error(f"network {name!r} takes no arguments")
        result.append((name, arguments))
    return result


def _shift(text: str) -> tuple[int, int] | None:
    if not text:
        return None
    start, _, count = text.partition(":")
    if not (start.isdecimal() and count.isdecimal() and int(count) > 0 and int(start) + int(count) <= 2**32 - 1):
        raise Stage1Error(f"--private-users={text} is not SHIFT:COUNT")
    return int(start), int(count)


def _one_of(flag: str, value: str, allowed: tuple[str, ...]) -> str:
    if value not in allowed:
        raise Stage1Error(f"--{flag}={value} is not one of {', '.join(allowed)}")
    return value


def _dns(text: str) -> dict[str, str]:
    """`resolv=MODE,hosts=MODE` of interface version 4."""
    result = {"resolv": "default", "hosts": "default"}
    for element in filter(None, text.split(",")):
        key, _, mode = element.partition("=")
        if key not in result:
            raise Stage1Error(f"--dns-conf-mode knows resolv and hosts, not {key!r}")
        allowed = ("host", "stage0", "none", "default") if key == "resolv" else ("host", "stage0", "default")
        result[key] = _one_of("dns-conf-mode", mode, allowed)
    return result
