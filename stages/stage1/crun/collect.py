"""The `gc` entrypoint: takes away what an ended pod has left outside of its own directory (contract H.5)."""

from __future__ import annotations

import os

from stages.stage1.crun import leftovers
from stages.stage1.lib import arguments, init
from stages.stage1.lib.errors import FAILURE, Stage1Error, explain


def main(argv: list[str]) -> int:
    """`[--debug] [--local-config PATH] UUID`: only the UUID matters; cwd is the pod; may be called again and again."""
    try:
        leftovers.sweep(os.getcwd(), arguments.parse(argv[-1:]).uuid)
    except Stage1Error as error:
        sentence = str(error)
    except OSError as error:
        sentence = explain(error)
    else:
        return 0
    init.say(sentence)
    return FAILURE
