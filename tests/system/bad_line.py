"""A line to a registry that is slow, or goes dead, as lines do: a TCP proxy that counts what the client gets."""

from __future__ import annotations

import contextlib
import select
import socket
import threading
from collections.abc import Iterator


class BadLine:
    """Leads 127.0.0.1:port to a server. All fields may be changed while it works.

    until: bytes towards the client, of all connections together, after which nothing comes any more (None: all
    comes). cut: connections are closed then, with the rest unsent, not only silent. speed: bytes a second (0: as they
    come). passed: how many there were.
    """

    def __init__(self, server: str) -> None:
        host, _, port = server.rpartition(":")
        self.server = (host, int(port))
        self.until: int | None = None
        self.cut = False
        self.speed = 0
        self.passed = 0
        self._ended = threading.Event()
        self._counting = threading.Lock()
        self._socket = socket.create_server(("127.0.0.1", 0))
        self._socket.settimeout(0.05)
        self.host = f"127.0.0.1:{self._socket.getsockname()[1]}"
        self._threads = [threading.Thread(target=self._accept)]
        self._threads[0].start()

    def close(self) -> None:
        """End it and all connections."""
        self._ended.set()
        for thread in self._threads:
            thread.join()
        self._socket.close()

    def repair(self) -> None:
        """From now on everything comes, at once."""
        self.until, self.cut, self.speed = None, False, 0

    def _accept(self) -> None:
        while not self._ended.is_set():
            with contextlib.suppress(TimeoutError):
                client, _ = self._socket.accept()
                self._threads.append(threading.Thread(target=self._lead, args=(client,)))
                self._threads[-1].start()

    def _lead(self, client: socket.socket) -> None:
        with client, socket.create_connection(self.server) as server, contextlib.suppress(OSError):
            while not self._ended.is_set():
                ready, _, _ = select.select([client, server], [], [], 0.05)
                for one in ready:
                    data = one.recv(1 << 14)
                    if not data:
                        return
                    if one is client:
                        server.sendall(data)
                    elif not self._answer(client, data):
                        return

    def _answer(self, client: socket.socket, data: bytes) -> bool:
        """Pass on what may pass; False when the connection is over."""
        with self._counting:
            room = len(data) if self.until is None else max(0, self.until - self.passed)
            self.passed += min(room, len(data))
        client.sendall(data[:room])
        if room >= len(data):
            return not (self.speed and self._ended.wait(len(data) / self.speed))
        while not self.cut and not self._ended.wait(0.05):
            if select.select([client], [], [], 0)[0] and not client.recv(1 << 14):
                return False
        return False


@contextlib.contextmanager
def bad_line(server: str) -> Iterator[BadLine]:
    """A line, closed afterwards."""
    line = BadLine(server)
    try:
        yield line
    finally:
        line.close()
