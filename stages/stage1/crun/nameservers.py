"""The host's name servers as a pod in a network of its own can ask them."""

from __future__ import annotations

_OWN = "/etc/resolv.conf"
# Whom systemd-resolved asks itself, where the host's own file names only that.
_UPSTREAM = "/run/systemd/resolve/resolv.conf"


def of_host() -> bytes:
    """The resolv.conf for a pod whose networks say nothing of name servers; nothing where the host has none."""
    return reachable(_text(_OWN), _text(_UPSTREAM)).encode("utf-8", "surrogateescape")


def reachable(own: str, upstream: str) -> str:
    """The first of two files that names a server elsewhere, without those on the host's loopback, else `own` itself.

    A pod's loopback is another one, where nobody answers.
    """
    for text in (own, upstream):
        lines = [line for line in text.split("\n") if not _server(line).startswith(("127.", "::1"))]
        if any(map(_server, lines)):
            return "\n".join(lines)
    return own


def _server(line: str) -> str:
    words = line.split()
    return words[1] if len(words) > 1 and words[0] == "nameserver" else ""


def _text(path: str) -> str:
    try:
        with open(path, encoding="utf-8", errors="surrogateescape") as file:
            return file.read(1 << 20)
    except OSError:
        return ""
