"""Whether a step has to be done again, and why: values that `doit` and `doit why` both go by."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from stages.base.records import NamedTuple

_ABSENT = "(none)"


class Reason(NamedTuple):
    """One thing that is not as it was. old and new are "" where the sentence in `what` says it all."""

    what: str
    old: str = ""
    new: str = ""

    def text(self) -> str:
        """One line for people."""
        return f"{self.what}: {self.old} -> {self.new}" if self.old or self.new else self.what


class Verdict(NamedTuple):
    """Fresh when there is no reason."""

    reasons: tuple[Reason, ...] = ()

    @property
    def fresh(self) -> bool:
        return not self.reasons

    @classmethod
    def stale(cls, what: str, old: str = "", new: str = "") -> Verdict:
        """A verdict with one reason."""
        return cls((Reason(what, old, new),))


FRESH = Verdict()


def compare(old: Any, new: Any, what: str = "") -> tuple[Reason, ...]:
    """The leaves in which two JSON values differ, each named by its path; equal values give no reason."""
    return tuple(_differences(old, new, what))


def _differences(old: Any, new: Any, path: str) -> Iterator[Reason]:
    if isinstance(old, Mapping) and isinstance(new, Mapping):
        for key in sorted(old.keys() | new.keys()):
            below = f"{path}.{key}" if path else str(key)
            yield from _differences(old.get(key, _ABSENT), new.get(key, _ABSENT), below)
    elif isinstance(old, list) and isinstance(new, list) and len(old) == len(new):
        for position, (left, right) in enumerate(zip(old, new, strict=True)):
            yield from _differences(left, right, f"{path}[{position}]")
    elif old != new:
        yield Reason(path, _worded(old), _worded(new))


def _worded(value: Any) -> str:
    """A value as a person wants to see it: short, digests cut, lists flat."""
    if isinstance(value, list):
        return "[" + ", ".join(_worded(item) for item in value) + "]"
    text = str(value)
    algorithm, dash, digits = text.rpartition("-")
    if len(digits) >= 64 and all(digit in "0123456789abcdef" for digit in digits):
        return f"{algorithm}{dash}{digits[:12]}"
    return text if len(text) <= 60 else f"{text[:57]}..."
