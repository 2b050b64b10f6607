"""appc's identifiers (contract K.1, A.3) and UUIDs."""

from __future__ import annotations

import uuid

import pytest
from hypothesis import given
from hypothesis import strategies as st

from stages.base.errors import SpecError
from stages.spec import names


@pytest.mark.parametrize("text", ["a", "0", "web", "a-b", "a--b", "9-a"])
def test_names(text: str) -> None:
    assert names.is_name(text)
    assert names.is_identifier(text)


@pytest.mark.parametrize("text", ["", "-", "-a", "a-", "A", "é", "a\n", "a b"])
def test_neither_names_nor_identifiers(text: str) -> None:
    assert not names.is_name(text)
    assert not names.is_identifier(text)


@pytest.mark.parametrize("text", ["example.com/app", "a.b", "a~b", "a/b-c.d", "a..b", "a_b"])
def test_identifiers_that_are_no_names(text: str) -> None:
    assert names.is_identifier(text)
    assert not names.is_name(text)


@pytest.mark.parametrize(
    ("image", "app"),
    [
        ("example.com/worker", "worker"),
        ("example.com/ourapp_v1.2", "ourapp-v1-2"),
        ("foo.bar/~x~", "x"),
        ("a__b", "a--b"),
        ("Example.com/WEB", "web"),
    ],
)
def test_the_app_name_of_an_image(image: str, app: str) -> None:
    assert names.app_name(image) == app


@pytest.mark.parametrize("text", ["", "---", "/", "~~", "é"])
def test_no_name_can_be_made_of_nothing(text: str) -> None:
    for make in (names.sanitise_name, names.sanitise_identifier):
        with pytest.raises(SpecError) as caught:
            make(text)
        assert caught.value.reason == "bad-name"


@given(st.text())
def test_whatever_is_made_is_one_and_is_kept(text: str) -> None:
    for make, is_one in ((names.sanitise_name, names.is_name), (names.sanitise_identifier, names.is_identifier)):
        try:
            made = make(text)
        except SpecError:
            continue
        assert is_one(made)
        assert make(made) == made


@given(st.from_regex(r"[a-z0-9]([a-z0-9-]*[a-z0-9])?", fullmatch=True))
def test_a_name_is_left_alone(text: str) -> None:
    assert names.sanitise_name(text) == text


@given(st.uuids().filter(lambda one: one.int != 0))
def test_a_uuid_has_one_form(one: uuid.UUID) -> None:
    assert names.uuid(str(one)) == names.uuid(one.hex.upper()) == str(one)


@pytest.mark.parametrize("text", ["", "7f0c", "0" * 32, "g" * 32, "a" * 33, "a" * 32 + "\n"])
def test_no_uuid(text: str) -> None:
    assert names.uuid(text) is None
