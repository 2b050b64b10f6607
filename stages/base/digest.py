"""Canonical JSON and the digests made of it: one form for everything that is compared or identified."""

from __future__ import annotations

import hashlib
import json
from typing import Any


def canonical(value: Any) -> bytes:
    """JSON with sorted keys, no blanks, UTF-8 and a final newline: equal values give equal bytes."""
    text = json.dumps(value, sort_keys=True, separators=(",", ":"), ensure_ascii=False)
    return text.encode("utf-8", "surrogateescape") + b"\n"


def sha256_hex(data: bytes) -> str:
    """64 lower-case hex digits."""
    return hashlib.sha256(data).hexdigest()


def identity(value: Any) -> str:
    """The digest of a JSON value, in canonical form: what a step's or a tree's identity is made of."""
    return sha256_hex(canonical(value))


def short(image_id: str) -> str:
    """An image or tree id as people see it: the algorithm and 12 digits."""
    algorithm, dash, digits = image_id.rpartition("-")
    return f"{algorithm}{dash}{digits[:12]}"
