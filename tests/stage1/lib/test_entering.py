"""The command line of the enter entrypoint."""

from __future__ import annotations

import pytest

from stages.stage1.lib import entering
from stages.stage1.lib.errors import Stage1Error


def test_words_after_the_dashes_of_enter_stay_as_they_are() -> None:
    request = entering.parse(["--pid=12", "--appname=web", "--", "cmd", "--x=y", "--", "a b"])
    assert (request.pid, request.app, request.command) == (12, "web", ["cmd", "--x=y", "--", "a b"])
    assert entering.parse(["--appname=web"]).command == ["/bin/sh"]
    with pytest.raises(Stage1Error):
        entering.parse(["--pid=1", "--", "x"])
