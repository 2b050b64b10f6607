"""What our commands share: how their words are read, where they work, how they fail, how they print."""

from __future__ import annotations

import json
import re
import sys
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any, TypeVar

from stages.base import data as data_dirs
from stages.base import streams
from stages.base.errors import PodError, PodwrightError, SpecError, worded
from stages.base.paths import DataDir
from stages.commands import options, spare_loaded
from stages.commands.options import OF_PROJECT, Option, UsageError
from stages.graph import project
from stages.graph import words as variables
from stages.pod import find
from stages.pod.find import Found
from stages.spec.catalog import Catalog

FORMAT = {"name": "format", "long": "format", "default": "text", "choices": (("text", ""), ("json", "")), "type": str}
FORMAT_OPTION = {**FORMAT, "help": "text for people, json for programs"}
OVERWRITE = {"name": "overwrite", "long": "overwrite", "default": False, "type": bool, "help": "replace the file"}
INTERRUPTED = 130
_UNITS = {"s": 1, "m": 60, "h": 3600, "d": 86400}
Item = TypeVar("Item")


class PodCommand:
    """A command that reads what is on disk and needs no tasks. Subclasses say what it does in `do`.

    doit has it as one of its own (commands/of_doit.py); by itself it needs no doit (commands/light.py).
    """

    name = ""
    doc_purpose = ""
    doc_usage = ""
    doc_description: str | None = None
    cmd_options: tuple[Option, ...] = ()
    # Whether what follows `--` is a command line for somebody else; else these are words like the others.
    carries_command = False
    # Whether it loads the project's tasks after all, which may have variables of their own.
    loads_tasks = False
    # What a command about the whole host is not: about a pod. The words that say what is, for a hint.
    instead = ""

    def __init__(self) -> None:
        self.dodo: Path | None = None

    @property
    def project(self) -> Path | None:
        """The folder of dodo.py, in which pods/ is; None outside of any project."""
        return self.dodo.parent if self.dodo else None

    def needed(self) -> Path:
        """The dodo.py of the project. Raises SpecError outside of any."""
        if self.dodo is None:
            raise SpecError(project.MISSING, hint=project.MAKE_ONE, reason="no-project")
        return self.dodo

    @classmethod
    def options(cls) -> tuple[Option, ...]:
        """All options: doit's of the project, and its own."""
        return (*OF_PROJECT, *cls.cmd_options)

    @classmethod
    def called(cls) -> str:
        """The word that asks for it."""
        return cls.name or cls.__name__.lower()

    def main(self, words: list[str], known: Mapping[str, Any]) -> int:
        """Do what the words say, which come without variables. known: options that were told elsewhere.

        Exit code; a person's mistake is a sentence on stderr.
        """
        spare_loaded()
        return guarded(lambda: self._main(words, known))

    def _main(self, words: list[str], known: Mapping[str, Any]) -> int:
        try:
            told, rest = options.parse(self.options(), words, self.carries_command)
        except UsageError as error:
            hint = "a command comes after `--`" if self.carries_command else f"see `doit help {self.called()}`"
            raise UsageError(error.sentence, hint=hint) from error
        chosen = {**options.defaults(self.options()), **known, **told}
        self.dodo = dodo(chosen)
        variables.check(self.project if self.loads_tasks else None)
        if self.instead and (asked := pods_asked(rest)):
            raise PodwrightError(
                f"{self.called()} is for the whole host, not for {asked[0]!r}", hint=self.instead, reason="words"
            )
        return self.do(chosen, rest)

    def do(self, options: Any, words: list[str]) -> int:
        raise AssertionError("every command says what it does")

    def chosen(self, words: Sequence[str]) -> Found:
        """The one pod of `pod=`, or of the command's only word."""
        asked = pods_asked(words)
        if len(asked) > 1:
            raise PodError(f"one pod at a time, not {', '.join(asked)}", reason="too-many")
        return find.one(data(), self.project, "".join(asked))

    def each(self, words: Sequence[str], work: Callable[[Found], None]) -> int:
        """Do something to every pod that is named; a failure is told and the next one follows. Exit code."""
        return each(pods_asked(words) or [""], lambda word: work(find.one(data(), self.project, word)))


def guarded(work: Callable[[], int]) -> int:
    """Run `work` for its exit code, with errors as sentences, as doit shows its own."""
    try:
        code = work()
        sys.stdout.flush()
        return code
    except BrokenPipeError:
        streams.drop_output()  # whoever read us has enough
        return 0
    except (PodwrightError, OSError) as error:
        return _told(error)
    except KeyboardInterrupt:
        return INTERRUPTED


def each(items: Iterable[Item], work: Callable[[Item], None]) -> int:
    """Do `work` for every item, whatever becomes of the others. Exit code: the highest of those that failed, or 0."""
    code = 0
    for item in items:
        try:
            work(item)
        except BrokenPipeError:
            raise
        except (PodwrightError, OSError) as error:
            code = max(code, _told(error))
    return code


def _told(error: PodwrightError | OSError) -> int:
    """Say what went wrong; the exit code."""
    print(f"ERROR: {worded(error).text()}", file=sys.stderr)
    return worded(error).exit_code


def dodo(options: Any) -> Path | None:
    """The dodo.py that -f names, else the one at or above the working directory; None without any.

    Unlike for doit's own commands it may lie above without -k. Raises SpecError when -f names none.
    """
    named = options.get("dodoFile") or project.DODO
    path = Path(named).absolute()
    if path.is_file() and path.suffix == ".py":
        return path
    if path.is_file():
        raise SpecError(f"{named} is no {project.DODO}", hint=project.BY_NAME, reason="no-project")
    if named != project.DODO:
        raise SpecError(f"no file {named}", hint="-f names the dodo.py of a project", reason="no-project")
    above = project.above()
    return above / project.DODO if above else None


def data() -> DataDir:
    """This user's data directory."""
    return data_dirs.of_user()


def pods_asked(words: Sequence[str]) -> list[str]:
    """What `pod=` and the words name."""
    given = variables.pod()
    return [*([given] if given is not None else []), *words]


def asked_or_all(words: Sequence[str], catalog: Catalog) -> list[str]:
    """The pods that are asked for, else all of the project, by UUID, or by file where that cannot be read.

    Where there is none, says so.
    """
    chosen = pods_asked(words) or [one.uid or one.path.stem for one in catalog.entries()]
    if not chosen:
        print(project.EMPTY)
    return chosen


def show(rows: Sequence[Sequence[str]], legend: Sequence[str] = ()) -> None:
    """Print aligned columns. What a name may hide from people (control characters) becomes a question mark."""
    table = [list(legend), *map(list, rows)] if legend else [list(row) for row in rows]
    table = [["".join(one if one.isprintable() else "?" for one in cell) for cell in row] for row in table]
    widths = [max(len(row[column]) for row in table) for column in range(len(table[0]))] if table else []
    for row in table:
        print("  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip())


def show_json(value: Any) -> None:
    """Print one JSON document."""
    print(json.dumps(value, indent=2))


def size_text(size: int) -> str:
    """A number of bytes for people, in powers of 1000."""
    amount, units = float(size), ["B", "kB", "MB", "GB", "TB"]
    while amount >= 999.95 and len(units) > 1:  # what would be rounded to 1000.0
        amount /= 1000
        del units[0]
    return f"{size} B" if units[0] == "B" else f"{amount:.1f} {units[0]}"


def seconds(text: str) -> int:
    """A duration that people write: 90s, 30m, 24h, 7d. Raises PodwrightError."""
    found = re.fullmatch(r"(\d{1,9})([smhd]?)", text)
    if found is None:
        raise PodwrightError(f"{text!r} is not a time", hint="write 90s, 30m, 24h or 7d", reason="bad-time")
    return int(found[1]) * _UNITS[found[2] or "s"]
