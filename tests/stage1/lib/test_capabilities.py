"""The capabilities of an app."""

from __future__ import annotations

import pytest

from stages.stage1.lib import capabilities
from stages.stage1.lib.errors import Stage1Error


def test_default_capabilities_are_fourteen() -> None:
    assert len(capabilities.wanted("a", [])) == 14


def test_removing_and_retaining_at_once_is_refused() -> None:
    both = [(capabilities.RETAIN, {"set": ["CAP_CHOWN"]}), (capabilities.REMOVE, {"set": ["CAP_KILL"]})]
    with pytest.raises(Stage1Error, match="both"):
        capabilities.wanted("a", both)


@pytest.mark.parametrize("value", [None, {}, {"set": "CAP_CHOWN"}, {"set": ["CAP_ODD"]}])
def test_a_malformed_capability_set_is_refused(value: object) -> None:
    with pytest.raises(Stage1Error):
        capabilities.wanted("a", [(capabilities.RETAIN, value)])


def test_capabilities_outside_of_the_bounding_set_are_told() -> None:
    told: list[str] = []
    wanted = frozenset({"CAP_KILL", "CAP_CHOWN", "CAP_SYS_RESOURCE"})
    bounding = capabilities.bounding_set("Name:\tx\nCapBnd:\t0000000000000021\n")
    assert bounding == {"CAP_CHOWN", "CAP_KILL"}
    assert capabilities.available("web", wanted, bounding, told.append) == ["CAP_CHOWN", "CAP_KILL"]
    assert len(told) == 1 and "CAP_SYS_RESOURCE" in told[0] and "web" in told[0]


def test_capability_numbers_are_the_kernels() -> None:
    assert len(capabilities.NAMES) == 41
    known = {0: "CHOWN", 12: "NET_ADMIN", 21: "SYS_ADMIN", 24: "SYS_RESOURCE", 27: "MKNOD", 40: "CHECKPOINT_RESTORE"}
    assert {number: capabilities.NAMES[number] for number in known} == {n: f"CAP_{name}" for n, name in known.items()}
