"""YAML 1.2 in, plain data out; and everything that YAML could do to us is refused, with a position."""

from __future__ import annotations

import subprocess
import sys
from typing import Any

import pytest

from stages.spec import yaml
from stages.spec.problems import SpecProblems
from tests.spec.samples import SHOP, refusal


def loaded(text: str | bytes) -> Any:
    return yaml.load(text.encode() if isinstance(text, str) else text, "pod.yaml").data


@pytest.mark.parametrize(
    ("written", "value"),
    [
        ("0755", 755),
        ("0o17", 15),
        ("0xff", 255),
        ("-7", -7),
        ("1e3", 1000.0),
        ("1.5", 1.5),
        ("1_000", "1_000"),
        ("on", "on"),
        ("off", "off"),
        ("yes", "yes"),
        ("No", "No"),
        ("y", "y"),
        ("true", True),
        ("False", False),
        ("null", None),
        ("~", None),
        ("", None),
        ("22:22", "22:22"),
        ("190:20:30", "190:20:30"),
        ("2020-01-01", "2020-01-01"),
        ("=", "="),
        ("'0755'", "0755"),
        ('"true"', "true"),
        ("500m", "500m"),
    ],
)
def test_types_are_those_of_yaml_1_2(written: str, value: object) -> None:
    found = loaded(f"a: {written}")["a"]
    assert found == value
    assert type(found) is type(value)


def test_a_merge_key_is_a_key_like_any_other() -> None:
    assert loaded("a: {<<: {b: 1}}") == {"a": {"<<": {"b": 1}}}


def test_an_alias_stands_for_its_value() -> None:
    assert loaded("a: &x {k: [1]}\nb: *x") == {"a": {"k": [1]}, "b": {"k": [1]}}


def test_a_byte_order_mark_and_a_document_marker_are_fine() -> None:
    assert loaded(b"\xef\xbb\xbf---\na: \xc3\xa9\n...\n") == {"a": "é"}


@pytest.mark.parametrize(
    ("text", "says", "hint"),
    [
        ("a: 1\n---\nb: 2\n", "there is another document", "a file of its own for each pod"),
        ("a:\n\tb: 1", "not YAML", "indent with blanks, not with tabs"),
        ("a:\n  \t- b", "not YAML", "indent with blanks, not with tabs"),
        (
            "a: 1\n  \tb: 1\nc: [\n",
            "not YAML",
            "fields of one mapping begin in one column; a text with `: ` in it wants quotes",
        ),
        ("a: b: c\t", "not YAML", "fields of one mapping begin in one column; a text with `: ` in it wants quotes"),
        ("a: b\n c: d\n", "not YAML", "fields of one mapping begin in one column; a text with `: ` in it wants quotes"),
        ("a:\n  - b\n c: d\n", "not YAML", "fields of one mapping begin in one column"),
        ("a: @b\n", "not YAML", "a text that begins with such a character wants quotes"),
        ("a: {b: c, d:}\n", "not YAML", "a blank follows the `:` of a field"),
    ],
)
def test_what_is_easily_mended_is_told_how(text: str, says: str, hint: str) -> None:
    with pytest.raises(SpecProblems) as caught:
        yaml.load(text.encode(), "pods/x.yaml")
    (problem,) = caught.value.problems
    assert problem.message.startswith(says) and problem.hint == hint


@pytest.mark.parametrize(
    ("text", "line", "column", "path", "says"),
    [
        ("a: 1\nb: 2\na: 3\n", 3, 1, "a", "twice, first on line 1"),
        ("a: {b: 1, c: {d: 1, d: 2}}", 1, 21, "a.c.d", "twice"),
        ("a: [1, {x: 1, x: 2}]", 1, 15, "a[1].x", "twice"),
        ("a: 1\n--- \nb: 2", 2, 1, "", "another document"),
        ("a: {b: 1\n", 2, 1, "", "not YAML"),
        ("a:\n\tb: 1", 2, 1, "", "not YAML"),
        ("a: b: c", 1, 5, "", "not YAML"),
        ("a: *nobody", 1, 4, "", "undefined alias"),
        ("x:\n  a: &x [*x]", 2, 6, "x.a[0]", "inside the value that it stands for"),
        ("a: &x {b: {c: *x}}", 1, 4, "a.b.c", "inside the value that it stands for"),
        ("1: a", 1, 1, "", "key must be a string"),
        ("a: {true: b}", 1, 5, "a", "key must be a string"),
        ("? [a, b]\n: 1", 1, 3, "", "key must be a string"),
        ("a: !secret x", 1, 4, "a", "tag !secret"),
        ("a: !!python/object/apply:os.system [id]", 1, 4, "a", "tag !!python/object/apply:os.system"),
        ("a: !!binary aGk=", 1, 4, "a", "tag !!binary"),
        ("a: !!set {x}", 1, 4, "a", "tag !!set"),
        ("a: !!int many", 1, 4, "a", "no int"),
        ("a: !!bool 1", 1, 4, "a", "no bool"),
        ("a: !!map [1]", 1, 4, "a", "no map"),
        ("a: !!map x", 1, 4, "a", "no map"),
        ("a: !!seq {b: 1}", 1, 4, "a", "no seq"),
        ("a: !!str [b]", 1, 4, "a", "no str"),
        ("a: .inf", 1, 4, "a", "finite"),
        ("a: [1, .nan]", 1, 8, "a[1]", "finite"),
        ("a: 1e999", 1, 4, "a", "finite"),
        ("a: " + "9" * 5000, 1, 4, "a", "no int"),
        ("a: x\nb: 'y\x07'", 2, 6, "", "U+0007"),
        ('a: "x\\0y"', 1, 4, "a", "NUL"),
        ("", 1, 1, "", "empty"),
        ("# nothing\n", 1, 1, "", "empty"),
        (b"a: 1\nb: caf\xe9", 2, 7, "", "not UTF-8"),
        ("a: 1".encode("utf-16"), 1, 1, "", "not UTF-8"),
        (b"a: " + b"x" * (1 << 20), 1, 1, "", "bytes"),
        ("[" * 65 + "]" * 65, 1, 65, "", "inside each other"),
    ],
)
def test_what_is_refused_and_where(text: str | bytes, line: int, column: int, path: str, says: str) -> None:
    error = refusal(text)
    assert error.reason == "syntax"
    (problem,) = error.problems
    assert says in problem.message
    assert (problem.line, problem.column, problem.path) == (line, column, path)


def test_every_fault_of_a_readable_file_is_told() -> None:
    error = refusal("a: 1\na: 2\nb: !x 1\nc: .nan\n7: 1\n")
    assert [(one.line, one.column) for one in error.problems] == [(2, 1), (3, 4), (4, 4), (5, 1)]
    assert len(error.text().splitlines()) >= 4
    assert error.text().startswith("pod.yaml:2:1: a: ")


def test_a_circle_through_a_mapping_key_is_no_circle_of_ours() -> None:
    refusal("&a ? *a\n: 1")


@pytest.mark.parametrize("opening", ["[", "- ", "? ", "{a: "])
def test_deep_nesting_is_refused_before_it_can_overflow_a_stack(opening: str) -> None:
    assert "inside each other" in refusal(opening * 150_000).problems[0].message


def test_an_alias_bomb_is_refused_without_being_unfolded() -> None:
    levels = ["a0: &a0 [x, x, x, x, x, x, x, x, x]"]
    levels += [f"a{i}: &a{i} [{', '.join([f'*a{i - 1}'] * 9)}]" for i in range(1, 30)]
    error = refusal("\n".join(levels))
    assert f"more than {yaml.MOST_NODES} values" in error.sentence


def test_an_alias_chain_cannot_nest_deeper_than_brackets_may() -> None:
    levels = ["a0: &a0 [x]", *(f"a{i}: &a{i} [*a{i - 1}]" for i in range(1, 80))]
    assert "nest more than" in refusal("\n".join(levels)).sentence


def test_a_document_of_the_most_values_loads() -> None:
    data = loaded("a: [" + "1, " * (yaml.MOST_NODES - 2) + "]")
    assert len(data["a"]) == yaml.MOST_NODES - 2


def test_marks_lead_to_values_and_keys() -> None:
    document = yaml.load(SHOP.encode(), "shop.yaml")
    assert document.mark(()) == (1, 1)
    assert document.mark(("metadata", "uid")) == (5, 8)
    assert document.mark(("metadata", "uid"), key=True) == (5, 3)
    assert document.mark(("spec", "containers", 0, "ports", 0, "hostPort")) == (18, 59)
    assert document.mark(("spec", "containers", 0, "name", "no", "further")) == (12, 13)
    assert document.mark(("spec", "containers", 7)) == (12, 5)


def test_the_spelling_of_a_scalar_is_kept() -> None:
    assert yaml.load(b"mode: 0755", "x").written(("mode",)) == "0755"


def test_it_works_where_pyyaml_was_built_without_libyaml() -> None:
    program = """
import sys, yaml
for name in [name for name in dir(yaml) if name.startswith("C") and hasattr(getattr(yaml, name), "mro")]:
    if name.endswith(("Loader", "Dumper")):
        delattr(yaml, name)
yaml.__with_libyaml__ = False
from stages.spec import yaml as ours
print(ours.load(b"a: [0755, on, 22:22]", "x").data)
try:
    ours.load(b"a: 1\\na: 2", "x")
except ours.problems.SpecProblems as error:
    print(error.sentence)
try:
    ours.load(b"[" * 9000, "x")
except ours.problems.SpecProblems as error:
    print(error.sentence)
"""
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert done.stdout.splitlines() == [
        "{'a': [755, 'on', '22:22']}",
        "x:2:1: a: the key is there twice, first on line 1",
        "x:1:65: more than 64 mappings and lists inside each other",
    ]


def test_the_error_survives_a_process_boundary() -> None:
    import pickle

    error = refusal("a: 1\na: 2\n")
    again = pickle.loads(pickle.dumps(error))
    assert isinstance(again, SpecProblems)
    assert (again.problems, again.text(), again.reason) == (error.problems, error.text(), error.reason)
