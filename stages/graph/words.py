"""The variables on the command line, `pod=` among them, as doit reads them: its words before the first `--`."""

from __future__ import annotations

import sys

from stages.base.errors import PodError


def check() -> None:
    """Raise PodError when the command line names a pod more than once: doit would go by the last, and say nothing."""
    asked = [word.removeprefix("pod=") for word in variables() if word.startswith("pod=")]
    if len(asked) > 1:
        names = " ".join(asked)
        raise PodError(
            f"pod= names one pod, and is there {len(asked)} times",
            hint=f"one command for each; those that take several pods take words, as `doit prepare {names}`",
            reason="too-many",
        )


def misspelt(word: str | None) -> str | None:
    """A variable of the command line that is nearly called `pod`; a project may have others of its own.

    word: what `pod=` says; beside it only `pods=` and other cases of it count.
    """
    names = [one.partition("=")[0] for one in variables()]
    if word is not None:
        return next((name for name in names if name != "pod" and name.lower() in ("pod", "pods")), None)
    import difflib

    return next((name for name in names if difflib.get_close_matches(name.lower(), ["pod"])), None)


def variables() -> list[str]:
    """The words of the command line that doit takes for variables."""
    words = sys.argv[1:]
    own = words[: words.index("--")] if "--" in words else words
    return list(filter(_is_variable, own))


def pod() -> str | None:
    """What `pod=` says on the command line; the last one counts."""
    return next((word.removeprefix("pod=") for word in reversed(variables()) if word.startswith("pod=")), None)


def others(words: list[str]) -> list[str]:
    """Words of a command line without variables, and without empty ones, which doit stumbles over.

    What follows `--` is left alone: it is somebody else's.
    """
    cut = words.index("--") if "--" in words else len(words)
    return [*(word for word in words[:cut] if word and not _is_variable(word)), *words[cut:]]


def _is_variable(word: str) -> bool:
    return "=" in word and not word.startswith("-")
