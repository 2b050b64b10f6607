"""Words of a spec that may be written in several ways, in the one way that we compare and hand on."""

from __future__ import annotations

import posixpath
from collections.abc import Iterable, Mapping
from typing import Any

from stages.spec.model import ALL


def cleaned(path: str) -> str:
    """An absolute path with neither empty nor `.` parts, nor a slash at its end."""
    return "/" + posixpath.normpath(path).lstrip("/")


def capability_names(words: Iterable[str]) -> tuple[str, ...]:
    """Capabilities, sorted, CHOWN as CAP_CHOWN; ALL swallows the others."""
    names = {word if word == ALL else "CAP_" + word.removeprefix("CAP_") for word in words}
    return (ALL,) if ALL in names else tuple(sorted(names))


def port_name(port: Mapping[str, Any]) -> str:
    """A port's name; appc wants one, so a port without is called after what it is, as `tcp-8080`."""
    if "name" in port:
        return str(port["name"])
    return f"{str(port.get('protocol', 'TCP')).lower()}-{int(port['containerPort'])}"
