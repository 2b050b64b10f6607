"""What inits of all flavors do alike."""

from __future__ import annotations

import pytest

from stages.stage1.lib import init


@pytest.mark.parametrize(
    ("sentence", "told"),
    [
        ("app a: é is not there", "app a: é is not there"),
        ('"\x1b]0;x\x07\nstage1: all is well" user not found', r'"\x1b]0;x\x07\nstage1: all is well" user not found'),
        ("Unable to open /\udcff", r"Unable to open /\udcff"),
    ],
)
def test_a_sentence_is_one_line_that_no_terminal_obeys(
    capfd: pytest.CaptureFixture[str], sentence: str, told: str
) -> None:
    init.say(sentence)
    assert capfd.readouterr().err == f"stage1: {told}\n"
