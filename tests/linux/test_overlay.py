"""How overlay options are written."""

from __future__ import annotations

import pytest

from stages.linux.overlay import Overlay, escape, format_label


@pytest.mark.contract("L.1 rkt_mount_overlay", "M 11")
@pytest.mark.parametrize(
    ("path", "expected"), [("/a", "/a"), ("/a:b", "/a\\:b"), ("/a,b", "/a\\,b"), ("/a\\b", "/a\\\\b"), ("/a b", "/a b")]
)
def test_separators_in_paths_are_escaped(path: str, expected: str) -> None:
    assert escape(path) == expected


def test_a_label_is_appended_only_when_there_is_one() -> None:
    assert format_label("a=b", "") == "a=b"
    assert format_label("a=b", "u:r:t:s0") == 'a=b,context="u:r:t:s0"'
    assert format_label("", "u:r:t:s0") == 'context="u:r:t:s0"'


def test_the_options_name_all_three_directories() -> None:
    assert Overlay("/l", "/u", "/w", "/t").options() == "lowerdir=/l,upperdir=/u,workdir=/w"
