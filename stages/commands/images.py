"""`doit images`: what is in the image store, and what can be done with it."""

from __future__ import annotations

import os
import sys
import time
from pathlib import Path
from typing import Any

from stages.base import data as data_dirs
from stages.base import files
from stages.base.digest import short
from stages.base.errors import ImageError, PodwrightError
from stages.base.paths import DataDir
from stages.commands import common
from stages.graph.terminal import Terminal
from stages.images.ask import Ask
from stages.images.guard import Guard
from stages.images.store import PREFIXES, ImageStore
from stages.spec.model import Signatures

_DRY_RUN = {"name": "dryrun", "long": "dry-run", "short": "n", "default": False, "type": bool, "help": "only say what"}
_SIGNATURES = {
    "name": "signatures",
    "long": "signatures",
    "default": "",
    "choices": tuple((one.value, "") for one in Signatures),
    "type": str,
    "help": "of what is imported, as stage0.signatures",
}
_USAGE = "[list | import REF... | rm IMAGE... | cat-manifest IMAGE | verify [IMAGE...] | export IMAGE FILE | gc | df]"


class Images(common.PodCommand):
    """The image store."""

    doc_purpose = "list (default), import, rm, cat-manifest, verify, export and gc images, and tell how much there is"
    doc_usage = _USAGE
    doc_description = "IMAGE is an id, at least the first 8 digits of one (sha512-..., sha256-...), or NAME[:VERSION]."
    cmd_options = (common.FORMAT_OPTION, common.OVERWRITE, _DRY_RUN, _SIGNATURES)

    def do(self, options: Any, words: list[str]) -> int:
        word, rest = (words[0], words[1:]) if words else ("list", [])
        handler = _WORDS.get(word)
        if handler is None:
            raise PodwrightError(f"images has no {word!r}", hint=f"it has {', '.join(_WORDS)}", reason="bad-word")
        return handler(Shelf(common.data(), self.project, options), rest)


class Shelf:
    """The image store with what the command line says of it. project: the folder of dodo.py, if there is one."""

    def __init__(self, data: DataDir, project: Path | None, options: Any) -> None:
        self.data, self.project = data, project
        self.store = ImageStore(data)
        self.json = options["format"] == "json"
        self.demanded = Signatures(options["signatures"]) if options["signatures"] else None
        self.overwrite, self.dry = options["overwrite"], options["dryrun"]

    def tell(self, words: list[str]) -> int:
        _none(words, "list")
        known = [self._facts(image_id) for image_id in self.store.ids()]
        if self.json:
            common.show_json(known)
            return 0
        common.show([_row(one) for one in known], ("ID", "NAME", "SIZE", "IMPORTED"))
        return 0

    def bring(self, words: list[str]) -> int:
        """Import: files, and whatever a spec's `image:` may say."""
        from stages.images.finder import Finder
        from stages.trees.store import TreeStore

        data_dirs.initialise(self.data)
        finder, progress = Finder(self.data, self.store, Path.cwd()), Terminal(sys.stderr)
        trees = TreeStore(self.data, self.store)

        def one(word: str) -> None:
            ask = Ask(f"file:{word}" if Path(word).is_file() else word, signatures=self.demanded)
            image_id = finder.bring(ask, progress)
            trees.prebuild(image_id)
            print(image_id)

        return common.each(_some(words, "import REF..."), one)

    def remove(self, words: list[str]) -> int:
        def one(word: str) -> None:
            image_id = self.chosen(word)
            print(f"{image_id} ({common.size_text(self.store.remove(image_id))})")

        return common.each(_some(words, "rm IMAGE..."), one)

    def cat_manifest(self, words: list[str]) -> int:
        (word,) = _exactly(1, words, "cat-manifest IMAGE")
        text = self.store.manifest_bytes(self.chosen(word)).decode(errors="replace")
        sys.stdout.write(text if text.endswith("\n") else text + "\n")
        return 0

    def verify(self, words: list[str]) -> int:
        from stages.images import verifying

        chosen = [self.chosen(word) for word in words] or self.store.ids()
        progress = Terminal(sys.stderr)
        progress.begin("verifying", verifying.size(self.store, chosen))
        try:
            found = verifying.verify(self.store, chosen, progress)
        finally:
            progress.end()
        for image_id, trouble in found.items():
            print(f"{short(image_id)} {f'DAMAGED: {trouble}' if trouble else 'ok'}")
        return 1 if any(found.values()) else 0

    def export(self, words: list[str]) -> int:
        word, name = _exactly(2, words, "export IMAGE FILE")
        image_id, target = self.chosen(word), Path(name).absolute()
        if target.exists() and not self.overwrite:
            raise ImageError(f"{name} exists", hint="--overwrite replaces it", reason="exists")
        if not self.store.heal(image_id):
            raise ImageError(f"image {short(image_id)} is damaged", hint="import it again", reason="bad-image")
        with files.writing(target, 0o644) as out:
            self.store.export(image_id, out)
        return 0

    def collect(self, words: list[str]) -> int:
        from stages.commands import images_use

        _none(words, "gc")
        return images_use.collect(self.data, self.project, self.dry)

    def usage(self, words: list[str]) -> int:
        from stages.commands import images_use

        _none(words, "df")
        known = images_use.usage(self.data, self.project)
        if self.json:
            common.show_json(
                [{"kind": one.kind, "count": one.number, "size": one.size, "unused": one.unused} for one in known]
            )
            return 0
        rows = [(one.kind, str(one.number), common.size_text(one.size), common.size_text(one.unused)) for one in known]
        common.show(rows, ("KIND", "COUNT", "SIZE", "UNUSED"))
        return 0

    def chosen(self, word: str) -> str:
        """The stored image of an id, the beginning of one, or a name with labels. Raises ImageError."""
        if word.startswith(PREFIXES):
            return self.store.resolve(word)
        from stages.images.finder import Finder

        found = Finder(self.data, self.store, self.project or Path.cwd()).known(Ask(word))
        if found is None:
            raise ImageError(f"no image {word!r} in the store", hint="`doit images` lists them", reason="not-stored")
        return found

    def _facts(self, image_id: str) -> dict[str, Any]:
        known = {"id": image_id, "name": "", "labels": {}, "size": 0, "imported_at": None, "whole": False, "signer": ""}
        try:
            known["imported_at"] = os.stat(self.data.images.manifest(image_id)).st_mtime
            manifest = self.store.manifest(image_id)
            known |= {"name": manifest.name, "labels": dict(manifest.labels), "size": self.store.size(image_id)}
            known["whole"] = self.store.has(image_id)
            known["signer"] = Guard.of(self.store, os.environ).signer(image_id)
        except PermissionError:
            return {**known, "whole": None}
        except (PodwrightError, OSError, ValueError, KeyError, TypeError):
            # What cannot be read is listed all the same.
            return known
        return known


_WORDS = {
    "list": Shelf.tell,
    "import": Shelf.bring,
    "rm": Shelf.remove,
    "cat-manifest": Shelf.cat_manifest,
    "verify": Shelf.verify,
    "export": Shelf.export,
    "gc": Shelf.collect,
    "df": Shelf.usage,
}


# What is said of an image that is whole, is not, or is not to be seen by whoever asks.
_WHOLE = {True: "", False: " (damaged)", None: " (only root may look)"}


def _none(words: list[str], usage: str) -> None:
    _exactly(0, words, usage)


def _some(words: list[str], usage: str) -> list[str]:
    return words or _exactly(1, words, usage)


def _exactly(number: int, words: list[str], usage: str) -> list[str]:
    if len(words) != number:
        raise PodwrightError(f"usage: doit images {usage}", reason="bad-word")
    return words


def _row(one: dict[str, Any]) -> tuple[str, str, str, str]:
    version, when = one["labels"].get("version"), one["imported_at"]
    name = f"{one['name']}:{version}" if version else one["name"]
    title = f"{name}{_WHOLE[one['whole']]}".strip()
    day = time.strftime("%Y-%m-%d %H:%M", time.localtime(when)) if when else "-"
    return short(one["id"]), title, common.size_text(one["size"]), day
