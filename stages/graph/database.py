"""The file in which doit remembers: whether doit can use it, who takes whatever is in it for its own."""

from __future__ import annotations

import contextlib
import json
import os
import sqlite3
import stat
from pathlib import Path

_TABLE = "create table if not exists doit (task_id text not null primary key, task_data json)"


def is_sound(path: Path) -> bool:
    """Whether doit can read it, and every row of it, or make it."""
    try:
        if not stat.S_ISREG(os.lstat(path).st_mode):
            return False
        with contextlib.closing(sqlite3.connect(path)) as opened:
            whole = opened.execute("pragma quick_check").fetchone() == ("ok",)
            rows = opened.execute("select task_data from doit where task_id is not null")
            return whole and all(isinstance(json.loads(data), dict) for (data,) in rows)
    except FileNotFoundError:
        return True
    except (OSError, sqlite3.DatabaseError, ValueError, TypeError):
        return False


def has_room(path: Path) -> bool:
    """Whether it is there, or can be made as doit makes it, who takes a full disk for damage."""
    if path.exists():
        return True
    try:
        with contextlib.closing(sqlite3.connect(path)) as made:
            made.execute(_TABLE)
    except sqlite3.Error:
        return False
    return True
