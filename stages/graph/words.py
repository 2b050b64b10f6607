"""The variables on the command line, `pod=` among them, as doit reads them: its words before the first `--`."""

from __future__ import annotations

import sys
from pathlib import Path

from stages.base import files
from stages.base.errors import PodError


def check(tasks: Path | None) -> None:
    """Raise PodError for a variable that nobody would hear; doit says nothing of it.

    tasks: the folder whose tasks are loaded, which may have variables of their own; None where none are.
    """
    if typo := next((one for one in misspelt(pod()) if tasks is None or not _is_theirs(one, tasks)), None):
        raise PodError(f"there is nothing called {typo}=", hint="did you mean pod=?", reason="variable")
    asked = [word.removeprefix("pod=") for word in variables() if word.startswith("pod=")]
    if len(asked) > 1:
        names = " ".join(asked)
        raise PodError(
            f"pod= names one pod, and is there {len(asked)} times",
            hint=f"one command for each; those that take several pods take words, as `doit prepare {names}`",
            reason="too-many",
        )
    if unheard := own() if tasks is None else []:
        hint = "a word with = in it comes after `--`"
        raise PodError(f"{unheard[0]!r} is a variable, and nothing asks for it", hint=hint, reason="variable")


def misspelt(word: str | None) -> list[str]:
    """The variables of the command line that are nearly called `pod`.

    word: what `pod=` says; beside it only `pods=` and other cases of it count.
    """
    names = [one.partition("=")[0] for one in variables()]
    if word is not None:
        return [name for name in names if name != "pod" and name.lower() in ("pod", "pods")]
    if not names:
        return []
    import difflib

    return [name for name in names if difflib.get_close_matches(name.lower(), ["pod"])]


def _is_theirs(name: str, folder: Path) -> bool:
    """Whether Python files of a project say a variable's name in quotes, as its tasks do that ask doit for it."""
    said = [f"{quote}{name}{quote}".encode(errors="surrogateescape") for quote in "\"'"]
    sources = [path for path in files.listed(folder) if path.suffix == ".py" and path.is_file()]
    return any(one in (files.read_or_none(path) or b"") for path in sources for one in said)


def variables() -> list[str]:
    """The words of the command line that doit takes for variables."""
    return list(filter(_is_variable, _parted(sys.argv[1:])[0]))


def own() -> list[str]:
    """The variables that are not ours: those of a project's own tasks."""
    return [word for word in variables() if not word.startswith("pod=")]


def behind_dashes() -> list[str]:
    """What follows the first `--` of the command line."""
    return _parted(sys.argv[1:])[1][1:]


def whole(words: list[str]) -> list[str]:
    """Words that doit has read, with those behind `--` as they were: stock doit takes variables out of these too."""
    before, after = _parted(words)
    return [*before, "--", *behind_dashes()] if after else words


def pod() -> str | None:
    """What `pod=` says on the command line; the last one counts."""
    return next((word.removeprefix("pod=") for word in reversed(variables()) if word.startswith("pod=")), None)


def others(words: list[str]) -> list[str]:
    """Words of a command line without variables, and without empty ones, which doit stumbles over.

    What follows `--` is left alone: it is somebody else's.
    """
    before, after = _parted(words)
    return [*(word for word in before if word and not _is_variable(word)), *after]


def _parted(words: list[str]) -> tuple[list[str], list[str]]:
    """The words before the first `--`, and the others, which begin with it."""
    cut = words.index("--") if "--" in words else len(words)
    return words[:cut], words[cut:]


def _is_variable(word: str) -> bool:
    return "=" in word and not word.startswith("-")
