"""Registration with the metadata service, through which apps learn about their pod (contract I.1): the client's side.

Requests are HTTP over a unix socket. An answer other than 200 is final; a broken connection is tried again, each time
with the whole body.
"""

from __future__ import annotations

import contextlib
import http.client
import os
import secrets
import socket
import time
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path

from stages.base import files
from stages.base.errors import PodError
from stages.base.paths import PodPaths

_SOCKET = "/run/rkt/metadata-svc.sock"
_SOCKET_VARIABLE = "PODWRIGHT_MDS_SOCKET"
_TOKEN_BYTES = 16
_ATTEMPTS = 4
_PAUSE = 1.0
_TIMEOUT = 10.0
# Nobody listens, and waiting does not help.
_NOBODY = (FileNotFoundError, ConnectionRefusedError, NotADirectoryError)


class Service:
    """The service behind a socket. pause: what waits between attempts."""

    def __init__(self, address: Path, pause: Callable[[], None] = lambda: time.sleep(_PAUSE)) -> None:
        self.address = address
        self._pause = pause

    @classmethod
    def of(cls, environment: Mapping[str, str]) -> Service:
        """The host's, or the one that PODWRIGHT_MDS_SOCKET names."""
        return cls(Path(environment.get(_SOCKET_VARIABLE) or _SOCKET))

    def check(self) -> None:
        """Raises PodError when nobody listens: asked before a pod counts as running (contract C.9)."""
        try:
            with contextlib.closing(_Connection(self.address)) as connection:
                connection.connect()
        except OSError as error:
            raise self._unreachable(error) from error

    def register(self, pod: PodPaths, apps: Iterable[str]) -> str:
        """Tell the service of a pod and its apps; returns the token under which apps ask about it.

        The marker is written once the service knows the pod. Whatever fails then takes the pod back. Raises PodError.
        """
        uuid, token = pod.root.name, secrets.token_hex(_TOKEN_BYTES)
        self._ask("PUT", f"/pods/{uuid}?token={token}", pod.manifest.read_bytes())
        try:
            files.publish(pod.mds_registered, b"")
            for app in apps:
                self._ask("PUT", f"/pods/{uuid}/{app}", pod.app_manifest(app).read_bytes())
        except BaseException:
            with contextlib.suppress(PodError):
                self.unregister(pod)
            raise
        return token

    def unregister(self, pod: PodPaths) -> None:
        """Make the service forget the pod; nothing without the marker. Raises PodError, at once when nobody listens."""
        if not pod.mds_registered.exists():
            return
        self.check()
        self._ask("DELETE", f"/pods/{pod.root.name}", None)
        pod.mds_registered.unlink()

    def _ask(self, method: str, path: str, body: bytes | None) -> None:
        for attempt in range(_ATTEMPTS):
            if attempt:
                self._pause()
            try:
                status, said = self._answer(method, path, body)
            except (OSError, http.client.HTTPException) as error:
                failure = error
                continue
            if status == http.client.OK:
                return
            raise PodError(
                f"the metadata service answered {method} {path.partition('?')[0]} with {status}: {said}",
                hint="`stage0: {mdsRegister: false}` in the spec skips it",
                reason="mds-refused",
            )
        raise self._unreachable(failure) from failure

    def _answer(self, method: str, path: str, body: bytes | None) -> tuple[int, str]:
        connection = _Connection(self.address)
        try:
            connection.request(method, path, body, {"Content-Type": "application/json"} if body else {})
            answer = connection.getresponse()
            return answer.status, answer.read(200).decode(errors="replace").strip()
        finally:
            connection.close()

    def _unreachable(self, error: Exception) -> PodError:
        running = "it seems not to be running" if isinstance(error, _NOBODY) else str(error) or type(error).__name__
        return PodError(
            f"cannot reach the metadata service at {self.address}: {running}",
            hint="start it, or skip it: `stage0: {mdsRegister: false}` in the spec",
            reason="mds-unreachable",
        )


class _Connection(http.client.HTTPConnection):
    """HTTP over a unix socket."""

    def __init__(self, address: Path) -> None:
        super().__init__("localhost", timeout=_TIMEOUT)
        self._address = address

    def connect(self) -> None:
        self.sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        self.sock.settimeout(self.timeout)
        try:
            self.sock.connect(os.fspath(self._address))
        except BaseException:
            self.close()
            raise
