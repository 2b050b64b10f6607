"""A TLS server on loopback with a certificate authority of its own, and a proxy that leads every name to it."""

from __future__ import annotations

import contextlib
import http.server
import shutil
import socket
import ssl
import subprocess
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any, BinaryIO

NAME = "images.example.test"


class Page:
    """What the server answers under a path. cut: bytes after which the line breaks, once; stall: after which nothing
    comes any more, as long as the client waits. drip: seconds between one byte and the next.
    """

    drip = 0.0

    def __init__(self, body: bytes = b"", status: int = 200, cut: int = 0, stall: int = 0, **headers: str) -> None:
        self.body, self.status, self.cut, self.stall = body, status, cut, stall
        self.headers = {key.replace("_", "-"): value for key, value in headers.items()}


class Server:
    """pages: by path. asked: every request, as (path, headers)."""

    def __init__(self, folder: Path) -> None:
        folder.mkdir()
        self.pages: dict[str, Page] = {}
        self.asked: list[tuple[str, dict[str, str]]] = []
        self.authority, pair = _certificates(folder)
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(pair)
        self._server = _serving(_handler(self))
        self._server.socket = context.wrap_socket(self._server.socket, server_side=True)
        self._plain = _serving(_handler(self))
        self._proxy = _serving(_connect(self._server.server_address[1]))
        self._servers = (self._server, self._plain, self._proxy)
        self._threads = [threading.Thread(target=one.serve_forever, args=(0.01,)) for one in self._servers]
        for thread in self._threads:
            thread.start()
        self.url = f"https://127.0.0.1:{self._server.server_address[1]}"
        self.plain_host = f"127.0.0.1:{self._plain.server_address[1]}"
        self.environment = {"SSL_CERT_FILE": str(self.authority), "no_proxy": "127.0.0.1"}
        self.environment["https_proxy"] = f"http://127.0.0.1:{self._proxy.server_address[1]}"

    def paths(self) -> list[str]:
        """What was asked for since the last call."""
        found = [path for path, _ in self.asked]
        self.asked.clear()
        return found

    def close(self) -> None:
        for one, thread in zip(self._servers, self._threads, strict=True):
            one.shutdown()
            one.server_close()
            thread.join()


def _serving(handler: type[http.server.BaseHTTPRequestHandler]) -> http.server.ThreadingHTTPServer:
    return _Quiet(("127.0.0.1", 0), handler)


class _Quiet(http.server.ThreadingHTTPServer):
    def handle_error(self, *_: Any) -> None:
        pass  # clients that hang up are what is tested


def _handler(server: Server) -> type[http.server.BaseHTTPRequestHandler]:
    class Handler(http.server.BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_GET(self) -> None:
            server.asked.append((self.path, dict(self.headers)))
            page = server.pages.get(self.path, Page(status=404))
            body, status, headers = page.body, page.status, dict(page.headers)
            if page.headers.get("ETag") and self.headers.get("If-None-Match") == page.headers["ETag"]:
                body, status = b"", 304
            asked = self.headers.get("Range")
            if asked and self.headers.get("If-Range") == page.headers.get("ETag"):
                start = int(asked.removeprefix("bytes=").rstrip("-"))
                headers["Content-Range"] = f"bytes {start}-{len(body) - 1}/{len(body)}"
                body, status = body[start:], 206
            self.send_response(status)
            for key, value in headers.items():
                self.send_header(key, value)
            if status != 304:
                self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            if page.stall:
                self.wfile.write(body[: page.stall])
                self.rfile.read(1)  # until the client hangs up
                self.close_connection = True
                return
            if page.drip:
                _dripped(self.wfile, body, page.drip)
                return
            cut, page.cut = page.cut, 0
            self.wfile.write(body[:cut] if cut else body)
            if cut:
                self.close_connection = True

        def log_message(self, *_: Any) -> None:
            pass

    return Handler


def _dripped(out: BinaryIO, data: bytes, pause: float) -> None:
    with contextlib.suppress(OSError):  # the client has hung up
        for byte in data:
            out.write(bytes((byte,)))
            time.sleep(pause)


def _connect(port: int) -> type[http.server.BaseHTTPRequestHandler]:
    class Handler(http.server.BaseHTTPRequestHandler):
        def do_CONNECT(self) -> None:
            with socket.create_connection(("127.0.0.1", port)) as other:
                self.send_response(200)
                self.end_headers()
                back = threading.Thread(target=_pump, args=(other, self.connection))
                back.start()
                _pump(self.connection, other)
                back.join()

        def log_message(self, *_: Any) -> None:
            pass

    return Handler


def _pump(source: socket.socket, target: socket.socket) -> None:
    try:
        while data := source.recv(65536):
            target.sendall(data)
        target.shutdown(socket.SHUT_WR)
    except OSError:
        pass


def _certificates(folder: Path) -> tuple[Path, Path]:
    """The authority's certificate, and the server's with its key."""
    assert shutil.which("openssl")
    ca, key, request, made = (folder / name for name in ("ca.pem", "server.key", "server.csr", "server.pem"))
    curve = ["-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes"]
    # Without these Python 3.13 takes no authority for one, nor what it has signed.
    strict = ["-addext", "keyUsage=critical,keyCertSign,cRLSign"]
    run = _openssl(folder)
    run("req", "-x509", *curve, "-keyout", "ca.key", "-out", str(ca), "-subj", "/CN=tests", "-days", "3650", *strict)
    run("req", *curve, "-keyout", str(key), "-out", str(request), "-subj", f"/CN={NAME}")
    names = f"subjectAltName=DNS:{NAME},DNS:example.test,IP:127.0.0.1\nauthorityKeyIdentifier=keyid\n"
    (folder / "names").write_text(names)
    signed = ["-CA", str(ca), "-CAkey", "ca.key", "-CAcreateserial", "-days", "3650", "-extfile", "names"]
    run("x509", "-req", "-in", str(request), *signed, "-out", str(made))
    made.write_bytes(made.read_bytes() + key.read_bytes())
    return ca, made


def _openssl(folder: Path) -> Callable[..., object]:
    return lambda *words: subprocess.run(["openssl", *words], cwd=folder, check=True, capture_output=True)
