"""YAML that tries to mean something else, to grow, or to run: what is refused, and where the message points."""

from __future__ import annotations

import pytest

from stages.spec import yaml
from stages.spec.problems import SpecProblems


def places(text: bytes) -> list[tuple[int, int, str]]:
    with pytest.raises(SpecProblems) as caught:
        yaml.load(text, "p.yaml")
    assert caught.value.reason == "syntax"
    return [(problem.line, problem.column, problem.path) for problem in caught.value.problems]


def bomb(levels: int) -> bytes:
    lines = ["a0: &a0 [x, x, x, x, x, x, x, x, x, x]"]
    for level in range(1, levels + 1):
        lines.append(f"a{level}: &a{level} [" + ", ".join([f"*a{level - 1} "] * 10) + "]")
    return "\n".join(lines).encode()


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("0755", 755),
        ("0o17", 15),
        ("0x1F", 31),
        ("on", "on"),
        ("yes", "yes"),
        ("no", "no"),
        ("22:22", "22:22"),
        ("1_000", "1_000"),
        ("2001-01-01", "2001-01-01"),
        ("~", None),
        ("true", True),
    ],
)
def test_plain_scalars_have_the_types_of_yaml_1_2(text: str, value: object) -> None:
    data = yaml.load(f"a: {text}\n".encode(), "p.yaml").data
    assert data == {"a": value} and type(data["a"]) is type(value)


def test_a_directive_of_yaml_1_1_changes_no_type() -> None:
    assert yaml.load(b"%YAML 1.1\n---\na: on\n", "p.yaml").data == {"a": "on"}


def test_a_merge_key_merges_nothing() -> None:
    data = yaml.load(b"x: &x {a: 1}\ny: {<<: *x}\n", "p.yaml").data
    assert data["y"] == {"<<": {"a": 1}}


@pytest.mark.parametrize(
    ("text", "place"),
    [
        (b"a: 1\nb: 2\na: 3\n", (3, 1, "a")),
        (b"a: 1\r\na: 2\r\n", (2, 1, "a")),
        (b"x: {q: 1, q: 2}\n", (1, 11, "x.q")),
        ('k: {"\N{GRINNING FACE}": 1, b: 2, b: 3}\n'.encode(), (1, 19, "k.b")),
        (b"a: 1\n---\nb: 2\n", (2, 1, "")),
        (b"a: 1\nb: x\xff\n", (2, 5, "")),
        (b"a: x\x01\n", (1, 5, "")),
        (b'a: "x\\0y"\n', (1, 4, "a")),
        (b"a: .nan\n", (1, 4, "a")),
        (b"a: 1e999\n", (1, 4, "a")),
        (b"a: 0x" + b"f" * 9000 + b"\n", (1, 4, "a")),
        (b"a: 0o" + b"7" * 9000 + b"\n", (1, 4, "a")),
        (b"a: -" + b"9" * 9000 + b"\n", (1, 4, "a")),
        (b"a: !!int abc\n", (1, 4, "a")),
        (b"a: !!str [x]\n", (1, 4, "a")),
        (b"a: !!binary aGk=\n", (1, 4, "a")),
        (b"a: !!python/object/apply:os.system [id]\n", (1, 4, "a")),
        (b"a: *nope\n", (1, 4, "")),
        (b"a: &a [*a]\n", (1, 4, "a[0]")),
        (b"a: &a {b: *a}\n", (1, 4, "a.b")),
        (b"", (1, 1, "")),
        (b"# nothing\n", (1, 1, "")),
    ],
)
def test_what_is_refused_is_pointed_at(text: bytes, place: tuple[int, int, str]) -> None:
    assert places(text) == [place]


def test_keys_that_are_no_strings_are_all_told_at_once() -> None:
    assert [place[:2] for place in places(b"1: a\n~: b\n[x]: c\n")] == [(1, 1), (2, 1), (3, 1)]


def test_nesting_is_bounded_before_anything_recurses() -> None:
    most = yaml.DEEPEST
    assert yaml.load(b"[" * most + b"]" * most, "p.yaml").data
    assert places(b"[" * 100_000 + b"]" * 100_000) == [(1, most + 1, "")]


def test_aliases_may_be_used_but_not_to_grow() -> None:
    assert yaml.load(bomb(2), "p.yaml").data["a2"][9][9] == ["x"] * 10
    assert len(places(bomb(30))) == 1


def test_a_file_above_the_limit_is_refused_and_one_at_it_is_not() -> None:
    fill = b"a: x #".ljust(yaml.LARGEST, b"x")
    assert yaml.load(fill, "p.yaml").data == {"a": "x"}
    assert places(fill + b"x") == [(1, 1, "")]


def test_a_byte_order_mark_is_no_part_of_the_text() -> None:
    assert yaml.load(b"\xef\xbb\xbfa: 1\n", "p.yaml").data == {"a": 1}


def test_a_path_is_found_in_the_file_by_value_and_by_key() -> None:
    document = yaml.load(b"spec:\n  containers:\n    - name: web\n      ports: [{hostPort: 80}]\n", "p.yaml")
    path = ("spec", "containers", 0, "ports", 0, "hostPort")
    assert document.mark(path) == (4, 26)
    assert document.mark(path, key=True) == (4, 16)
    assert document.mark(("spec", "containers", 0, "image")) == (3, 7)
