"""A spec read ahead by a process of its own, while the one that wants it loads what it needs besides. Light.

To load PyYAML, to parse and to check take as long as Python's own start.
"""

from __future__ import annotations

import os

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from typing import Any

# What was read, as it comes from the other process; and then the bytes of the file, and its data.
_channel: list[int] = []
_found: list[tuple[bytes, Mapping[str, Any]]] = []


def begin(path: str, with_packages: Callable[[], None]) -> int:
    """Have a file read, if it is there, and there is another processor to do it; nothing is told of what is wrong.

    with_packages: makes PyYAML to be found. Returns the process, for the caller to wait for; 0 for none.
    """
    if len(os.sched_getaffinity(0)) < 2 or not os.path.isfile(path):
        return 0
    ours, theirs = os.pipe()
    process = os.fork()
    if process == 0:
        os.close(ours)  # else what nobody reads would have a reader
        _serve(path, theirs, with_packages)
    os.close(theirs)
    _channel.append(ours)
    return process


def forget() -> None:
    """Nobody here will ask."""
    while _channel:
        os.close(_channel.pop())


def data(text: bytes) -> Mapping[str, Any] | None:
    """The plain data of a spec that was read ahead, if it had these bytes and nothing is wrong with it."""
    if _channel:
        import marshal

        with open(_channel.pop(), "rb") as channel:
            read = channel.read()
        if read:
            _found.append(marshal.loads(read))
    return next((found for known, found in _found if known == text), None)


def _serve(path: str, channel: int, with_packages: Callable[[], None]) -> None:
    """Leaves by _exit: what this is a copy of has plans for its end."""
    try:
        with_packages()
        import marshal

        from stages.spec import schema, yaml

        with open(path, "rb") as file:
            text = file.read()
        document = yaml.load(text, path)
        if not schema.problems(document):
            with open(channel, "wb") as out:
                out.write(marshal.dumps((text, document.data)))
    finally:
        os._exit(0)
