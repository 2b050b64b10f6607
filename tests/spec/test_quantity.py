"""Quantities: the grammar, the rounding, the limits; and against exact fractions for any of them."""

from __future__ import annotations

import math
from fractions import Fraction

import pytest
from hypothesis import given
from hypothesis import strategies as st

from stages.base.errors import SpecError
from stages.spec import quantity

FACTORS = {
    "": Fraction(1),
    "n": Fraction(1, 10**9),
    "u": Fraction(1, 10**6),
    "m": Fraction(1, 1000),
    **{suffix: Fraction(1000 ** (power + 1)) for power, suffix in enumerate("kMGTPE")},
    **{suffix: Fraction(1024 ** (power + 1)) for power, suffix in enumerate(("Ki", "Mi", "Gi", "Ti", "Pi", "Ei"))},
}


@pytest.mark.parametrize(
    ("text", "millicores"),
    [
        ("1", 1000),
        ("500m", 500),
        ("0.5", 500),
        (".5", 500),
        ("2.", 2000),
        (2, 2000),
        (0.1, 100),
        ("1.0001", 1001),
        ("1u", 1),
        ("1n", 1),
        ("-500m", -500),
        ("+1", 1000),
        ("0", 0),
        ("1e-3", 1),
        (1e-05, 1),
        ("1k", 1_000_000),
    ],
)
def test_cpu_is_thousandths_of_a_core_rounded_up(text: str | float, millicores: int) -> None:
    assert quantity.millicores(text) == millicores


@pytest.mark.parametrize(
    ("text", "count"),
    [
        ("256Mi", 268435456),
        ("1.5Gi", 1610612736),
        ("64k", 64000),
        ("1e6", 1_000_000),
        ("12E6", 12_000_000),
        ("3E", 3 * 10**18),
        ("1Ei", 2**60),
        ("100m", 1),
        ("0.1Ki", 103),
        (4096, 4096),
        (1e6, 1_000_000),
    ],
)
def test_memory_is_whole_bytes_rounded_up(text: str | float, count: int) -> None:
    assert quantity.byte_count(text) == count


@pytest.mark.parametrize(
    "text",
    ["", "+", ".", "Mi", "1K", "1ki", "1 Mi", " 1", "1\n", "1mi", "--1", "1e", "1e1000", "0x10", "1,5", "\u0661"]
    + ["inf", "nan", "1Mib", "9" * 41],
)
def test_what_is_no_quantity_is_refused(text: str) -> None:
    with pytest.raises(SpecError) as caught:
        quantity.byte_count(text)
    assert caught.value.reason == "quantity"


@pytest.mark.parametrize("text", ["8Ei", "9223372036854775808", "1e999", "-9223372036854775808", math.inf])
def test_what_no_kernel_file_could_hold_is_refused(text: str | float) -> None:
    with pytest.raises(SpecError) as caught:
        quantity.byte_count(text)
    assert caught.value.reason == "quantity"


def test_the_largest_passes() -> None:
    assert quantity.byte_count(str(quantity.LARGEST)) == quantity.LARGEST


SMALL = st.integers(0, 10**6)


@given(SMALL, st.none() | SMALL, st.sampled_from(sorted(FACTORS)), st.sampled_from("+-"))
def test_any_quantity_is_its_fraction_rounded_up(whole: int, fraction: int | None, suffix: str, sign: str) -> None:
    number = f"{whole}" if fraction is None else f"{whole}.{fraction:06}"
    exact = Fraction(number) * FACTORS[suffix] * (-1 if sign == "-" else 1)
    for read, scale in ((quantity.millicores, 1000), (quantity.byte_count, 1)):
        expected = math.ceil(exact * scale)
        if abs(expected) <= quantity.LARGEST:
            assert read(f"{sign}{number}{suffix}") == expected
        else:
            with pytest.raises(SpecError):
                read(f"{sign}{number}{suffix}")


@given(st.integers(0, 10**9), st.integers(-12, 9), st.sampled_from("eE"))
def test_an_exponent_is_a_power_of_ten(number: int, exponent: int, letter: str) -> None:
    expected = math.ceil(Fraction(number) * Fraction(10) ** exponent)
    assert quantity.byte_count(f"{number}{letter}{exponent}") == expected


@given(st.text(max_size=12))
def test_any_text_is_a_quantity_or_a_sentence(text: str) -> None:
    try:
        quantity.byte_count(text)
    except SpecError as error:
        assert error.sentence
    else:
        assert quantity.is_quantity(text)


@given(st.floats(min_value=1e-9, max_value=1e15))
def test_a_number_is_read_as_it_is_written(value: float) -> None:
    assert quantity.millicores(value) == math.ceil(Fraction(repr(value)) * 1000)
