"""appc's identifiers and UUIDs: what is one, and how any text becomes one (contract K.1, A.3)."""

from __future__ import annotations

import re

from stages.base.errors import SpecError

# Words that tasks use where others have an app's name (`image:stage1`, `image:dependencies`).
RESERVED = ("stage1", "dependencies")

_NAME = r"[a-z0-9](?:[a-z0-9-]*[a-z0-9])?"
_IDENTIFIER = r"[a-z0-9](?:[a-z0-9\-._~/]*[a-z0-9])?"
_VARIABLE = r"[A-Za-z_][A-Za-z0-9_.-]*"
_UUID_DIGITS = r"[0-9a-f]{32}"
_NIL = "0" * 32


def is_name(text: str) -> bool:
    """Whether `text` is an AC Name: lower-case letters, digits and inner hyphens. Runs of hyphens pass, as in rkt."""
    return re.fullmatch(_NAME, text) is not None


def is_identifier(text: str) -> bool:
    """Whether `text` is an AC Identifier: as a name, with `. _ ~ /` as further inner characters."""
    return re.fullmatch(_IDENTIFIER, text) is not None


def is_variable(text: str) -> bool:
    """Whether `text` is a name that an environment variable of an app may have."""
    return re.fullmatch(_VARIABLE, text) is not None


def sanitise_name(text: str) -> str:
    """An AC Name made of any text: lower case, `-` for what is not allowed, none at the edges.

    Raises SpecError when nothing is left.
    """
    return _kept(re.sub(r"[^a-z0-9-]", "-", text.lower()).strip("-"), text)


def sanitise_identifier(text: str) -> str:
    """An AC Identifier made of any text: lower case, `_` for what is not allowed, letter or digit at the edges.

    Raises SpecError when nothing is left.
    """
    return _kept(re.sub(r"[^a-z0-9\-._~/]", "_", text.lower()).strip("-._~/"), text)


def app_name(image_name: str) -> str:
    """The app name that rkt derives from an image name: its last part, sanitised (contract A.3). Raises SpecError."""
    return sanitise_name(image_name.rpartition("/")[2])


def uuid(text: str) -> str | None:
    """The UUID in its one printed form, 8-4-4-4-12 lower case, or None: no UUID, or the nil one."""
    digits = text.lower().replace("-", "")
    if re.fullmatch(_UUID_DIGITS, digits) is None or digits == _NIL:
        return None
    return "-".join((digits[:8], digits[8:12], digits[12:16], digits[16:20], digits[20:]))


def _kept(result: str, text: str) -> str:
    if not result:
        raise SpecError(f"no name can be made of {text!r}", hint="a name needs a letter or a digit", reason="bad-name")
    return result
