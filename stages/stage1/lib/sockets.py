"""Sockets that apps are started with (sd_listen_fds(3)): passed by the caller, or made in the pod's network.

As in rkt (contract H.7, L.1 rkt_socket_activation) a passed socket goes to the app with a socket-activated port of its
number; a port for which none was passed gets one here.
"""

from __future__ import annotations

import os

from stages.stage1.lib import syscalls
from stages.stage1.lib.errors import Stage1Error

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, MutableMapping, Sequence

    from stages.stage1.lib.manifest import App, Pod

FIRST = 3
_BACKLOG = 128


class Listener:
    """One socket of `app` for the port `name`: `handle` is its descriptor, -1 as long as there is none.

    `numbers` are what it may be bound to if the caller passes it, the app's own number first.
    """

    __slots__ = ("app", "handle", "name", "numbers", "stream")

    def __init__(self, app: str, name: str, stream: bool, numbers: list[int]) -> None:
        self.app, self.name, self.stream, self.numbers = app, name, stream, numbers
        self.handle = -1


def taken_over(environment: MutableMapping[str, str]) -> list[int]:
    """The descriptors that a socket-activating caller passed to this process. The variables that say so are removed."""
    process, count = environment.pop("LISTEN_PID", ""), environment.pop("LISTEN_FDS", "")
    environment.pop("LISTEN_FDNAMES", None)
    if process != str(os.getpid()) or not count.isdecimal():
        return []
    handles = list(range(FIRST, FIRST + int(count)))
    for handle in handles:
        os.set_inheritable(handle, False)
    return handles


def assign(pod: Pod, handles: list[int], say: Callable[[str], None]) -> list[Listener]:
    """The sockets that the pod's apps expect, with those of `handles` that fit; others are told, and closed."""
    listeners = [one for app in pod.apps for port in app.ports for one in _of_port(pod, app, port)]
    for handle in handles:
        stream, number = _bound(handle)
        fits = (one for one in listeners if one.handle < 0 and one.stream == stream and number in one.numbers)
        chosen = next(fits, None)
        if chosen is None:
            say(f"the socket passed as descriptor {handle} (port {number}) is of no socket-activated port of the pod")
            os.close(handle)
        else:
            chosen.handle = handle
    return listeners


def open_missing(listeners: list[Listener], netns: str) -> None:
    """Make the sockets that nobody passed, in the network namespace at `netns` ("" for ours). Raises Stage1Error."""
    missing = [one for one in listeners if one.handle < 0]
    if not missing:
        return
    own = os.open("/proc/self/ns/net", os.O_RDONLY | os.O_CLOEXEC)
    try:
        if netns:
            with open(netns, "rb") as namespace:
                syscalls.setns(namespace.fileno(), syscalls.CLONE_NEWNET)
        for one in missing:
            one.handle = _listening(one)
    finally:
        syscalls.setns(own, syscalls.CLONE_NEWNET)
        os.close(own)


def variables(listeners: list[Listener]) -> list[tuple[str, str]]:
    """What tells an app of its sockets, all but the process id."""
    if not listeners:
        return []
    return [("LISTEN_FDS", str(len(listeners))), ("LISTEN_FDNAMES", ":".join(one.name for one in listeners))]


def put(handles: Sequence[int]) -> None:
    """In a child that is about to exec: have them as descriptors 3 and following."""
    if not handles:
        return
    import fcntl

    moved = [fcntl.fcntl(handle, fcntl.F_DUPFD_CLOEXEC, FIRST + len(handles)) for handle in handles]
    for place, handle in enumerate(moved, FIRST):
        os.dup2(handle, place, inheritable=True)


def _of_port(pod: Pod, app: App, port: dict[str, object]) -> list[Listener]:
    if not port.get("socketActivated"):
        return []
    name, first = str(port["name"]), int(str(port["port"]))
    outside = [int(exposed["hostPort"]) for exposed in pod.ports if exposed.get("name") == name]
    stream = str(port.get("protocol", "tcp")) == "tcp"
    count = int(str(port.get("count") or 1))
    return [Listener(app.name, name, stream, [start + step for start in (first, *outside)]) for step in range(count)]


def _bound(handle: int) -> tuple[bool, int]:
    """Whether it is a stream socket, and its port; port 0 for what has none."""
    import socket

    try:
        with socket.socket(fileno=os.dup(handle)) as one:
            number = one.getsockname()[1] if one.family in (socket.AF_INET, socket.AF_INET6) else 0
            return one.type == socket.SOCK_STREAM, number
    except OSError:
        return False, 0


def _listening(one: Listener) -> int:
    import socket

    kind = socket.SOCK_STREAM if one.stream else socket.SOCK_DGRAM
    try:
        made = socket.socket(socket.AF_INET6 if socket.has_dualstack_ipv6() else socket.AF_INET, kind)
        if made.family == socket.AF_INET6:
            made.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 0)
        made.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        made.bind(("", one.numbers[0]))
        if one.stream:
            made.listen(_BACKLOG)
    except OSError as error:
        raise Stage1Error(
            f"app {one.app}: cannot listen on port {one.name} ({one.numbers[0]}): {error.strerror}"
        ) from error
    return made.detach()
