#!/usr/bin/python3 -IS
"""The run entrypoint of the crun flavor."""

import os
import sys


def start() -> int:
    """Find the modules in this image, wherever it is mounted, and hand over."""
    sys.dont_write_bytecode = True
    sys.path.insert(0, os.path.join(os.path.dirname(os.path.realpath(__file__)), "usr/lib/podwright"))
    from stages.stage1.crun import cgroups

    cgroups.hasten()
    from stages.stage1.crun.main import main

    return main(sys.argv[1:])


if __name__ == "__main__":
    # Nothing is buffered, and nobody waits for Python to take itself apart.
    os._exit(start())
