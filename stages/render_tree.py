"""tree: render an image with its dependencies into the tree store, or check the tree that is there.

Reads the stored images. Leaves a tree under an id made of all its images, its marker last. Fresh when that tree is
rendered and nothing in it moved since; a tree that is there and bad is rebuilt, with a warning.
"""

from __future__ import annotations

from typing import Any

from stages.base.digest import short
from stages.base.verdict import Verdict
from stages.pod.context import Context


def verdict(context: Context, name: str) -> Verdict:
    """The quick check of the tree. Raises ImageError when the images do not fit together or not this host."""
    return context.trees.verdict(context.recipe(name).tree_id)


def run(context: Context, name: str) -> dict[str, Any]:
    """Make the tree good. Value: its id. Raises ImageError, TreeError, HostError."""
    recipe = context.recipe(name)
    context.trees.render(recipe, context.progress)
    return {"tree": recipe.tree_id, "did": short(recipe.tree_id)}
