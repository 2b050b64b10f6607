"""Files that come with the code and are none: in a checkout beside `stages`, in an installed package inside. Light."""

from __future__ import annotations

import os

_CODE = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))


def path(name: str) -> str:
    """Where a file or folder of that name is: "schemas", "dodo.py" (pyproject.toml puts them into the package)."""
    inside = f"{_CODE}/{name}"
    return inside if os.path.exists(inside) else f"{os.path.dirname(_CODE)}/{name}"


def is_copy(file: str | os.PathLike[str], name: str) -> bool:
    """Whether a file has the bytes of one that comes with the code. Raises OSError."""
    ours = path(name)
    if os.stat(file).st_size != os.stat(ours).st_size:
        return False
    with open(file, "rb") as one, open(ours, "rb") as other:
        return one.read() == other.read()
