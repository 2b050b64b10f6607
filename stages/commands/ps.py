"""`doit ps`: every pod of this host, one line each."""

from __future__ import annotations

import sys
import time
from typing import Any

from stages.commands import common
from stages.pod import facts, find
from stages.pod.facts import Facts
from stages.pod.find import Found

_LEGEND = ("UUID", "NAME", "APPS", "STATE", "PID", "SINCE")
_OPTIONS = (
    common.FORMAT_OPTION,
    {"name": "full", "long": "full", "default": False, "type": bool, "help": "whole UUIDs"},
    {"name": "legend", "long": "no-legend", "default": False, "type": bool, "help": "no line of titles"},
)


class Ps(common.PodCommand):
    """List pods."""

    doc_purpose = "list the pods of this host: state, pid, apps"
    instead = "`doit status pod=NAME` tells of one pod"
    cmd_options = _OPTIONS

    def do(self, options: Any, words: list[str]) -> int:
        data = common.data()
        for name in find.strangers(data):
            print(f"warning: {data.pods}/{name!a} is no pod, left alone", file=sys.stderr)
        known = [(pod, facts.of(pod.paths)) for pod in find.every(data)]
        if options["format"] == "json":
            common.show_json([as_json(pod, told) for pod, told in known])
            return 0
        rows = [_row(pod, told, options["full"]) for pod, told in known]
        if rows or not options["legend"]:
            common.show(rows, () if options["legend"] else _LEGEND)
        return 0


def as_json(pod: Found, told: Facts) -> dict[str, Any]:
    """A pod's facts under stable keys; times in seconds since the epoch."""
    return {
        "uuid": pod.uuid,
        "name": pod.name,
        "state": told.state.value,
        "pid": told.pid,
        "apps": [{"name": app, "exit_code": told.codes.get(app)} for app in told.apps],
        "created_at": told.created,
        "started_at": told.started,
        "finished_at": told.ended,
        "networks": [{"name": name, "ip4": address} for name, address in told.networks],
        "memory_bytes": memory(told.pid),
    }


def memory(pid: int | None) -> int | None:
    """What the init and its children keep in memory, in bytes; None when nothing runs."""
    if pid is None:
        return None
    import psutil

    try:
        init = psutil.Process(pid)
        return sum(one.memory_info().rss for one in (init, *init.children(recursive=True)))
    except psutil.Error:
        return None


def _row(pod: Found, told: Facts, full: bool) -> tuple[str, ...]:
    since = told.ended or told.started
    return (
        pod.uuid if full else pod.uuid[:8],
        pod.name or "-",
        ",".join(told.apps) or "-",
        told.state.value,
        str(told.pid or "-"),
        time.strftime("%Y-%m-%d %H:%M:%S", time.localtime(since)) if since else "-",
    )
