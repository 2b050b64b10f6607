"""Errors a person can cause: one class per family, each with a sentence, a hint and an exit code.

Kernel refusals stay OSError (with context) until the command line words them; bugs are assertions.
"""

from __future__ import annotations

import errno
import os

# What a full disk says, or what a quota allows of it.
FULL = (errno.ENOSPC, errno.EDQUOT)
_LONGEST = 9000  # characters of a sentence: two paths as long as they may be


class PodwrightError(Exception):
    """Something a person can mend.

    sentence: what is wrong, one sentence without a final period. hint: what to do about it, or "".
    reason: a stable word for programs and tests; wording may change, reasons do not.
    """

    exit_code = 1
    family = "error"

    def __init__(self, sentence: str, *, hint: str = "", reason: str = "") -> None:
        super().__init__(sentence)
        self.sentence = sentence
        self.hint = hint
        self.reason = reason or self.family

    def __reduce__(self) -> tuple[object, ...]:
        # doit's workers pickle what an action raised.
        return (_restore, (type(self), self.sentence, self.hint, self.reason))

    def text(self) -> str:
        """The sentence, with the hint on a line of its own. No terminal obeys what a name in it says."""
        return f"{shown(self.sentence)}\n  hint: {shown(self.hint)}" if self.hint else shown(self.sentence)


def shown(text: str) -> str:
    """Words that may come from anywhere as one line that can be read: escaped, and without the middle of a long one."""
    if len(text) > _LONGEST:
        text = f"{text[: _LONGEST // 2]} [...] {text[-_LONGEST // 4 :]}"
    return text if text.isprintable() else "".join(map(_shown, text))


def _shown(character: str) -> str:
    return character if character.isprintable() else ascii(character)[1:-1]


def _restore(cls: type[PodwrightError], sentence: str, hint: str, reason: str) -> PodwrightError:
    return cls(sentence, hint=hint, reason=reason)


def worded(error: PodwrightError | OSError) -> PodwrightError:
    """The error for people: a refusal of the kernel by what it was about, why, and what may help."""
    if isinstance(error, PodwrightError):
        return error
    name = os.fsdecode(error.filename) if isinstance(error.filename, bytes) else error.filename
    about = f"{name}: " if name else ""
    hint = ""
    if error.errno in FULL:
        hint = "make room there; what was stored before is whole"
    elif isinstance(error, PermissionError) and os.geteuid() != 0:
        hint = "run as root"
    return PodwrightError(f"{about}{error.strerror or error}", hint=hint, reason="system")


def placed(error: OSError, path: str) -> OSError:
    """The same error; where it is that there is no room, if it does not say so: that of a write does not."""
    if error.errno in FULL and error.filename is None:
        error.filename = path
    return error


class SpecError(PodwrightError):
    """The spec, or the word that should name one."""

    family = "spec"
    exit_code = 3


class ImageError(PodwrightError):
    """An archive, its manifest, its dependencies, or the reference to it."""

    family = "image"


class TreeError(PodwrightError):
    """A rendered tree that is missing, bad or cannot be made."""

    family = "tree"


class PodError(PodwrightError):
    """The pod directory: state, lock, manifest."""

    family = "pod"


class HostError(PodwrightError):
    """Something this host lacks: a program, a kernel feature, a right, space."""

    family = "host"


class StartError(PodwrightError):
    """stage1's program cannot be started (exit codes as in a shell: 126, 127)."""

    family = "start"
    exit_code = 126
