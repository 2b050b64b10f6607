#!/usr/bin/python3 -IS
"""The gc entrypoint of the crun flavor."""

import _signal  # type: ignore[import-not-found]

# Ctrl-C before anything is begun ends the program, and needs no traceback; who ignores it still does.
if _signal.getsignal(_signal.SIGINT) is _signal.default_int_handler:
    _signal.signal(_signal.SIGINT, _signal.SIG_DFL)

import os
import sys


def start() -> int:
    """Find the modules in this image, wherever it is mounted, and hand over."""
    sys.dont_write_bytecode = True
    sys.path.insert(0, os.path.join(os.path.dirname(os.path.realpath(__file__)), "usr/lib/podwright"))
    from stages.stage1.crun.collect import main

    return main(sys.argv[1:])


if __name__ == "__main__":
    sys.exit(start())
