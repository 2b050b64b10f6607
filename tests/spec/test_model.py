"""What the records compute."""

from __future__ import annotations

import pytest

from stages.spec.model import Auto, Capabilities, Off, PrivateUsers

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


def test_choices_without_data_are_not_each_other() -> None:
    choices: list[PrivateUsers] = [Off(), Auto(), Off()]
    assert [one == choices[0] for one in choices] == [True, False, True]
