"""`doit trust`: whose signatures of images count here, and for which names."""

from __future__ import annotations

import os
import sys
from pathlib import Path
from typing import Any

from stages.base import data as data_dirs
from stages.base.errors import ImageError, PodwrightError, shown
from stages.commands import common
from stages.images import discovery, keys, openpgp, settings
from stages.images.keys import Keystore, Trusted
from stages.images.web import Web

_PREFIX = {"name": "prefix", "long": "prefix", "default": "", "type": str, "help": "images of this name, or below it"}
_ROOT = {"name": "root", "long": "root", "default": False, "type": bool, "help": "images of every name"}
_YES = {"name": "yes", "long": "yes", "short": "y", "default": False, "type": bool, "help": "do not ask"}
_SKIP = {"name": "skip", "long": "skip-fingerprint-review", "default": False, "type": bool, "help": "as --yes"}
_WEB = ("https://", "http://")


class Trust(common.PodCommand):
    """The keystore."""

    doc_purpose = "list (default), add and remove the keys whose signatures of images count"
    doc_usage = (
        "[list | add (--prefix NAME | --root) [--yes] [FILE|URL...] | remove (--prefix NAME | --root) FINGERPRINT]"
    )
    doc_description = "A key is an armoured public key. `add --prefix` without any asks the prefix's host for its keys."
    cmd_options = (common.FORMAT_OPTION, _PREFIX, _ROOT, _YES, _SKIP)

    def do(self, options: Any, words: list[str]) -> int:
        word, rest = (words[0], words[1:]) if words else ("list", [])
        store = Keystore.of(common.data(), os.environ)
        match word:
            case "list" if not rest:
                return _tell(store, options["format"] == "json")
            case "add":
                data_dirs.initialise(common.data())
                prefix, sure = _prefix(options), options["yes"] or options["skip"]
                return common.each(rest or _discovered(prefix), lambda one: _add(store, prefix, one, sure))
            case "remove" if rest:
                prefix = _prefix(options)
                return common.each(rest, lambda one: _remove(store, prefix, one))
        raise PodwrightError(f"usage: doit trust {self.doc_usage}", reason="bad-word")


def _prefix(options: Any) -> str:
    """The names that are meant; "" for all. Raises PodwrightError unless exactly one option says so."""
    if bool(options["prefix"]) == options["root"]:
        hint = "--prefix example.com/team for images of that name and below it, --root for images of every name"
        raise PodwrightError("say for which images: --prefix NAME or --root", hint=hint, reason="bad-word")
    return keys.checked_prefix(options["prefix"])


def _tell(store: Keystore, as_json: bool) -> int:
    listed = store.listing()
    if as_json:
        common.show_json([_facts(one) for one in listed])
        return 0
    rows = [(one.prefix or "(every name)", one.fingerprint, _who(one), str(one.path)) for one in listed]
    common.show(rows, ("PREFIX", "FINGERPRINT", "KEY", "FILE"))
    return 0


def _facts(one: Trusted) -> dict[str, Any]:
    return {
        "prefix": one.prefix,
        "fingerprint": one.fingerprint,
        "masked": one.masks,
        "key": _who(one),
        "file": str(one.path),
    }


def _who(one: Trusted) -> str:
    """Whose key it is; a file that is no key is listed all the same."""
    if one.masks:
        return "(not trusted)"
    try:
        return ", ".join(keys.load(one.path).users)
    except ImageError:
        return "(unreadable)"


def _discovered(prefix: str) -> list[str]:
    """The addresses of the keys that the prefix's host announces (contract C.16)."""
    if not prefix:
        raise PodwrightError("name the files or addresses of the keys", reason="bad-word")
    return discovery.keys(_web(), prefix)


def _web() -> Web:
    return Web.of(settings.read(os.environ))


def _add(store: Keystore, prefix: str, word: str, sure: bool) -> None:
    data = _fetched(word) if word.startswith(_WEB) else _read(word)
    key = openpgp.key(data, word)
    for_what = f"images of {prefix} and below" if prefix else "images of every name"
    print(f"{shown(word)}\n{key.text()}", file=sys.stderr)
    if not sure and not _agreed(f"Trust this key for {for_what}? [y/N] "):
        raise PodwrightError(f"the key {key.fingerprint} is not trusted: it was not agreed to", reason="declined")
    store.add(key, data, prefix)
    print(key.fingerprint)


def _agreed(question: str) -> bool:
    if not sys.stdin.isatty():
        hint = "compare the fingerprint, then give --yes"
        raise PodwrightError("there is no terminal to ask whether the key is right", hint=hint, reason="no-terminal")
    print(question, end="", file=sys.stderr, flush=True)
    return sys.stdin.readline().strip().lower() in ("y", "yes")


def _read(word: str) -> bytes:
    try:
        with open(Path(word), "rb") as file:
            return file.read(openpgp.MAX_FILE + 1)
    except (FileNotFoundError, IsADirectoryError) as error:
        raise ImageError(f"no key file {word}", hint="name a file or an https:// address", reason="no-file") from error


def _fetched(word: str) -> bytes:
    return _web().small(word, openpgp.MAX_FILE)[1]


def _remove(store: Keystore, prefix: str, word: str) -> None:
    fingerprint = word.replace(" ", "").lower().removeprefix("0x")
    masked = store.remove(fingerprint, prefix)
    print(f"{fingerprint} removed" if not masked else f"{fingerprint} masked: it is configured for this host elsewhere")
