"""Which images make up a tree, and in which order."""

from __future__ import annotations

import itertools

import pytest

from stages.base.errors import ImageError
from stages.images.dependencies import Ingredient, flatten
from stages.images.manifest import Dependency, ImageManifest


def manifest(name: str, dependencies: str = "", whitelist: str = "") -> ImageManifest:
    listed = tuple(Dependency(one, "", ()) for one in dependencies)
    return ImageManifest(name, (), None, (), listed, frozenset(path.encode() for path in whitelist.split()))


def flat(*images: ImageManifest) -> list[Ingredient]:
    known = {image.name: image for image in images}
    return list(flatten(images[0].name, lambda one: known[one], lambda dependency, who: dependency.name))


def names(*images: ImageManifest) -> str:
    return " ".join(f"{one.image_id}{one.level}" for one in flat(*images))


@pytest.mark.contract("M 30")
def test_listed_order_is_weakest_first_and_depth_comes_first() -> None:
    # The contract's own example, E.1.
    assert names(manifest("A", "BC"), manifest("B"), manifest("C", "D"), manifest("D")) == "A0 C1 D2 B1"


def test_what_is_below_two_images_is_listed_where_it_is_strongest() -> None:
    assert names(manifest("A", "BC"), manifest("B", "D"), manifest("C", "D"), manifest("D")) == "A0 C1 D2 B1"


def test_an_image_filtered_in_two_ways_is_listed_twice() -> None:
    images = (manifest("A", "BC"), manifest("B", "D"), manifest("C", "D", "x"), manifest("D"))
    assert [(one.image_id, one.ancestors) for one in flat(*images)] == [
        ("A", ()),
        ("C", ()),
        ("D", (frozenset({b"x"}),)),
        ("B", ()),
        ("D", ()),
    ]


@pytest.mark.contract("M 31")
def test_every_ancestors_whitelist_goes_along_and_no_siblings() -> None:
    images = (manifest("A", "BC", "a"), manifest("B"), manifest("C", "D", "c"), manifest("D", "", "d"))
    found = {one.image_id: (one.whitelist, one.ancestors) for one in flat(*images)}
    assert found["D"] == (frozenset({b"d"}), (frozenset({b"a"}), frozenset({b"c"})))
    assert found["B"] == (frozenset(), (frozenset({b"a"}),))


@pytest.mark.contract("M 29")
@pytest.mark.parametrize("images", [("A", "A"), ("AB", "BA"), ("AB", "BC", "CB")])
def test_a_cycle_is_told_with_the_names(images: tuple[str, ...]) -> None:
    with pytest.raises(ImageError) as caught:
        flat(*(manifest(one[0], one[1:] or one[0]) for one in images))
    assert caught.value.reason == "cycle"


def test_doubling_at_every_level_ends() -> None:
    letters = "ABCDEFGHIJKLMNOPQRSTUVWXYZ"
    images = [manifest(one, two * 2) for one, two in itertools.pairwise(letters)] + [manifest("Z")]
    assert len(flat(*images)) == len(letters)


def test_no_image_depends_on_the_same_one_for_ever() -> None:
    """Each time the store is searched: a manifest of 10 kB, packed, could take an hour."""
    assert names(manifest("A", "B" * 500), manifest("B")) == "A0 B1"
    with pytest.raises(ImageError) as caught:
        flat(manifest("A", "B" * 501), manifest("B"))
    assert caught.value.reason == "too-many-layers"


def test_there_is_an_end_to_depth() -> None:
    images = {str(number): number for number in range(1000)}
    with pytest.raises(ImageError) as caught:
        flatten(
            "0",
            lambda one: ImageManifest(one, (), None, (), (Dependency(str(images[one] + 1), "", ()),), frozenset()),
            lambda dependency, who: dependency.name,
        )
    assert caught.value.reason == "too-many-layers"
