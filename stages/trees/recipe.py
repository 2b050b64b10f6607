"""What a tree is made of, and the id that it has from that."""

from __future__ import annotations

from stages.base.digest import identity
from stages.base.records import NamedTuple
from stages.images.dependencies import Ingredient

# Part of every tree id: a tree made by other rules is another tree.
FORMAT = 2


class Recipe(NamedTuple):
    """What a tree is made of, strongest image first.

    plain: the tree is wanted as files, which programs run from without a mount: stage1's. It is another tree then,
    so that no app ever shares one with stage1.
    """

    ingredients: tuple[Ingredient, ...]
    plain: bool = False

    @property
    def image_id(self) -> str:
        """The image that the tree is of."""
        return self.ingredients[0].image_id

    @property
    def image_ids(self) -> tuple[str, ...]:
        """All images of the tree."""
        return tuple(one.image_id for one in self.ingredients)

    @property
    def tree_id(self) -> str:
        """`deps-sha256-` and 64 hex digits, over all that decides what the tree will be."""
        layers = [[one.image_id, one.level] for one in self.ingredients]
        return "deps-sha256-" + identity([FORMAT, self.plain, layers])
