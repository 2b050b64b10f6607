"""The one error of stage1's programs: a sentence for a person, and the exit code that goes with it."""

from __future__ import annotations

import errno
import os

FAILURE = 254
NOT_FOUND = 127
NOT_EXECUTABLE = 126


class Stage1Error(Exception):
    """stage1 cannot go on; `str()` is one sentence without a final period, `code` is what the program exits with."""

    def __init__(self, sentence: str, code: int = FAILURE) -> None:
        super().__init__(sentence)
        self.code = code


def explain(error: OSError) -> str:
    """An operating system's refusal as a phrase: "/a/b: No such file or directory"."""
    reason, name = error.strerror or str(error), error.filename
    if error.errno in (errno.ENOSPC, errno.EDQUOT) and not os.path.isabs(name or ""):
        name = os.getcwd()  # the pod's directory, and nothing is written elsewhere
    return f"{name}: {reason}" if name else reason
