"""Checks detached OpenPGP signatures: the one place that runs gpgv."""

from __future__ import annotations

import contextlib
import os
import re
import shutil
import subprocess
from collections.abc import Iterable, Iterator
from typing import BinaryIO

from stages.base.errors import HostError, ImageError
from stages.images.openpgp import Key

_BINARY_CLASS = "00"
_WEAK_HASHES = {"1": "MD5", "2": "SHA-1", "3": "RIPEMD-160"}  # RFC 9580 9.5
_EXPIRED, _REVOKED = "EXPKEYSIG", "REVKEYSIG"


def signer(file: BinaryIO, signature: bytes, keys: Iterable[Key], where: str) -> str:
    """The fingerprint of the key that signed all bytes of the open file, which must be one of `keys`.

    signature: packets as openpgp.signature returns them. Raises ImageError when the signature is bad, of another key,
    over other bytes, or its key is expired or revoked, and HostError without gpgv.
    """
    known = {key.fingerprint: key for key in keys}
    said = _gpgv(file, signature, b"".join(key.packets for key in known.values()))
    failures: list[ImageError] = []
    good = ""
    for block in _blocks(said):
        found = _judged(block, where)
        if isinstance(found, ImageError):
            failures.append(found)
        elif found in known:
            good = good or found
        else:
            failures.append(_unknown(where, found))
    bad = [one for one in failures if one.reason == "bad-signature"]
    if good and not bad:
        return good
    raise (bad or failures or [_failed(where, "gpgv does not understand it")])[0]


def _judged(block: dict[str, list[str]], where: str) -> str | ImageError:
    """The fingerprint of the primary key behind one good signature, or what is wrong with it."""
    valid = block.get("VALIDSIG", [])
    if "BADSIG" in block:
        return _failed(where, "the file is not what was signed")
    if _EXPIRED in block or ("KEYEXPIRED" in block and "GOODSIG" not in block):
        return _refused(where, f"its key {_name(block, _EXPIRED)} has expired", "expired-key")
    if _REVOKED in block:
        return _refused(where, f"its key {_name(block, _REVOKED)} was revoked", "revoked-key")
    if "EXPSIG" in block:
        return _refused(where, "the signature itself has expired", "expired-signature")
    if "NO_PUBKEY" in block:
        fingerprint = block.get("ERRSIG", ["-"])[-1]
        return _unknown(where, fingerprint if len(fingerprint) > 1 else block["NO_PUBKEY"][0])
    if "GOODSIG" not in block or len(valid) < 10:
        return _failed(where, "the signature cannot be checked")
    if valid[8] != _BINARY_CLASS:
        return _failed(where, "the signature is not one over a file's bytes")
    if valid[7] in _WEAK_HASHES:
        return _refused(where, f"the signature uses {_WEAK_HASHES[valid[7]]}, which can be forged", "weak-signature")
    return valid[9].lower()


def _gpgv(file: BinaryIO, signature: bytes, keyring: bytes) -> str:
    """What gpgv says of the signature, for programs. It sees the open file, no name of one."""
    program = shutil.which("gpgv")
    if program is None:
        raise HostError(
            "this host has no gpgv, which checks signatures of images",
            hint="install the package gpgv",
            reason="no-gpgv",
        )
    with _memory(keyring) as ring, _memory(signature) as detached, open(f"/proc/self/fd/{file.fileno()}", "rb") as data:
        words = ["--status-fd", "1", "--homedir", "/nonexistent", "--keyring", ring[0], "--", detached[0], "-"]
        done = subprocess.run(
            [program, *words],
            stdin=data,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            env={**os.environ, "LC_ALL": "C"},
            pass_fds=(ring[1], detached[1]),
            check=False,
        )
    return done.stdout.decode(errors="replace")


@contextlib.contextmanager
def _memory(content: bytes) -> Iterator[tuple[str, int]]:
    """The content as a file in memory: its name for a program that inherits the descriptor, and that."""
    descriptor = os.memfd_create("podwright")
    try:
        os.write(descriptor, content)
        yield f"/proc/self/fd/{descriptor}", descriptor
    finally:
        os.close(descriptor)


def _blocks(said: str) -> Iterator[dict[str, list[str]]]:
    """The words of each signature's status lines, by keyword (gpg's doc/DETAILS)."""
    for part in re.split(r"^\[GNUPG:\] NEWSIG.*$", said, flags=re.MULTILINE)[1:]:
        lines = [line.split() for line in re.findall(r"^\[GNUPG:\] (.*)$", part, re.MULTILINE)]
        yield {words[0]: words[1:] for words in lines if words}


def _name(block: dict[str, list[str]], keyword: str) -> str:
    words = block.get("VALIDSIG") or block.get(keyword) or ["?"]
    return words[9 if len(words) > 9 else 0].lower()


def _unknown(where: str, key: str) -> ImageError:
    hint = "`doit trust add --prefix NAME FILE` trusts its key for images of that name; compare the fingerprint first"
    return ImageError(f"{where} is signed by {key.lower()}, which is not trusted", hint=hint, reason="unknown-key")


def _failed(where: str, why: str) -> ImageError:
    hint = "get the image and its signature again, from who signed it"
    return ImageError(f"{where}: {why}", hint=hint, reason="bad-signature")


def _refused(where: str, why: str, reason: str) -> ImageError:
    hint = "get the signer's present key (`doit trust add`), or an image that is signed anew"
    return ImageError(f"{where}: {why}", hint=hint, reason=reason)
