"""Where entries really are: symlinked parents, hard links, and everything that leads nowhere."""

from __future__ import annotations

import itertools

import pytest

from stages.base.errors import ImageError
from stages.images import placement
from stages.images.entry import Entry, Kind
from stages.images.placement import place

F, D = Kind.FILE, Kind.DIRECTORY


def f(name: str) -> Entry:
    return Entry(name.encode(), F)


def d(name: str) -> Entry:
    return Entry(name.encode(), D)


def link(name: str, target: str) -> Entry:
    return Entry(name.encode(), Kind.SYMLINK, target=target.encode())


def hard(name: str, target: str) -> Entry:
    return Entry(name.encode(), Kind.HARDLINK, target=target.encode())


def names(*entries: Entry) -> list[str]:
    return [entry.name.decode() for entry in place(entries)]


def test_plain_entries_stay_as_they_are() -> None:
    given = [d(""), d("a"), f("a/b"), f("implied/x"), link("out", "../../etc"), link("dangling", "nowhere")]
    assert place(given) == given


@pytest.mark.parametrize(
    "target", ["usr/lib", "/usr/lib", "./usr//lib/", "../../usr/lib", "usr/bin/../lib", "/../usr/lib"]
)
def test_a_member_below_a_symlink_belongs_to_its_target_within_the_root(target: str) -> None:
    assert names(link("lib", target), d("usr/lib"), f("lib/x/y")) == ["lib", "usr/lib", "usr/lib/x/y"]


def test_order_makes_no_difference() -> None:
    given = [link("a", "b"), link("b", "c/d"), link("c", "/e"), d("e/d"), f("a/f"), hard("h", "b/f")]
    wanted = {"a", "b", "c", "e/d", "e/d/f", "h"}
    for order in itertools.permutations(given):
        placed = place(order)
        assert {entry.name.decode() for entry in placed} == wanted
        assert next(entry.target for entry in placed if entry.name == b"h") == b"e/d/f"


def test_links_that_were_moved_themselves_are_followed() -> None:
    assert names(link("a", "b"), d("b"), link("a/c", "../x"), f("a/c/f")) == ["a", "b", "b/c", "x/f"]


def test_the_root_may_be_a_target() -> None:
    assert names(link("a/up", ".."), f("a/up/f"), link("self", "/"), f("self/g")) == ["a/up", "f", "self", "g"]


def test_hard_links_arrive_at_the_file_itself() -> None:
    placed = place([hard("z", "y"), hard("y", "x"), f("x"), link("l", "x"), hard("m", "l")])
    assert [entry.target for entry in placed if entry.kind is Kind.HARDLINK] == [b"x", b"x", b"l"]


def test_a_hard_link_to_a_symlink_leads_on_like_it() -> None:
    assert names(hard("h", "l"), link("l", "d"), d("d"), f("h/f")) == ["h", "l", "d", "d/f"]


REFUSED = {
    "twice": ([f("a"), d("a")], "duplicate"),
    "twice behind a link": ([link("lib", "usr/lib"), f("lib/a"), f("usr/lib/a")], "duplicate"),
    "below a file": ([f("a"), f("a/b")], "below-file"),
    "below a file behind a link": ([f("a"), link("l", "a"), f("l/b")], "below-file"),
    "below a fifo": ([Entry(b"a", Kind.FIFO), d("a/b")], "below-file"),
    "below a hard link": ([f("a"), hard("h", "a"), f("h/b")], "below-file"),
    "link to itself": ([link("a", "a"), f("a/b")], "link-loop"),
    "links in a circle": ([link("a", "b"), link("b", "a"), f("a/x")], "link-loop"),
    "link below itself": ([link("a", "a/b"), f("a/b")], "link-loop"),
    "too many links": ([link(f"l{n}", f"l{n + 1}") for n in range(50)] + [f("l0/x")], "link-loop"),
    "hard link to nothing": ([hard("a", "b")], "hard-link"),
    "hard link to a directory": ([d("b"), hard("a", "b")], "hard-link"),
    "hard link to an implied directory": ([f("b/c"), hard("a", "b")], "hard-link"),
    "hard link to itself": ([hard("a", "a")], "hard-link"),
    "hard links in a circle": ([hard("a", "b"), hard("b", "c"), hard("c", "a")], "hard-link"),
    "hard link through itself": ([hard("a", "a/b")], "below-file"),
    "hard links through each other": ([hard("a", "b/x"), hard("b", "a/x"), f("a/y")], "below-file"),
    "long name behind a link": ([link("a", "n" * 256), f("a/b")], "name"),
}


@pytest.mark.parametrize(("entries", "reason"), REFUSED.values(), ids=REFUSED.keys())
def test_what_leads_nowhere_is_refused(entries: list[Entry], reason: str) -> None:
    with pytest.raises(ImageError) as caught:
        place(entries)
    assert caught.value.reason == reason


def ladder(length: int) -> list[Entry]:
    """Symlinks of which each one is found only when the one before it has moved."""
    steps = range(length)
    return [link("/".join(f"l{n}" for n in range(step + 1)), f"/d{step}") for step in steps]


def test_links_may_move_one_after_another_but_not_for_ever() -> None:
    assert names(*ladder(20))[-1] == "d18/l19"
    with pytest.raises(ImageError) as caught:
        place(ladder(60))
    assert caught.value.reason == "link-loop"


def test_a_path_that_grows_too_long_behind_links_is_refused() -> None:
    with pytest.raises(ImageError) as caught:
        place([link("a", "n/" * 2000), f("a/" + "m/" * 60 + "f")])
    assert caught.value.reason == "name"


def test_links_through_many_directories_are_gone_through_once() -> None:
    """At once, where each entry behind them would take a thirtieth of a second."""
    way = "a/" * 800 + "../" * 800
    links = [link(f"l{number}", f"{way}l{number + 1}") for number in range(39)]
    found = place([*links, *(f(f"l0/{number}/f") for number in range(20_000))])
    assert found[-1].name == b"l39/19999/f"


def test_hard_links_through_many_directories_are_gone_through_once() -> None:
    """At once, where each of those that lead into the chain would take a twelfth of a second."""
    deep = "a/" * 1990
    chain = [hard(f"{deep}{number}", f"{deep}{number + 1}") for number in range(38)]
    found = place([*chain, f(f"{deep}38"), *(hard(f"h{number}", f"{deep}0") for number in range(2000))])
    assert found[-1].target == f"{deep}38".encode()


def test_the_directories_that_all_names_lead_through_are_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    """A deep name is gone through again for every link that moves; one in a listed directory by its last part only."""
    monkeypatch.setattr(placement, "MAX_STEPS", 100_000)
    with pytest.raises(ImageError) as caught:
        place([*ladder(38), *(f(f"{number}/" + "a/" * 1990 + "f") for number in range(9))])
    assert caught.value.reason == "limit"
    wide = [f"{'a/' * depth}" for depth in range(1000)]
    assert len(place([*map(d, wide[1:]), *(f(f"{folder}f") for folder in wide)])) == 1999


def test_a_duplicate_is_told_by_both_names() -> None:
    with pytest.raises(ImageError) as caught:
        place([link("lib", "usr/lib"), f("lib/a"), f("usr/lib/a")])
    assert '"lib/a"' in caught.value.sentence and '"usr/lib/a"' in caught.value.sentence
