"""What this host demands of images: images.json in its configuration directories.

    {
      "signatures": {"network": "require", "local": "off"},
      "http": ["images.example.com:8080"],
      "patience": 60
    }

signatures: the least that is asked of appc images that are fetched, and of files; a spec may ask for more. What is not
said is `require` for the network and `off` for files, and a spec may ask for less then. http: hosts that are also
spoken to without TLS. patience: seconds for which a server, or a registry, may be silent, or send less than LEAST
bytes, before it is given up. A later directory's word comes before an earlier one's.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from stages.base import files, strictjson
from stages.base.errors import HostError
from stages.base.paths import configuration
from stages.base.records import NamedTuple
from stages.spec.model import Signatures

# Bytes that must come in the time of the patience: who sends one now and then would be waited for without end.
LEAST = 60_000
# What helps where a server is slow, not dead.
WAIT_LONGER = 'is the server up, and the network? `{"patience": SECONDS}` in images.json waits longer'

_ORIGINS = ("network", "local")
_DEFAULT = {"network": Signatures.REQUIRE, "local": Signatures.OFF}
_STRICTNESS = (Signatures.OFF, Signatures.WARN, Signatures.REQUIRE)
_LONGEST = 86400  # seconds
_HOST = r"[a-z0-9.:\[\]-]{1,255}"


class Settings(NamedTuple):
    """What the configuration says; nothing by default.

    http: hosts, with their port if it is not 80. patience: seconds of silence after which a server is given up.
    """

    network: Signatures | None = None
    local: Signatures | None = None
    http: frozenset[str] = frozenset()
    patience: float = 60.0

    def signatures(self, origin: str, asked: Signatures | None) -> Signatures:
        """What holds for an image from the "network" or of a "local" file: the stricter of host and spec."""
        said = [one for one in (self.network if origin == "network" else self.local, asked) if one is not None]
        return max(said or [_DEFAULT[origin]], key=_STRICTNESS.index)


def read(environment: Mapping[str, str]) -> Settings:
    """The settings of this host. Raises HostError for a file that cannot be understood."""
    found = Settings()
    for directory in configuration(environment):
        data = files.read_or_none(directory.images)
        if data is not None:
            found = found._replace(**_parsed(data, directory.images))
    return found


def _parsed(data: bytes, path: Path) -> dict[str, Any]:
    try:
        document = strictjson.loads(data)
        _closed(document, ("signatures", "http", "patience"), "")
        rules = document.get("signatures", {})
        _closed(rules, _ORIGINS, "signatures: ")
        found: dict[str, Any] = {origin: Signatures(rules[origin]) for origin in rules}
        hosts = document.get("http", [])
        if not isinstance(hosts, list) or not all(isinstance(one, str) and re.fullmatch(_HOST, one) for one in hosts):
            raise ValueError("http is no list of hosts")
        found |= {"http": frozenset(hosts)} if "http" in document else {}
        return found | ({"patience": _seconds(document["patience"])} if "patience" in document else {})
    except (ValueError, TypeError) as error:
        raise HostError(
            f"{path}: {error}",
            hint='as {"signatures": {"network": "require", "local": "off"}, "http": ["HOST:PORT"], "patience": 60}',
            reason="bad-configuration",
        ) from error


def _seconds(value: Any) -> float:
    if isinstance(value, bool) or not isinstance(value, int | float) or not 1 <= value <= _LONGEST:
        raise ValueError(f"patience is no number of seconds from 1 to {_LONGEST}")
    return float(value)


def _closed(document: Any, known: tuple[str, ...], where: str) -> None:
    """It must be a mapping, and say nothing that is not understood."""
    if not isinstance(document, dict):
        raise ValueError(f"{where}not a mapping")
    if unknown := sorted(document.keys() - set(known)):
        raise ValueError(f"{where}unknown field {unknown[0]!r}, known are {', '.join(known)}")
