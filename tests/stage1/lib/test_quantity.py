"""appc resource quantities."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from stages.stage1.lib import quantity
from stages.stage1.lib.errors import Stage1Error


@pytest.mark.parametrize(
    ("text", "thousandths"),
    [
        ("1", 1000),
        ("500m", 500),
        ("0.5", 500),
        ("1.5Ki", 1536000),
        ("25Mi", (25 << 20) * 1000),
        ("4194304", 4194304000),
        ("12e6", 12 * 10**9),
        ("1E3", 10**6),
        ("1E", 10**21),
        ("2k", 2 * 10**6),
        ("0.0001", 1),
        ("-1", -1000),
        ("+2", 2000),
        ("1u", 1),
        (5, 5000),
    ],
)
def test_quantities(text: object, thousandths: int) -> None:
    assert quantity.thousandths(text) == thousandths


@pytest.mark.parametrize(
    "text", ["", "m", "1K", "1.2.3", "--1", "1e", "1 2", "x", "٣", None, "1e99999", "1" * 5000, "." + "0" * 5000]
)
def test_what_is_no_quantity(text: object) -> None:
    with pytest.raises(Stage1Error):
        quantity.thousandths(text)


@given(st.integers(0, 10**15), st.sampled_from(["", "k", "M", "G", "Ki", "Mi", "Gi"]))
def test_whole_quantities_are_exact(number: int, suffix: str) -> None:
    factor = {"": 1, "k": 10**3, "M": 10**6, "G": 10**9, "Ki": 2**10, "Mi": 2**20, "Gi": 2**30}[suffix]
    assert quantity.integer(f"{number}{suffix}") == number * factor
