"""The doit commands of our own."""

import os
import sys
from gc import freeze

from stages.linux import process

process.collect_seldom()


# The variable by which doit is told of another dodo.py than the one here.
DODO_VARIABLE = "DOIT_FILE"


def has_dodo() -> bool:
    """Whether the dodo.py that doit would load, told by no option, is this folder's."""
    return DODO_VARIABLE not in os.environ and os.path.isfile("dodo.py")


def only_pod(words: list[str]) -> str | None:
    """The POD of `[run] pod=POD`: words that ask for the start of a pod and for nothing else. None for others."""
    rest = words[1:] if words[:1] == ["run"] else words
    return rest[0].removeprefix("pod=") if len(rest) == 1 and rest[0].startswith("pod=") else None


def spare_loaded() -> None:
    """Have the collector leave alone what is loaded by now: looking through doit, and at the end again, took 15 ms."""
    freeze()


def with_packages() -> None:
    """Have what `site` has Python do at its start, if that was left out (tools/setup.sh): packages to import."""
    if sys.flags.no_site and "site" not in sys.modules:
        import site

        site.main()
