"""Files that come with the code and are none: in a checkout beside `stages`, in an installed package inside of it."""

from __future__ import annotations

from pathlib import Path

_CODE = Path(__file__).parent.parent


def path(name: str) -> Path:
    """Where a file or folder of that name is: "schemas", "dodo.py" (pyproject.toml puts them into the package)."""
    inside = _CODE / name
    return inside if inside.exists() else _CODE.parent / name
