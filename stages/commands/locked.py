"""The option --locked of the commands that choose images. Apart from the rest, which `doit run` often does without."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from stages.images.lockfile import Hold

LOCKED = {
    "name": "locked",
    "long": "locked",
    "inverse": "no-locked",
    "default": None,
    "type": bool,
    "help": "use no image that is not in pods/NAME.lock (the default where CI is set and there is a lock)",
}


def hold(options: Any) -> Hold:
    """What --locked and --no-locked say; None is neither."""
    from stages.images.lockfile import Hold

    return {True: Hold.ALL, False: Hold.REGISTRIES, None: Hold.AUTO}[options["locked"]]
