"""JSON from outside."""

from __future__ import annotations

import pytest

from stages.base import strictjson


def test_what_is_json_is_read() -> None:
    text = '{"a": [1, -2.5e3, true, null, "é\\u00e9\\ud83d\\ude00\\\\ud800"], "b": {}}'
    assert strictjson.loads(text.encode()) == {"a": [1, -2500.0, True, None, "éé😀\\ud800"], "b": {}}
    assert strictjson.loads(b'{"a": 1, "a": 2}', list) == [("a", 1), ("a", 2)]
    assert strictjson.loads(b"[" * 200 + b"]" * 200) is not None
    assert strictjson.loads(b"[" + b"[[]]," * 10_000 + b"{}]")[10_000] == {}


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"{",
        b"{} {}",
        b"\xef\xbb\xbf{}",
        '{"a": "b"}'.encode("utf-16"),
        '{"a": "\\ud800"}'.encode("utf-16"),
        b'{"a": "\\ud800"}',
        b'{"\\udfff": 1}',
        b'{"a": "\xed\xa0\x80"}',
        b'{"a": "\xff"}',
        b'{"a": NaN}',
        b'{"a": -Infinity}',
        b'{"a": 1e999}',
        b'{"a": ' + b"9" * 10_000 + b"}",
        b"[" * 201 + b"]" * 201,
        b'{"a":' * 201 + b"1" + b"}" * 201,
        b"[" * 100_000,
    ],
)
def test_what_only_python_takes_for_json_is_a_value_error(data: bytes) -> None:
    with pytest.raises(ValueError):
        strictjson.loads(data)
