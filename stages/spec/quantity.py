"""Resource quantities ("500m", "1.5Gi", "12e6") as exact integers (contract K.5, Kubernetes' grammar).

A quantity is an optional sign, decimal digits with an optional fraction, and a suffix: none, n u m (powers of a
thousandth), k M G T P E (of a thousand), Ki Mi Gi Ti Pi Ei (of 1024), or a decimal exponent, e3 or E3.
"""

from __future__ import annotations

import re

from stages.base.errors import SpecError

LARGEST = 2**63 - 1  # what the kernel's files and the other readers of a manifest hold

_QUANTITY = r"([+-]?)([0-9]*)(?:\.([0-9]*))?(?:([numkMGTPE]|[KMGTPE]i)|[eE]([+-]?[0-9]{1,3}))?"
_THOUSANDS = {"n": -3, "u": -2, "m": -1, "k": 1, "M": 2, "G": 3, "T": 4, "P": 5, "E": 6}
_BINARY = ("Ki", "Mi", "Gi", "Ti", "Pi", "Ei")
_DIGITS = 40


def millicores(value: str | int | float) -> int:
    """A cpu quantity, in cores, as thousandths of a core, rounded up. Raises SpecError."""
    return _rounded_up(value, 1000)


def byte_count(value: str | int | float) -> int:
    """A memory quantity, in bytes, as whole bytes, rounded up. Raises SpecError."""
    return _rounded_up(value, 1)


def _rounded_up(value: str | int | float, scale: int) -> int:
    numerator, denominator = _ratio(str(value))
    result = -(-numerator * scale // denominator)
    if abs(result) > LARGEST:
        raise SpecError(f"{value} is too large a quantity", hint=f"at most {LARGEST}", reason="quantity")
    return result


def _ratio(text: str) -> tuple[int, int]:
    """The quantity as numerator and denominator, which is positive."""
    match = re.fullmatch(_QUANTITY, text, re.ASCII)
    sign, whole, fraction, suffix, exponent = match.groups(default="") if match else ("",) * 5
    digits = whole + fraction
    if not digits or len(digits) > _DIGITS:
        raise SpecError(
            f"{text!r} is not a quantity",
            hint="write a number with an optional suffix: 500m, 2, 1.5, 64Ki, 256Mi, 1G",
            reason="quantity",
        )
    number = int(digits) * (-1 if sign == "-" else 1)
    if suffix in _BINARY:
        return number * 1024 ** (_BINARY.index(suffix) + 1), 10 ** len(fraction)
    power = (3 * _THOUSANDS[suffix] if suffix else int(exponent or 0)) - len(fraction)
    return (number * 10**power, 1) if power >= 0 else (number, 10**-power)


def is_quantity(text: str) -> bool:
    """Whether `text` has the form of a quantity; it may still be too large."""
    match = re.fullmatch(_QUANTITY, text, re.ASCII)
    return match is not None and bool(match[2] or match[3])
