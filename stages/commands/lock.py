"""`doit lock`: write down which image every reference of a pod means now."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from stages.base import data as data_dirs
from stages.base import files
from stages.base.digest import short
from stages.base.errors import PodwrightError
from stages.base.paths import DataDir
from stages.commands import common
from stages.graph.terminal import Terminal
from stages.images import lockfile, platform
from stages.images.ask import Ask
from stages.images.lockfile import Hold, Lock, Locked
from stages.images.reference import Registry, parse
from stages.images.store import naming
from stages.linux import locks
from stages.pod.context import DEPENDENCIES, STAGE1, Context
from stages.spec.catalog import Catalog
from stages.spec.model import PodSpec, PullPolicy

_UPDATE = {"name": "update", "long": "update", "default": False, "type": bool, "help": "look at all references again"}


class LockCommand(common.PodCommand):
    """Pin the images of pods."""

    name = "lock"
    doc_purpose = "write pods/NAME.lock: which image every reference of a pod means"
    doc_usage = "[--update] [pod=NAME | NAME...]"
    doc_description = "What is locked stays as it is; --update asks registries and files again, and tells what changed."
    cmd_options = (_UPDATE,)

    def do(self, options: Any, words: list[str]) -> int:
        data, folder = common.data(), self.needed().parent
        catalog = Catalog(folder, data.cache)
        data_dirs.initialise(data)

        def one(word: str) -> None:
            spec = catalog.select(word)
            with naming(f"{spec.name}.lock"):
                print(*renew(folder, data, spec, options["update"]), sep="\n")

        return common.each(common.asked_or_all(words, catalog), one)


def renew(folder: Path, data: DataDir, spec: PodSpec, update: bool) -> list[str]:
    """Bring a pod's lock file up to date; what changed, a line each, or that nothing did.

    What it says already stays, unless `update`. Raises ImageError, HostError; the file is as it was then.
    """
    context = Context(folder, data, spec, dict(os.environ), Terminal(sys.stderr), hold=Hold.NOTHING)
    file = lockfile.path(spec.path, spec.name)
    old = _known(file, update)
    with locks.held(data.prepare_lock, exclusive=False):  # nobody collects what is being looked at
        new = Lock({row: tuple(_row(context, row, old, update)) for row in context.image_rows})
    if old is None or lockfile.text(old) != lockfile.text(new):
        files.publish(file, lockfile.text(new), 0o644)
    return [f"{file.name}: {line}" for line in _changes(old or Lock({}), new)] or [f"{file.name} is as it was"]


def _known(file: Path, update: bool) -> Lock | None:
    """What the file says. A damaged one counts as none when it is written anew, else it is an ImageError."""
    try:
        return lockfile.read(file)
    except PodwrightError:
        if not update:
            raise
        return None


def _row(context: Context, row: str, old: Lock | None, update: bool) -> Iterator[Locked]:
    """The images of a row: this host's, and what is known for other platforms unless it is out of date by that."""
    for ask in context.asks(row):
        known = old.find(row, ask.text, ask.platform) if old else None
        if known is None or update:
            pinned = "" if update or old is None else old.pinned(row, ask.text)
            found = _resolved(context, row, ask._replace(digest=pinned))
        else:
            found = known
        yield found
        others = old.rows.get(row, ()) if old and not ask.platform else ()
        yield from (
            one
            for one in others
            if one is not known
            and (one.reference, one.index_digest) == (ask.text, found.index_digest)
            and one.platform != found.platform
        )


def _resolved(context: Context, row: str, ask: Ask) -> Locked:
    """What the reference means now."""
    if row == STAGE1 and context.flavors.is_flavor(ask.text):
        image_id = context.flavors.bring(ask.text, context.progress)
    else:
        never = ask.pull is PullPolicy.NEVER
        image_id = context.finder.bring(ask if never else ask._replace(pull=PullPolicy.ALWAYS), context.progress)
    manifest = context.images.manifest(image_id)
    named = _named(context, row, ask)
    tree = (image_id,) if row == DEPENDENCIES else context.recipe(row).image_ids
    return Locked(
        reference=ask.text,
        platform=platform.of_labels(manifest.label("os"), manifest.label("arch")),
        digest=_digest(image_id),
        size=context.images.size(image_id),
        index_digest="" if named in ("", _digest(image_id)) else named,
        tree=tuple(map(_digest, tree)) if len(tree) > 1 else (),
        signer=context.finder.guard.signer(image_id),
    )


def _digest(image_id: str) -> str:
    return image_id.replace("-", ":", 1)


def _named(context: Context, row: str, ask: Ask) -> str:
    """What the registry had under the reference: of a reference with a digest, that; of no registry's, ""."""
    if row == STAGE1 and context.flavors.is_flavor(ask.text):
        return ""
    reference = parse(ask.text, context.project)
    if not isinstance(reference, Registry):
        return ""
    return reference.digest or str(context.finder.note(ask).get("digest", ""))


def _changes(old: Lock, new: Lock) -> Iterator[str]:
    """A line for every image that came, went or changed."""
    before = {(row, one.reference, one.platform): one for row, found in old.rows.items() for one in found}
    after = {(row, one.reference, one.platform): one for row, found in new.rows.items() for one in found}
    for key in sorted(before.keys() | after.keys()):
        was, now = before.get(key), after.get(key)
        what = f"{key[0]}: {key[1]}" + (f" ({key[2]})" if key[2] else "")
        if now is None:
            yield f"{what}: removed"
        elif was is None:
            yield f"{what}: {short(now.image_id)}"
        elif was != now:
            yield f"{what}: {_change(was, now)}"


def _change(was: Locked, now: Locked) -> str:
    if was.digest != now.digest:
        return f"{short(was.image_id)} -> {short(now.image_id)}"
    if was.index_digest != now.index_digest:
        return f"the index {was.index_digest[:19] or '(none)'} -> {now.index_digest[:19] or '(none)'}, the same image"
    if was.tree != now.tree:
        return "the images that it depends on"
    if was.signer != now.signer:
        return f"signed by {was.signer or 'nobody'} -> {now.signer or 'nobody'}"
    return f"{was.size} bytes -> {now.size}"
