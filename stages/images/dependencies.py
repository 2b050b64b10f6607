"""Which images make up a tree: an image and its dependencies, strongest first (appc spec, "dependency matching")."""

from __future__ import annotations

from collections.abc import Callable

from stages.base.digest import short
from stages.base.errors import ImageError
from stages.base.records import NamedTuple
from stages.images.manifest import Dependency, ImageManifest

# A tree of more images than this is a mistake, or an attack by doubling.
MOST_LAYERS = 500


class Ingredient(NamedTuple):
    """One image of a tree.

    level: 0 for the image itself. ancestors: the whitelists of the images that pulled it in, the non-empty ones.
    """

    image_id: str
    level: int
    whitelist: frozenset[bytes]
    ancestors: tuple[frozenset[bytes], ...]


def flatten(
    image_id: str,
    manifest_of: Callable[[str], ImageManifest],
    find: Callable[[Dependency, str], str],
) -> tuple[Ingredient, ...]:
    """The image and all it depends on, in the order of override (contract E.1): earlier entries win.

    find(dependency, who needs it) names the stored image. Raises ImageError for a cycle, or what find raises.
    """
    ingredients: list[Ingredient] = []
    seen: set[tuple[str, frozenset[frozenset[bytes]]]] = set()

    def visit(current: str, path: tuple[str, ...], filters: tuple[frozenset[bytes], ...]) -> None:
        if current in path:
            names = " -> ".join(manifest_of(one).name for one in (*path[path.index(current) :], current))
            raise ImageError(f"the dependencies of {manifest_of(path[0]).name} form a cycle: {names}", reason="cycle")
        # Seen before under the same filters: all of it is already claimed by something stronger.
        if (current, frozenset(filters)) in seen:
            return
        seen.add((current, frozenset(filters)))
        manifest = manifest_of(current)
        # A look at each is a search of the store, even if it is the same image every time.
        if max(len(ingredients) + 1, len(manifest.dependencies)) > MOST_LAYERS:
            raise ImageError(f"{short(image_id)} has more than {MOST_LAYERS} dependencies", reason="too-many-layers")
        ingredients.append(Ingredient(current, len(path), manifest.whitelist, filters))
        inherited = (*filters, manifest.whitelist) if manifest.whitelist else filters
        # Listed order is weakest first, so the last one comes directly after its parent.
        for dependency in reversed(manifest.dependencies):
            visit(find(dependency, manifest.name), (*path, current), inherited)

    visit(image_id, (), ())
    return tuple(ingredients)
