"""Ports of the host that lead into the pod: taken for as long as it runs, so that two never have one."""

from __future__ import annotations

import errno

from stages.stage1.lib.errors import Stage1Error

TYPE_CHECKING = False
if TYPE_CHECKING:
    from socket import socket
    from typing import Any


def taken(mappings: list[dict[str, Any]]) -> list[socket]:
    """Take the host's side of CNI port mappings, in this process's network namespace: a socket each.

    What comes to these ports is forwarded before any socket is asked; but whoever listens there, a pod or another
    program of the host, would silently get nothing more. Raises Stage1Error for a port that somebody has.
    """
    return [_take(one) for one in mappings]


def _take(mapping: dict[str, Any]) -> socket:
    import socket

    address, port, protocol = str(mapping.get("hostIP") or ""), int(mapping["hostPort"]), str(mapping["protocol"])
    stream = protocol == "tcp"
    made = socket.socket(
        socket.AF_INET6 if ":" in address else socket.AF_INET, socket.SOCK_STREAM if stream else socket.SOCK_DGRAM
    )
    try:
        if stream:
            # Connections that have ended keep nobody from a port; a socket that listens does all the same.
            made.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        made.bind((address, port))
        if stream:
            made.listen(1)
    except OSError as error:
        made.close()
        raise Stage1Error(_refusal(error, f"{address or '*'}:{port}/{protocol}")) from error
    return made


def _refusal(error: OSError, what: str) -> str:
    if error.errno == errno.EADDRINUSE:
        return f"the host's port {what} is taken by another pod or program (`ss -lntup` tells by whom)"
    if error.errno == errno.EADDRNOTAVAIL:
        return f"the host's port {what} is of no address of this host"
    return f"the host's port {what}: {error.strerror}"
