"""Brings a large file over the web into a spool: asked for only if it changed, taken up again when the line breaks."""

from __future__ import annotations

import contextlib
import http.client
import re
import time
from collections.abc import Mapping
from typing import Any, BinaryIO

from stages.base.errors import ImageError
from stages.base.progress import Progress
from stages.base.records import NamedTuple
from stages.images.blobs import CHUNK
from stages.images.pace import TooSlow
from stages.images.web import Web, broken

MAX_IMAGE = 1 << 36
_RETRIES = 4
_PAUSE = 0.25  # seconds before the first further attempt; doubled for each that follows without progress
_MOST_SECONDS = 365 * 86400
_NOT_MODIFIED = 304
_AGE = re.compile(r"\bmax-age=\"?(\d{1,10})")


class Fetched(NamedTuple):
    """What the server said of a file. etag, modified: "" where it said none. max_age: seconds in which not to ask."""

    url: str
    etag: str = ""
    modified: str = ""
    max_age: int = 0
    at: float = 0.0

    @classmethod
    def of(cls, note: Mapping[str, Any]) -> Fetched:
        """As it was remembered; of a note that has been tampered with, nothing."""
        found: dict[str, Any] = {name: note.get(name) for name in cls._fields}
        texts = all(isinstance(found[name], str) for name in ("url", "etag", "modified"))
        numbers = all(isinstance(found[name], int | float) for name in ("max_age", "at"))
        return cls(**found) if texts and numbers else cls("")

    def is_current(self) -> bool:
        """Whether the server asked not to be asked again yet (contract D.5)."""
        return 0 <= time.time() - self.at < self.max_age

    def conditions(self) -> dict[str, str]:
        """What makes a request one for a changed file only."""
        if self.etag:
            return {"If-None-Match": self.etag}
        return {"If-Modified-Since": self.modified} if self.modified else {}

    def same(self) -> str:
        """What If-Range takes: something that no other content has; "" if there is nothing."""
        return self.etag if self.etag and not self.etag.startswith("W/") else self.modified


class _Interrupted(Exception):
    """The line broke before the end."""


def fetch(
    web: Web, url: str, spool: BinaryIO, before: Fetched, progress: Progress, limit: int = MAX_IMAGE
) -> tuple[bool, Fetched]:
    """Write the file into the empty spool unless it is what it was `before`: whether it is new, and what was said.

    Raises ImageError, HostError. The spool has no name on disk: of a broken-off transfer nothing is left.
    """
    response = web.open(url, before.conditions())
    with contextlib.closing(response):
        said = _said(url, response)
        if response.status == _NOT_MODIFIED:
            return False, said._replace(etag=said.etag or before.etag, modified=said.modified or before.modified)
        progress.begin(f"fetching {url}", response.length or 0)
        try:
            whole = _received(response, spool, url, limit, progress)
            return True, said if whole else _taken_up(web, said, spool, progress, limit)
        finally:
            progress.end()
            spool.flush()
            spool.seek(0)


def _received(response: http.client.HTTPResponse, spool: BinaryIO, url: str, limit: int, progress: Progress) -> bool:
    """Whether all of the response came."""
    try:
        _receive(response, spool, url, limit, progress)
        return True
    except _Interrupted:
        return False


def _taken_up(web: Web, said: Fetched, spool: BinaryIO, progress: Progress, limit: int) -> Fetched:
    """Fetch the rest of a file whose transfer broke; what the server said of it in the end. Raises ImageError."""
    attempts = 1
    while True:
        time.sleep(_PAUSE * 2 ** (attempts - 1))
        have = spool.tell()
        try:
            with contextlib.closing(_again(web, said.url, spool, said)) as response:
                said = _said(said.url, response)
                _receive(response, spool, said.url, limit, progress)
            return said
        except _Interrupted as error:
            attempts = 1 if spool.tell() > have else attempts + 1
            if attempts > _RETRIES:
                raise broken(said.url, error) from error


def _again(web: Web, url: str, spool: BinaryIO, said: Fetched) -> http.client.HTTPResponse:
    """A response that goes on where the spool ends, which is at its beginning if the server cannot do better.

    Raises _Interrupted when the server is not there now, ImageError.
    """
    have, same = spool.tell(), said.same()
    headers = {"Range": f"bytes={have}-", "If-Range": same} if have and same else {}
    try:
        response = web.open(url, headers)
    except ImageError as error:
        if error.reason == "unreachable":
            raise _Interrupted(error.sentence.removeprefix(f"{url}: ")) from error
        raise
    if response.status == 206:
        place = response.headers.get("Content-Range", "")
        if not place.startswith(f"bytes {have}-") or _said(url, response).same() not in ("", same):
            response.close()
            raise ImageError(f"{url}: the server goes on at another place than asked", reason="web")
        return response
    spool.seek(0)
    spool.truncate()
    return response


def _receive(response: http.client.HTTPResponse, spool: BinaryIO, url: str, limit: int, progress: Progress) -> None:
    """All that the response has. Raises _Interrupted when that is less than it said."""
    if spool.tell() + (response.length or 0) > limit:
        raise ImageError(f"{url} is larger than {limit} bytes", reason="limit")
    while True:
        try:
            piece = response.read(CHUNK)
        except (OSError, http.client.HTTPException, ValueError) as error:  # the last for a chunk of -5 bytes
            raise _Interrupted(_why(error)) from error
        if not piece:
            break
        spool.write(piece)
        progress.advance(len(piece))
        if spool.tell() > limit:
            raise ImageError(f"{url} is larger than {limit} bytes", reason="limit")
    if response.length:
        raise _Interrupted("the transfer was cut off")


def _why(error: Exception) -> str:
    if isinstance(error, TooSlow):
        return str(error)
    return "the server sends no more" if isinstance(error, TimeoutError) else "the transfer was cut off"


def _said(url: str, response: http.client.HTTPResponse) -> Fetched:
    control = response.headers.get("Cache-Control", "").lower()
    age = _AGE.search(control)
    again = "no-cache" in control or "no-store" in control
    seconds = 0 if again or age is None else min(int(age[1]), _MOST_SECONDS)
    headers = response.headers
    return Fetched(url, headers.get("ETag", ""), headers.get("Last-Modified", ""), seconds, time.time())
