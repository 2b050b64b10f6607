"""What the records compute."""

from __future__ import annotations

import pytest

from stages.spec.model import Capabilities

DEFAULT = frozenset({"CAP_CHOWN", "CAP_KILL"})
EVERY = DEFAULT | {"CAP_NET_ADMIN", "CAP_SYS_ADMIN"}


@pytest.mark.parametrize(
    ("add", "drop", "result"),
    [
        ((), (), DEFAULT),
        ((), ("ALL",), frozenset()),
        (("CAP_NET_ADMIN",), ("ALL",), {"CAP_NET_ADMIN"}),
        (("CAP_NET_ADMIN",), ("CAP_KILL",), {"CAP_CHOWN", "CAP_NET_ADMIN"}),
        (("ALL",), ("CAP_KILL",), EVERY),
    ],
)
def test_capabilities_are_dropped_before_they_are_added(
    add: tuple[str, ...], drop: tuple[str, ...], result: frozenset[str]
) -> None:
    assert Capabilities(add, drop).applied(DEFAULT, EVERY) == result
