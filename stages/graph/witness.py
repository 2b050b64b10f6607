"""Who sees what the verdicts look at: every file, name and variable, with its identity at that moment.

A start is remembered with all that its verdicts depended on (stages/pod/again.py). A list kept by hand beside the
verdicts would be right until somebody forgets it; so while they are asked, the functions through which Python looks
at files are the ones below. What the witness cannot follow spoils it, and nothing is remembered then.
"""

from __future__ import annotations

import builtins
import contextlib
import io
import os
import stat
import time
from collections.abc import Callable, Iterator, Mapping
from typing import Any

from stages.base import stamp
from stages.linux import process
from stages.pod import again

# The clock that stamps files is late where a processor is taken away, as in a virtual machine.
_LATE_NS = 30_000_000
_LIVE = ("/proc/", "/sys/")
_WRITING = os.O_WRONLY | os.O_RDWR | os.O_CREAT | os.O_TRUNC
# Where Python looks for the functions.
_PLACES = {
    "stat": (os,),
    "lstat": (os,),
    "access": (os,),
    "readlink": (os,),
    "listdir": (os,),
    "scandir": (os,),
    "os_open": (os,),
    "open": (builtins, io),
}


class Variables(Mapping[str, str]):
    """The environment; what is read of it is noted."""

    def __init__(self, own: Mapping[str, str], witness: Witness) -> None:
        self._own, self._witness = dict(own), witness

    def __getitem__(self, name: str) -> str:
        self._witness.variables[name] = self._own.get(name)
        return self._own[name]

    def __iter__(self) -> Iterator[str]:
        self._witness.environment = self._own
        return iter(self._own)

    def __len__(self) -> int:
        return len(self._own)


class Witness:
    """What was seen so far, by absolute path. files: followed through links; names: not followed; texts: of /proc.

    variables: those asked for by name; environment: all of it, if that was asked for. spoiled: this is not all.
    """

    def __init__(self) -> None:
        # The code that is asked was read when this process began.
        self.began = time.time_ns() - process.age_ns(os.getpid())
        self.files: dict[str, list[int]] = {}
        self.names: dict[str, list[int]] = {}
        self.texts: dict[str, str | None] = {}
        self.variables: dict[str, str | None] = {}
        self.environment: dict[str, str] | None = None
        # Below these lie caches; what is found in them is checked against what it is of, which is seen itself.
        self.caches: tuple[str, ...] = ()
        self.spoiled = False
        self._depth = 0
        self._noting = False

    def forked_by(self, process_id: int) -> None:
        """Some of the code was read by the process of which this one is a copy, which began earlier."""
        self.began = min(self.began, time.time_ns() - process.age_ns(process_id))

    @contextlib.contextmanager
    def watching(self) -> Iterator[None]:
        """See everything that this block looks at, unless it is of no use any more."""
        self._depth += 1
        replaced = self._replace() if self._depth == 1 and not self.spoiled else []
        try:
            yield
        finally:
            self._depth -= 1
            for place, name, function in replaced:
                setattr(place, name, function)

    def settled(self) -> bool:
        """Whether all that was seen is still so, and was old enough then that any later change must show."""
        if self.spoiled:
            return False
        for seen, follow in ((self.files, True), (self.names, False)):
            for path, found in seen.items():
                if not again.is_still(path, follow, found) or not self._is_old(found):
                    return False
        return all(again.text(path) == found for path, found in self.texts.items())

    def saw(self, path: Any, follow: bool = True, below: int | None = None, listed: bool = False) -> None:
        """Note one file. below: the descriptor of the directory that a relative path is in.

        Of a directory that is not listed it matters that it is there, not what comes and goes in it.
        """
        name = self._absolute(path, below)
        if name.startswith(self.caches):
            return
        if name.startswith(_LIVE):
            self._keep(self.texts, name, again.text(name), "")
            return
        found = again.identity(name, follow)
        if not listed and len(found) > again.PLACE and stat.S_ISDIR(found[again.PLACE - 1]):
            found = found[: again.PLACE]
        self._keep(self.files if follow else self.names, name, found, [])

    def _keep(self, seen: dict[str, Any], name: str, found: Any, nothing: Any) -> None:
        known = seen.get(name, nothing)
        if found is None or known is None:
            self.spoiled |= known not in (nothing, found)
        elif known[: len(found)] != found[: len(known)]:
            self.spoiled = True
        if found is None or known is None or len(found) >= len(known):
            seen[name] = found

    def _is_old(self, found: list[int]) -> bool:
        """Whether a change after we began must have moved the times."""
        return len(found) <= again.PLACE or stamp.is_old(found[-1], self.began - _LATE_NS)

    def _absolute(self, path: Any, below: int | None) -> str:
        name = os.fsdecode(path)
        if name.startswith("/"):
            return name
        return os.path.join(os.getcwd() if below is None else _REAL["readlink"](f"/proc/self/fd/{below}"), name)

    def _replace(self) -> list[tuple[Any, str, Any]]:
        replaced = []
        for name, places in _PLACES.items():
            own = name.removeprefix("os_")
            for place in places:
                replaced.append((place, own, getattr(place, own)))
                setattr(place, own, self._watched(name))
        return replaced

    def _watched(self, name: str) -> Callable[..., Any]:
        real, note = _REAL[name], getattr(self, f"_on_{name}")

        def watched(path: Any = ".", *words: Any, **options: Any) -> Any:
            if not self._noting:  # what the witness itself looks at is nobody's business
                self._noting = True
                try:
                    note(path, *words, **options)
                finally:
                    self._noting = False
            return real(path, *words, **options)

        return watched

    def _on_stat(self, path: Any, *, dir_fd: int | None = None, follow_symlinks: bool = True) -> None:
        if not isinstance(path, int):
            self.saw(path, follow_symlinks, dir_fd)

    def _on_lstat(self, path: Any, *, dir_fd: int | None = None) -> None:
        self.saw(path, False, dir_fd)

    def _on_access(self, path: Any, *_: Any, **__: Any) -> None:
        self.saw(path)

    def _on_readlink(self, path: Any, *, dir_fd: int | None = None) -> None:
        self.saw(path, False, dir_fd)

    def _on_os_open(self, path: Any, flags: int, *_: Any, dir_fd: int | None = None) -> None:
        if not flags & _WRITING:
            self.saw(path, not flags & os.O_NOFOLLOW, dir_fd)

    def _on_open(self, file: Any, mode: str = "r", *_: Any, **__: Any) -> None:
        if not isinstance(file, int) and not set(mode) & set("wax+"):
            self.saw(file)

    def _on_listdir(self, path: Any = ".") -> None:
        if isinstance(path, int):
            self.saw("", True, path, listed=True)
        else:
            self.saw(path, listed=True)

    def _on_scandir(self, path: Any = ".") -> None:
        """The entries too: they tell what stat would."""
        self._on_listdir(path)
        folder = self._absolute("", path) if isinstance(path, int) else path
        try:
            with _REAL["scandir"](path) as entries:
                found = [(os.path.join(os.fsdecode(folder), entry.name), entry.is_symlink()) for entry in entries]
        except OSError:
            return
        for inside, is_link in found:
            self.saw(inside, False)
            if is_link:
                self.saw(inside, True)


_REAL: dict[str, Callable[..., Any]] = {
    name: getattr(places[0], name.removeprefix("os_")) for name, places in _PLACES.items()
}
