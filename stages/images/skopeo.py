"""The one place that runs skopeo: registries, credentials, mirrors and policy are its business, as everywhere else."""

from __future__ import annotations

import contextlib
import os
import re
import shutil
import signal
import subprocess
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

from stages.base.errors import HostError, ImageError
from stages.images.oci import Platform
from stages.images.settings import WAIT_LONGER
from stages.linux import kernel

_POLL = 0.1
_ENDING = (signal.SIGINT, signal.SIGTERM)
_MESSAGE = re.compile(r'level=fatal msg="((?:[^"\\]|\\.)*)"')
_SIGNATURE = re.compile(r'gpgme\.Signature\{.*?Fingerprint:"([0-9A-F]*)".*\}')
_CAUSES = (
    ("unauthorized", ("unauthorized", "authentication required", "access to the resource is denied")),
    ("not-found", ("manifest unknown", "name unknown", "not found")),
    ("policy", ("Source image rejected",)),
    ("insecure", ("server gave HTTP response", "x509:", "certificate")),
    (
        "unreachable",
        ("connection refused", "no such host", "timeout", "unreachable", "no route", "EOF", "connection reset"),
    ),
)
_HINTS = {
    "unauthorized": "`skopeo login HOST` keeps the password where skopeo and podman look for it",
    "not-found": "look at the name and the tag",
    "policy": "containers-policy.json(5) says which images are let in, and by whose signatures",
    "insecure": "for a registry without TLS, a file /etc/containers/registries.conf.d/NAME.conf has "
    '`[[registry]]`, `location = "HOST:PORT"` and `insecure = true`, a line each',
    "unreachable": "is the registry up, and the network? what was pulled before still runs",
}


def raw_manifest(reference: str, patience: float) -> bytes:
    """The bytes of the manifest, or index, that a docker:// reference leads to.

    Raises ImageError, when no answer has come within `patience` seconds too, and HostError.
    """
    return _output(["inspect", "--raw", reference], reference, patience)


def raw_config(reference: str, wanted: Platform, patience: float) -> bytes:
    """The bytes of the configuration. Raises as raw_manifest."""
    return _output([*_override(wanted), "inspect", "--config", "--raw", reference], reference, patience)


def copy(reference: str, folder: Path, wanted: Platform, lock: int, watch: Callable[[int], None]) -> None:
    """Fetch the image into folder/layout, the blobs into folder/blobs; those that are there are not fetched.

    The host's policy for images is enforced. lock: of the folder, which the program keeps while it lives. watch: called
    with the program's number again and again, and may raise to end it. Raises ImageError, HostError; the program has
    ended then, whatever ended the wait for it.
    """
    words = ["copy", "--quiet", "--remove-signatures", "--dest-oci-accept-uncompressed-layers"]
    # The folder by its descriptor: a layout's path ends at a colon, which a data directory may have in its name.
    target = ["--dest-shared-blob-dir", str(folder / "blobs"), reference, f"oci:/proc/self/fd/{lock}/layout:image"]
    command = [_program(), *_override(wanted), *words, *target]
    environment = {**os.environ, "TMPDIR": str(folder)}
    with open(folder / "errors", "wb+") as errors:
        output = {"stdout": subprocess.DEVNULL, "stderr": errors}
        with running(command, env=environment, pass_fds=(lock,), **output) as process:
            code = _waited(process, watch)
        errors.seek(0)
        if code:
            raise _failed(code, errors.read().decode(errors="replace"), reference)


def silent(reference: str, what: str, patience: float) -> ImageError:
    """What is said of a registry that is given up."""
    return ImageError(
        f"{reference}: {what} {patience:g} seconds",
        hint=WAIT_LONGER,
        reason="unreachable",
    )


@contextlib.contextmanager
def running(command: Sequence[str], **how: Any) -> Iterator[subprocess.Popen[bytes]]:
    """A program that does not outlive the block, nor this process. how: as of Popen.

    Signals wait until it is started: Python passes over exceptions of what it does around a fork, so that an interrupt
    would be lost.
    """
    parent, held = os.getpid(), signal.pthread_sigmask(signal.SIG_BLOCK, _ENDING)

    def begin() -> None:
        kernel.die_with(parent)
        for number in _ENDING:  # as the program will have it: the handlers are Python's
            if signal.getsignal(number) is not signal.SIG_IGN:
                signal.signal(number, signal.SIG_DFL)
        signal.pthread_sigmask(signal.SIG_SETMASK, held)

    try:
        process = subprocess.Popen(command, stdin=subprocess.DEVNULL, preexec_fn=begin, **how)
    except BaseException:
        signal.pthread_sigmask(signal.SIG_SETMASK, held)
        raise
    with process:
        try:
            signal.pthread_sigmask(signal.SIG_SETMASK, held)
            yield process
        except BaseException:
            process.kill()
            raise


def _waited(process: subprocess.Popen[bytes], watch: Callable[[int], None]) -> int:
    while True:
        try:
            return process.wait(_POLL)
        except subprocess.TimeoutExpired:
            watch(process.pid)


def _output(words: Sequence[str], reference: str, patience: float) -> bytes:
    pipes = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE}
    try:
        with running([_program(), *words], **pipes) as process:
            output, errors = process.communicate(timeout=patience)
    except subprocess.TimeoutExpired as error:
        raise silent(reference, "no answer for", patience) from error
    if process.returncode:
        raise _failed(process.returncode, errors.decode(errors="replace"), reference)
    return output


def _override(wanted: Platform) -> list[str]:
    """Global options: of a multi-platform image, this one."""
    variant = ["--override-variant", wanted.variant] if wanted.variant else []
    return ["--override-os", wanted.os, "--override-arch", wanted.architecture, *variant]


def _program() -> str:
    found = shutil.which("skopeo")
    if found is None:
        raise HostError(
            "this host has no skopeo, which fetches images from registries",
            hint="install the package skopeo",
            reason="no-skopeo",
        )
    return found


def _failed(code: int, errors: str, reference: str) -> ImageError:
    """What skopeo said last, without its wrapping. code: its exit code, below zero for a signal."""
    if code < 0:
        return ImageError(
            f"{reference}: skopeo was killed ({signal.Signals(-code).name})",
            hint="run again; if memory is short, that is one who kills",
            reason="fetch",
        )
    if "no space left on device" in errors:
        raise HostError(
            f"no space left while fetching {reference}",
            hint="make room in the data directory; the store is as it was",
            reason="no-space",
        )
    found = _MESSAGE.findall(errors)
    said = found[-1].replace('\\"', '"') if found else (errors.strip().splitlines() or ["skopeo gave no reason"])[-1]
    said = re.sub(r'^Error parsing image name "[^"]*": ', "", said)
    said = _SIGNATURE.sub(r"by the key \1", said)
    for reason, words in _CAUSES:
        if any(word in said for word in words):
            return ImageError(f"{reference}: {said}", hint=_HINTS[reason], reason=reason)
    return ImageError(f"{reference}: {said}", reason="fetch")
