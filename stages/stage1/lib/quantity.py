"""appc resource quantities ("500m", "1.5Gi", "12e6") as exact integers."""

from __future__ import annotations

from stages.stage1.lib.errors import Stage1Error

_THOUSANDS = {"n": -3, "u": -2, "m": -1, "": 0, "k": 1, "M": 2, "G": 3, "T": 4, "P": 5, "E": 6}
_KIBIS = {"Ki": 1, "Mi": 2, "Gi": 3, "Ti": 4, "Pi": 5, "Ei": 6}
_DIGITS = 40  # more than any amount has, and than Python reads in a time that nobody notices


def thousandths(value: object) -> int:
    """The quantity in thousandths, rounded up (contract K.5). Raises Stage1Error for anything that is none."""
    text = str(value).strip()
    digits = text.lstrip("+-")
    end = 0
    while end < len(digits) and (digits[end].isdecimal() or digits[end] == "."):
        end += 1
    number, suffix = digits[:end], digits[end:]
    whole, _, fraction = number.partition(".")
    read = whole + fraction
    if not read.isdecimal() or not read.isascii() or len(read) > _DIGITS or len(text) - len(digits) > 1:
        raise Stage1Error(f"{text[:_DIGITS]!r} is not a quantity")
    top, bottom = _factor(text, suffix)
    bottom *= int("1" + "0" * len(fraction))
    rounded = -(-int(read) * top * 1000 // bottom)
    return -rounded if text.startswith("-") else rounded


def integer(value: object) -> int:
    """The quantity in units, rounded up."""
    return -(-thousandths(value) // 1000)


def _factor(text: str, suffix: str) -> tuple[int, int]:
    if suffix in _KIBIS:
        return 1 << (10 * _KIBIS[suffix]), 1
    if suffix in _THOUSANDS:
        power = 3 * _THOUSANDS[suffix]
    elif suffix[:1] in ("e", "E") and suffix[1:].lstrip("+-").isdecimal() and len(suffix) <= 5:
        power = int(suffix[1:])
    else:
        raise Stage1Error(f"{text!r} is not a quantity")
    return int("1" + "0" * max(0, power)), int("1" + "0" * max(0, -power))
