"""appc's meta discovery: from an image's name to the addresses of its archive and of its keys (contract K.10).

https://NAME?ac-discovery=1 is a page with <meta name="ac-discovery" content="PREFIX TEMPLATE"> and
<meta name="ac-discovery-pubkeys" content="PREFIX URL">; where there is none, the page of the name's parent is asked.
The pages are anybody's: they are read by a scanner that passes every byte once, and stops at what it does not
understand.
"""

from __future__ import annotations

import contextlib
import html
import re
import urllib.parse
from collections.abc import Iterator, Mapping

from stages.base.errors import ImageError
from stages.images.web import Web
from stages.linux import host

ARCHIVES, KEYS = "ac-discovery", "ac-discovery-pubkeys"
MAX_PAGE = 1 << 20
_MOST_LEVELS = 16
_MOST_PLACES = 8
_LATEST = "latest"

_TAG = re.compile(r"""<(/?[a-zA-Z][^\s/>]*+)((?:[^>"']|"[^"]*+"|'[^']*+')*+)>""")
_ATTRIBUTE = re.compile(r"""([^\s=/"'<>]++)(?:\s*+=\s*+("[^"]*+"|'[^']*+'|[^\s"'>]++))?+""")
_RAW = ("script", "style", "title", "textarea", "noscript", "template", "iframe", "svg", "math")
_PLACEHOLDER = re.compile(r"\{[^{}]*\}")


def archives(web: Web, name: str, labels: Mapping[str, str]) -> list[str]:
    """The addresses of an image's archive, best first. Raises ImageError when there are none."""
    wanted = {"version": _LATEST, "os": host.OS, "arch": host.arch(), **labels}
    found = [url for one in _listed(web, name, ARCHIVES) if (url := expanded(one, name, wanted))]
    if not found:
        raise ImageError(f"discovery of {name} found no address for these labels", reason="not-found")
    return found[:_MOST_PLACES]


def keys(web: Web, name: str) -> list[str]:
    """The addresses of the keys that sign the images below a name. Raises ImageError when there are none."""
    return _listed(web, name, KEYS)[:_MOST_PLACES]


def expanded(template: str, name: str, labels: Mapping[str, str]) -> str | None:
    """The address that a template means; None if it asks for a label that is not there, or for no extension."""
    if "{ext}" not in template:
        return None
    words = {"{name}": urllib.parse.quote(name), "{ext}": "aci"}
    words |= {f"{{{key}}}": urllib.parse.quote(value, safe="") for key, value in labels.items()}
    found = _PLACEHOLDER.sub(lambda one: words.get(one[0], one[0]), template)
    return None if _PLACEHOLDER.search(found) else found


def contents(page: str, kind: str, name: str) -> list[str]:
    """What the page's meta tags of a kind say for the name, in order: each a template, or the address of a key."""
    found = []
    for attributes in _metas(page):
        words = attributes.get("content", "").split()
        if attributes.get("name", "").lower() == kind and len(words) == 2 and _covers(words[0], name):
            found.append(words[1])
    return found


def _covers(prefix: str, name: str) -> bool:
    return name == prefix or name.startswith(prefix.rstrip("/") + "/")


def _listed(web: Web, name: str, kind: str) -> list[str]:
    """What the nearest page that says anything of the kind says for the name."""
    parts = name.split("/")
    if len(parts) > _MOST_LEVELS:
        raise ImageError(f"{name} has too many parts to be discovered", reason="limit")
    last: ImageError | None = None
    for count in range(len(parts), 0, -1):
        try:
            _, page = web.small(f"https://{'/'.join(parts[:count])}?ac-discovery=1", MAX_PAGE)
        except ImageError as error:
            if error.reason not in ("not-found", "unauthorized", "web"):
                raise
            last = error
            continue
        if found := contents(page.decode("utf-8", "replace"), kind, name):
            return found
    why = f" ({last.sentence})" if last else ""
    raise ImageError(f"discovery of {name} found no {kind} tag{why}", reason="not-found")


def _metas(page: str) -> Iterator[dict[str, str]]:
    """The attributes of the meta tags in the page's head. Comments and the text of scripts are passed over."""
    at = 0
    while (at := page.find("<", at)) >= 0:
        if page.startswith("<!--", at):
            at = _after(page, "-->", at + 4)
        elif page.startswith(("<!", "<?"), at):
            at = _after(page, ">", at)
        elif (tag := _TAG.match(page, at)) is not None:
            name, at = tag[1].lower(), tag.end()
            if name in ("/head", "body"):
                return
            if name == "meta":
                yield _attributes(tag[2])
            elif name in _RAW:
                at = _closing(page, name, at)
        elif page[at + 1 : at + 2].isalpha() or page.startswith("</", at):
            return  # a tag that never ends
        else:
            at += 1
        if at < 0:
            return


def _attributes(text: str) -> dict[str, str]:
    """By name in lower case; the first of a name counts."""
    found: dict[str, str] = {}
    for one in _ATTRIBUTE.finditer(text):
        value = one[2] or ""
        value = value[1:-1] if value[:1] in ('"', "'") else value
        with contextlib.suppress(ValueError):  # a character by a number of more digits than Python reads
            value = html.unescape(value)
        found.setdefault(one[1].lower(), value)
    return found


def _after(page: str, end: str, at: int) -> int:
    found = page.find(end, at)
    return found + len(end) if found >= 0 else -1


def _closing(page: str, name: str, at: int) -> int:
    """Behind the closing tag of an element whose content is no markup; -1 if it is never closed."""
    found = re.compile(rf"</{name}\b", re.IGNORECASE).search(page, at)
    return _after(page, ">", found.end()) if found else -1
