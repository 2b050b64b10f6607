"""Speaks https: what may be asked where, how redirections are followed, and the words for what goes wrong.

Proxies (https_proxy, no_proxy) and certificate authorities (SSL_CERT_FILE, SSL_CERT_DIR) are those of the environment.
Without TLS only hosts that images.json lists under `http` are spoken to.
"""

from __future__ import annotations

import contextlib
import http.client
import ssl
import urllib.error
import urllib.parse
import urllib.request
from collections.abc import Mapping
from email.message import Message
from typing import IO, Any, cast

from stages.base.errors import ImageError
from stages.base.records import NamedTuple
from stages.images import pace
from stages.images.settings import LEAST, WAIT_LONGER, Settings

_CHUNK = 1 << 16
_HEADERS = {"User-Agent": "podwright", "Accept-Encoding": "identity"}
_NOT_MODIFIED = 304
_PLAIN = 'list the host in images.json of the configuration: {"http": ["HOST:PORT"]}'


class Web(NamedTuple):
    """How hosts are spoken to.

    plain: those that are also spoken to without TLS, with their port if it is not 80. patience: seconds of silence
    after which a host is given up, and in which it must send `least` bytes once it has begun.
    """

    plain: frozenset[str] = frozenset()
    patience: float = Settings().patience
    least: int = LEAST

    @classmethod
    def of(cls, settings: Settings) -> Web:
        """As this host is configured."""
        return cls(settings.http, settings.patience)

    def open(self, url: str, headers: Mapping[str, str] | None = None) -> http.client.HTTPResponse:
        """The response to a GET: of status 2xx, or 304 to a conditional one. The caller closes it.

        Raises ImageError: not-found, unauthorized, insecure, tls, unreachable, or web for anything else.
        """
        self.check(url)
        try:
            request = urllib.request.Request(url, headers={**_HEADERS, **(headers or {})})
            return cast("http.client.HTTPResponse", self._opener().open(request, timeout=self.patience))
        except urllib.error.HTTPError as error:
            with contextlib.closing(error):  # whose page may be closed
                if error.code == _NOT_MODIFIED and headers and error.fp is not None:
                    return cast("http.client.HTTPResponse", error)
                raise _refused(url, error) from error
        except (OSError, http.client.HTTPException, ValueError) as error:
            raise broken(url, error) from error

    def small(self, url: str, limit: int) -> tuple[int, bytes]:
        """Status and body of a document of at most `limit` bytes. Raises ImageError."""
        with self.open(url) as response:
            data = bytearray()
            try:
                while len(data) <= limit and (piece := response.read(_CHUNK)):
                    data += piece
            except (OSError, http.client.HTTPException, ValueError) as error:
                raise broken(url, error) from error
            if len(data) > limit:
                raise ImageError(f"{url} is larger than {limit} bytes", reason="limit")
            if response.length:
                raise ImageError(f"{url}: the answer was cut off", hint="run again", reason="unreachable")
            return response.status, bytes(data)

    def check(self, url: str) -> None:
        """Whether the URL may be asked for. Raises ImageError."""
        try:
            parts = urllib.parse.urlsplit(url)
        except ValueError as error:
            raise ImageError(f"{url} is not an address: {error}", reason="web") from error
        if parts.scheme == "https" or (parts.scheme == "http" and parts.netloc.lower() in self.plain):
            return
        raise ImageError(
            f"{url}: images are fetched over https only",
            hint=f"write https://, or {_PLAIN}",
            reason="insecure",
        )

    def _opener(self) -> urllib.request.OpenerDirector:
        """Only what is needed: nothing that could read files or speak FTP."""
        made = urllib.request.OpenerDirector()
        for handler in (
            urllib.request.ProxyHandler(),
            *pace.handlers(pace.Pace(self.least, self.patience)),
            urllib.request.HTTPDefaultErrorHandler(),
            urllib.request.HTTPErrorProcessor(),
            _Redirections(self),
        ):
            made.add_handler(handler)
        return made


class _Redirections(urllib.request.HTTPRedirectHandler):
    """Follows at most ten, and none that leads from https to something else."""

    def __init__(self, web: Web) -> None:
        self._web = web

    def redirect_request(
        self, req: urllib.request.Request, fp: IO[bytes], code: int, msg: str, headers: Message, newurl: str
    ) -> urllib.request.Request | None:
        scheme = urllib.parse.urlsplit(newurl).scheme
        if req.type == "https" and scheme != "https":
            raise ImageError(f"{req.full_url} leads to {newurl}, which is not https", reason="insecure")
        self._web.check(newurl)
        fp.close()  # else all of the page is read into memory, whose end may never come
        return super().redirect_request(req, fp, code, msg, cast("Any", headers), newurl)


def _refused(url: str, error: urllib.error.HTTPError) -> ImageError:
    said = f"{url}: the server says {error.code} {error.msg}".splitlines()[0].rstrip()
    match error.code:
        case 404 | 410:
            return ImageError(said, hint="look at the address", reason="not-found")
        case 401 | 403 | 407:
            return ImageError(
                said, hint="fetch the file with what has the password, and name the file", reason="unauthorized"
            )
        case code if 300 <= code < 400:
            return ImageError(f"{url} redirects in a circle, or to nowhere", reason="web")
        case code if code >= 500:
            return ImageError(said, hint="try again later", reason="unreachable")
    return ImageError(said, reason="web")


def broken(url: str, error: Exception) -> ImageError:
    """The sentence for a connection that failed."""
    cause = error.reason if isinstance(error, urllib.error.URLError) else error
    if isinstance(cause, pace.TooSlow):
        return ImageError(f"{url}: {cause}", hint=WAIT_LONGER, reason="unreachable")
    if isinstance(cause, TimeoutError):
        return ImageError(f"{url}: the server does not answer", hint=WAIT_LONGER, reason="unreachable")
    if isinstance(cause, ssl.SSLError) and cause.reason == "WRONG_VERSION_NUMBER":
        return ImageError(f"{url}: the server speaks no TLS there", hint=f"{_PLAIN}, and write http://", reason="tls")
    if isinstance(cause, ssl.SSLError):
        why = getattr(cause, "verify_message", "") or cause.reason or "TLS failed"
        hint = "SSL_CERT_FILE names a file of further certificate authorities"
        return ImageError(f"{url}: {why}", hint=hint, reason="tls")
    why = cause.strerror if isinstance(cause, OSError) and cause.strerror else str(cause) or type(cause).__name__
    waited = isinstance(error.__cause__, TimeoutError)
    hint = WAIT_LONGER if waited else "is the server up, and the network? what was fetched before still runs"
    return ImageError(f"{url}: {why}", hint=hint, reason="unreachable")
