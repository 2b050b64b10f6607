"""The steps of a pod: a verb module, asked whether it is fresh, and run when it is not. Knows nothing of doit."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from types import ModuleType
from typing import Any

from stages import copy_stage1, import_image, mount_overlay, render_app, render_tree, start_init, write_manifest
from stages.base.errors import PodwrightError, worded
from stages.base.verdict import Verdict
from stages.pod.context import Context

# The tasks that the verbs are in dodo.py.
_TASKS = {
    import_image: "image",
    render_tree: "tree",
    copy_stage1: "stage1",
    render_app: "app",
    write_manifest: "manifest",
    mount_overlay: "overlay",
    start_init: "init",
}


def every(context: Context) -> Iterator[Step]:
    """All steps, in the order of the graph: what dodo.py has as tasks."""
    rows = {import_image: context.image_rows, render_tree: context.tree_rows, render_app: context.app_names}
    for verb in _TASKS:
        yield from (Step(verb, context, (name,)) for name in rows[verb]) if verb in rows else [Step(verb, context, ())]


class Step:
    """One task of one pod: what `doit` and `doit why` both ask."""

    __slots__ = ("arguments", "context", "verb")

    def __init__(self, verb: ModuleType, context: Context, arguments: tuple[str, ...]) -> None:
        self.verb, self.context, self.arguments = verb, context, arguments
        _STEPS[self._key()] = self

    def __repr__(self) -> str:
        return " ".join((self.verb.__name__.rpartition(".")[2], *self.arguments))

    def __reduce__(self) -> tuple[Callable[..., Step], tuple[str, ...]]:
        # doit's workers send tasks back; the step itself never left this process.
        return _step, self._key()

    @property
    def name(self) -> str:
        """The task's name in dodo.py."""
        return ":".join((_TASKS[self.verb], *self.arguments))

    def _key(self) -> tuple[str, ...]:
        return (self.verb.__name__, *self.arguments)

    @property
    def prepares(self) -> bool:
        """Whether the step is part of preparing the pod, rather than of running it."""
        return not getattr(self.verb, "OF_THE_RUN", False)

    def verdict(self) -> Verdict:
        """Whether the step must be done. What a person has to mend counts as a reason; doing the step will say it."""
        try:
            return self.verb.verdict(self.context, *self.arguments)  # type: ignore[no-any-return]
        except (PodwrightError, OSError) as error:
            return Verdict.stale(worded(error).sentence)

    def run(self) -> dict[str, Any]:
        """Do it. Raises PodwrightError, OSError."""
        return self.verb.run(self.context, *self.arguments)  # type: ignore[no-any-return]

    def clean(self) -> None:
        """Undo what it left in the pod."""
        self.verb.clean(self.context, *self.arguments)


_STEPS: dict[tuple[str, ...], Step] = {}


def _step(*key: str) -> Step:
    return _STEPS[key]
