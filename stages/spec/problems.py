"""What is wrong with a spec, as data: one Problem for each fault, and the error that carries them all."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from stages.base.errors import SpecError, shown
from stages.base.records import NamedTuple

Path = tuple[str | int, ...]


class Problem(NamedTuple):
    """One fault of a spec.

    line, column: where in the file, both from 1. path: the field, as `spec.containers[0].ports[1].hostPort`, or ""
    for the whole file. message: without a final period. hint: what to do about it, or "".
    """

    line: int
    column: int
    path: str
    message: str
    hint: str = ""

    def text(self, file: str) -> str:
        """`file:line:column: path: message`, and the hint on a line of its own; no terminal obeys what they quote."""
        where = f"{file}:{self.line}:{self.column}: "
        said = f"{self.path}: {self.message}" if self.path else self.message
        return shown(where + said) + (f"\n  hint: {shown(self.hint)}" if self.hint else "")


class SpecProblems(SpecError):
    """A spec that cannot be used, with everything that is wrong with it, in the order of the file."""

    def __init__(
        self,
        sentence: str,
        *,
        hint: str = "",
        reason: str = "",
        file: str = "",
        problems: Sequence[Problem] = (),
    ) -> None:
        super().__init__(sentence, hint=hint, reason=reason)
        self.file = file
        self.problems = tuple(problems)

    def __reduce__(self) -> tuple[object, ...]:
        return (_restore, (self.sentence, self.hint, self.reason, self.file, self.problems))

    def text(self) -> str:
        """Every problem on a line of its own, as compilers print them."""
        return "\n".join(problem.text(self.file) for problem in self.problems)


def error(file: str, problems: Iterable[Problem], reason: str = "invalid") -> SpecProblems:
    """The error for these problems of the spec `file`; at least one. reason: `invalid`, or `syntax` for bad YAML."""
    found = sorted(set(problems))
    first = found[0].text(file).splitlines()[0]
    more = f" (and {len(found) - 1} more)" if len(found) > 1 else ""
    return SpecProblems(first + more, hint=found[0].hint, reason=reason, file=file, problems=found)


def dotted(path: Path) -> str:
    """A path into a document as people write it: `spec.containers[0].name`."""
    text = ""
    for step in path:
        if isinstance(step, int):
            text += f"[{step}]"
        else:
            text += f".{step}" if text else step
    return text


def _restore(sentence: str, hint: str, reason: str, file: str, problems: tuple[Problem, ...]) -> SpecProblems:
    return SpecProblems(sentence, hint=hint, reason=reason, file=file, problems=problems)
