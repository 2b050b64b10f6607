"""A metadata service on a real unix socket, which writes down what it is asked and answers as it is told."""

from __future__ import annotations

import http.server
import socketserver
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import NamedTuple


class Asked(NamedTuple):
    """One request."""

    method: str
    path: str
    body: bytes


class MetadataServer(socketserver.ThreadingUnixStreamServer):
    """answers: status by (method, number of path components); drop: how many connections to close unanswered."""

    daemon_threads = True

    def __init__(self, address: Path) -> None:
        super().__init__(str(address), _Handler)
        self.asked: list[Asked] = []
        self.answers: dict[tuple[str, int], int] = {}
        self.drop = 0


class _Handler(http.server.BaseHTTPRequestHandler):
    server: MetadataServer

    def do_PUT(self) -> None:
        self._answer()

    def do_DELETE(self) -> None:
        self._answer()

    def _answer(self) -> None:
        body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
        self.server.asked.append(Asked(self.command, self.path, body))
        if self.server.drop:
            self.server.drop -= 1
            self.close_connection = True
            return
        parts = len(self.path.strip("/").split("/"))
        self.send_response(self.server.answers.get((self.command, parts), 200))
        self.end_headers()

    def address_string(self) -> str:
        return "unix socket"

    def log_message(self, *_: object) -> None:
        """Nobody reads it."""


@contextmanager
def serving(address: Path) -> Iterator[MetadataServer]:
    """A server at `address` for the time of the block."""
    with MetadataServer(address) as server:
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        try:
            yield server
        finally:
            server.shutdown()
            thread.join()
