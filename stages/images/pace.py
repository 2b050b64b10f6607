"""Connections to servers that must keep a pace: one that sends a byte now and then is given up like a silent one."""

from __future__ import annotations

import http.client
import io
import socket
import ssl
import time
import urllib.request
from collections.abc import Callable
from typing import Any, cast

from stages.base.records import NamedTuple

_MOST_HEADERS = 1 << 20


class TooSlow(TimeoutError):
    """The server sends, but too little."""


class Pace(NamedTuple):
    """What a server must send: `least` bytes in each `seconds` that are spent on waiting for it."""

    least: int
    seconds: float


class _Plain(urllib.request.HTTPHandler):
    def __init__(self, pace: Pace) -> None:
        super().__init__()
        self._pace = pace

    def http_open(self, req: urllib.request.Request) -> http.client.HTTPResponse:
        return _opened(self, http.client.HTTPConnection, req, self._pace)


class _Secure(urllib.request.HTTPSHandler):
    def __init__(self, pace: Pace) -> None:
        super().__init__()
        self._pace, self._tls = pace, ssl.create_default_context()

    def https_open(self, req: urllib.request.Request) -> http.client.HTTPResponse:
        return _opened(self, http.client.HTTPSConnection, req, self._pace, context=self._tls)


def handlers(pace: Pace) -> tuple[urllib.request.BaseHandler, ...]:
    """Speaking http and https for an opener of urllib; what they read raises TooSlow, but waits for the first byte."""
    return _Plain(pace), _Secure(pace)


def _opened(
    handler: urllib.request.AbstractHTTPHandler,
    kind: Callable[..., http.client.HTTPConnection],
    req: urllib.request.Request,
    pace: Pace,
    **how: Any,
) -> http.client.HTTPResponse:
    class Response(http.client.HTTPResponse):
        def __init__(self, sock: socket.socket, *args: Any, **more: Any) -> None:
            super().__init__(sock, *args, **more)
            self._paced = _Paced(self.fp.detach(), pace)
            self.fp = io.BufferedReader(self._paced)

        def begin(self) -> None:
            super().begin()
            self._paced.has_begun()

    def connection(host: str, **more: Any) -> http.client.HTTPConnection:
        made = kind(host, **more)
        made.response_class = Response
        return made

    return handler.do_open(cast("Any", connection), req, **how)


class _Paced(io.RawIOBase):
    """What comes from a socket. What the reader does between two reads is not the server's time."""

    def __init__(self, raw: io.RawIOBase, pace: Pace) -> None:
        self._raw, self._pace = raw, pace
        self._waited, self._came, self._begun = 0.0, 0, False
        self._headers: int | None = 0  # their bytes so far; None behind them

    def has_begun(self) -> None:
        """The headers are read; what follows may be as long as it likes."""
        self._headers = None

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int | None:
        before = time.monotonic()
        count = self._raw.readinto(buffer)
        if self._begun:
            self._waited += time.monotonic() - before
        self._begun = True
        self._came += count or 0
        if self._headers is not None:
            self._headers += count or 0
            if self._headers > _MOST_HEADERS:  # as of one that says `100 Continue` for ever
                raise http.client.HTTPException(f"the server sends more than {_MOST_HEADERS} bytes before its answer")
        if self._came >= self._pace.least:
            self._waited, self._came = 0.0, 0
        elif self._waited > self._pace.seconds and count:
            raise TooSlow(f"the server sends less than {self._pace.least} bytes in {self._pace.seconds:g} seconds")
        return count

    def close(self) -> None:
        self._raw.close()
        super().close()
