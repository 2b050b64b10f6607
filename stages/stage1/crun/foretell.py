"""Tells a socket-activated app its process id before it has one: see identified.py, which checks it."""

from __future__ import annotations

import os
import sys
import time

from stages.stage1.lib import init, quickjson
from stages.stage1.lib.errors import Stage1Error

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable

ATTEMPTS = 20
_PAUSE = 0.002  # seconds
_HOOK = os.path.join(os.path.dirname(__file__), "identified.py")


def aim(bundle: str, attempt: Callable[[], None], skip: Callable[[], int]) -> None:
    """Write the foretold id into the configuration in `bundle`. `attempt` runs the bundle to the hook, and no further.

    `skip` makes the next ids follow a number that it returns, so that a run tells how far from it the app's process
    will be. Where that cannot be done it returns 0, and the id of one run is taken as far from that of the one before.
    """
    offset = _number(f"{bundle}/offset")
    while not offset:
        base = skip() or _seen(bundle) or 0
        _expect(bundle, 0)
        attempt()
        found = _seen(bundle)
        if found is None:
            raise Stage1Error("the OCI runtime called no hook, so no socket can be passed to an app")
        offset = found - base if base else 0
    init.publish(f"{bundle}/offset", str(offset))
    _expect(bundle, (skip() or _seen(bundle) or 0) + offset)


def came_true(bundle: str, monitor: int) -> bool:
    """Wait until the run of the process `monitor` has come to the hook, or has ended; whether the id was right."""
    while (seen := _seen(bundle)) is None:
        if os.waitid(os.P_PID, monitor, os.WEXITED | os.WNOHANG | os.WNOWAIT) is not None:
            return False
        time.sleep(_PAUSE)
    return seen == _number(f"{bundle}/expected")


def missed(bundle: str) -> bool:
    """Whether the last run was broken off because another process had taken the id."""
    seen = _seen(bundle)
    return seen is not None and seen != _number(f"{bundle}/expected")


def _expect(bundle: str, pid: int) -> None:
    path = os.path.join(bundle, "config.json")
    with open(path, encoding="utf-8") as file:
        configuration = quickjson.load(file)
    process = configuration["process"]
    process["env"] = [word for word in process["env"] if not word.startswith("LISTEN_PID=")] + [f"LISTEN_PID={pid}"]
    arguments = ["python3", "-IBS", _HOOK, str(pid), f"{bundle}/seen"]
    configuration["hooks"] = {"createRuntime": [{"path": sys.executable, "args": arguments}]}
    init.publish(path, quickjson.dumps(configuration))
    init.publish(f"{bundle}/expected", str(pid))
    for name in ("log", "seen"):
        init.forget(f"{bundle}/{name}")


def _seen(bundle: str) -> int | None:
    return _number(f"{bundle}/seen") or None


def _number(path: str) -> int:
    try:
        with open(path, encoding="ascii") as file:
            return int(file.read())
    except FileNotFoundError:
        return 0
