"""The console scripts, `podwright` and a checkout's `doit`: a start that was made before is made again at once.

It is made from what was remembered of it, before doit is loaded, whichever of the two it is. Else `podwright run` does
the same steps by the same verdicts in the same order, where the project has no others; else both are doit.
"""

from __future__ import annotations

import _signal  # type: ignore[import-not-found]
import os
import sys

from stages.base import streams
from stages.commands import has_dodo, only_pod, with_packages
from stages.pod import again

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable


def main() -> int:
    """The console script `podwright`. Does not return where the pod starts."""
    return _until_interrupted(_podwright)


def doit() -> int:
    """doit's console script, as tools/setup.sh has it. Does not return where the pod starts."""
    return _until_interrupted(_doit)


def _until_interrupted(work: Callable[[], int]) -> int:
    # The scripts of a checkout leave an interrupt to the kernel until this module is loaded.
    if _signal.getsignal(_signal.SIGINT) == _signal.SIG_DFL:
        _signal.signal(_signal.SIGINT, _signal.default_int_handler)
    streams.ensure()
    try:
        os.getcwd()
    except FileNotFoundError:
        print("ERROR: the working directory is not there any more\n  hint: cd to one that is", file=sys.stderr)
        return 1
    try:
        return streams.written(work())
    except KeyboardInterrupt:
        return 130


def _podwright() -> int:
    words = _asked()
    pod = only_pod([word for word in words if word not in ("--locked", "--replace")])
    if words[:1] == ["run"] and pod is not None and has_dodo():
        code = _started(pod, locked="--locked" in words, replace="--replace" in words)
        if code is not None:
            return code
    return _done(words, stock=False)


def _doit() -> int:
    words = _asked()
    pod = only_pod(words)
    if pod is not None and has_dodo():
        code = again.start(os.getcwd(), pod, known_dodo=True, light=True)
        if code is not None:
            return code
    return _done(words, stock=True)


def _done(words: list[str], *, stock: bool) -> int:
    """Do one of our commands, or have doit do it, as it is or with what `podwright` adds to it. Exit code."""
    with_packages()
    from stages.commands import light

    code = light.run(words)
    if code is not None:
        return code
    from doit.doit_cmd import DoitMain

    from stages.commands.common import guarded
    from stages.commands.main import Main, end_with_reader, look_once

    look_once()
    end_with_reader(words)
    return guarded(lambda: int((DoitMain if stock else Main)().run(words) or 0))


def _asked() -> list[str]:
    """The words of the command line; `COMMAND --help` and `-h`, which doit has not, are its `help`."""
    words = sys.argv[1:]
    ours = words[: words.index("--")] if "--" in words else words
    if ours == ["-h"]:
        return ["help"]
    if ours and ours[0][:1] != "-" and not {"--help", "-h"}.isdisjoint(ours):
        return ["help", ours[0]]
    return words


def _started(word: str, *, locked: bool, replace: bool) -> int | None:
    """Start the pod in the quickest way that there is; None when it takes doit."""
    if replace:
        from stages.commands import replacing

        if failed := replacing.make_way(word, os.getcwd(), locked or None):
            return failed
    code = None if locked else again.start(os.getcwd(), word, light=True)
    if code is not None:
        return code
    from stages.commands import apart

    return apart.run(word, locked=locked)


if __name__ == "__main__":
    sys.exit(main())
