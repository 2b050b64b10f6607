"""`doit verify`: the full check of all that is stored: every byte of the images, all of the trees."""

from __future__ import annotations

import os
import sys
from typing import Any

from stages.base.digest import short
from stages.commands import common
from stages.commands.sweep import size_of
from stages.graph.terminal import Terminal
from stages.images import verifying
from stages.images.store import ImageStore
from stages.trees import marker
from stages.trees.store import TreeStore


class Verify(common.PodCommand):
    """Read all that is stored and compare it with what it was."""

    doc_purpose = "re-hash all stored images and trees; a bad one is made again by the next run that needs it"
    instead = "`doit images verify IMAGE` is for one image"

    def do(self, options: Any, words: list[str]) -> int:
        images = ImageStore(common.data())
        trees = TreeStore(common.data(), images)
        progress, bad = Terminal(sys.stderr), 0
        known, made = images.ids(), [one for one in trees.ids() if trees.is_rendered(one)]
        sizes = {tree_id: size_of(trees.data.tree(tree_id).rootfs) for tree_id in made}
        progress.begin("verifying", verifying.size(images, known) + sum(sizes.values()))
        try:
            found = verifying.verify(images, known, progress)
            troubles = {}
            for tree_id in made:
                verdict = trees.full(tree_id, len(os.sched_getaffinity(0)), lambda one: found.get(one) == "")
                troubles[tree_id] = "; ".join(reason.text() for reason in verdict.reasons)
                progress.advance(sizes[tree_id])
        finally:
            progress.end()
        for image_id, trouble in found.items():
            bad += not _told(f"image {short(image_id)}", trouble)
        for tree_id, trouble in troubles.items():
            bad += not _told(f"tree  {short(tree_id)}", trouble and f"{trouble}; a run that needs it makes it again")
        for tree_id in trees.ids():
            if marker.is_in_doubt(trees.data.tree(tree_id)):
                print(f"tree  {short(tree_id)}  not read since this host's last start: the next run that needs it does")
        return 1 if bad else 0


def _told(what: str, trouble: str) -> bool:
    print(f"{what}  {trouble or 'ok'}")
    return not trouble
