"""image: find out which image a reference means, and bring it into the store once.

Reads the reference in the spec and, for files, their identity (device, inode, size, times); their content only when
that moved. A registry is asked when the image is not stored, or when the spec says so. Leaves the image in the store,
checked, under its full id. Fresh when what the reference meant is still stored and local files are the ones that were
imported; a built-in stage1 when its program files are the ones it was built from.
"""

from __future__ import annotations

from typing import Any

from stages.base.digest import short
from stages.base.errors import ImageError
from stages.base.verdict import FRESH, Verdict
from stages.images.ask import Ask
from stages.pod.context import STAGE1, Context


def verdict(context: Context, name: str) -> Verdict:
    """Whether all images of the row are as they were imported. Raises ImageError for a reference that leads nowhere."""
    reasons = [reason for ask in context.asks(name) for reason in _one(context, name, ask).reasons]
    return Verdict(tuple(reasons))


def run(context: Context, name: str) -> dict[str, Any]:
    """Import what is not there. Value: the image ids. Raises ImageError, HostError."""
    found = [_bring(context, name, ask) for ask in context.asks(name)]
    return {"images": found, "did": ", ".join(short(one) for one in found)}


def _one(context: Context, name: str, ask: Ask) -> Verdict:
    if name == STAGE1 and context.flavors.is_flavor(ask.text):
        if not ask.strict:
            return context.flavors.verdict(ask.text)
        whole = context.images.has(ask.image_id)
        return FRESH if whole else Verdict.stale(f"the locked image of stage1 {ask.text} is not in the store")
    return context.finder.verdict(ask)


def _bring(context: Context, name: str, ask: Ask) -> str:
    if name == STAGE1 and context.flavors.is_flavor(ask.text):
        return _built(context, ask)
    try:
        return context.finder.bring(ask, context.progress)
    except ImageError as error:
        if name != STAGE1 or error.reason != "not-stored" or not context.finder.is_only_a_name(ask):
            raise
        hint = "the built-in ones are crun and fly; `doit images import FILE` brings another one in"
        raise ImageError(error.sentence, hint=hint, reason=error.reason) from error


def _built(context: Context, ask: Ask) -> str:
    """A built-in stage1: its programs', or, where only that will do, the one of the lock file."""
    if ask.strict and context.images.heal(ask.image_id):
        return ask.image_id
    built = context.flavors.bring(ask.text, context.progress)
    if ask.strict and built != ask.image_id:
        raise ImageError(
            f"stage1 {ask.text} is {short(built)} here, the lock file says {short(ask.image_id)}",
            hint="another podwright or Python wrote the lock: "
            f"`doit lock pod={context.spec.name} --update` here, or bring its image with `doit bundle`",
            reason="not-locked",
        )
    return built
