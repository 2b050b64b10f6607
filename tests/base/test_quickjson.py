"""JSON without the json module reads what that wrote, and refuses the rest with the same kind of error."""

from __future__ import annotations

import json
import subprocess
import sys
from typing import Any

import pytest

from stages.base import quickjson
from stages.stage1.lib import quickjson as of_stage1
from tests.system.workbench import CHECKOUT

VALUES = [None, True, 1, -2.5, 'text \u00fc \U0001f40d \udc80 " \\ \n', [], {}, {"a": [1, {"b": None}], "": "x"}]


@pytest.mark.parametrize("value", VALUES, ids=repr)
def test_what_json_wrote_is_read_and_what_is_written_json_reads(value: Any) -> None:
    assert quickjson.loads(json.dumps(value)) == of_stage1.loads(json.dumps(value, indent=1) + "\n") == value
    assert json.loads(of_stage1.dumps(value)) == value


BROKEN = ["", "{", "nonsense", "1 2", '{"a": }', "[1,]", '{"a": "b', '["\\u12', '{"a"', "\0\0", '["\0"]']


@pytest.mark.parametrize("text", [*BROKEN, "[" * 100_000])
@pytest.mark.parametrize("loads", [quickjson.loads, of_stage1.loads])
def test_what_is_no_json_is_a_value_error(text: str, loads: Any) -> None:
    with pytest.raises(ValueError):
        loads(text)


@pytest.mark.parametrize("text", BROKEN)
@pytest.mark.parametrize("module", ["stages.base", "stages.stage1.lib"])
def test_it_is_one_where_json_was_never_loaded(text: str, module: str) -> None:
    program = f"""if True:
        import sys
        sys.path.insert(0, {str(CHECKOUT)!r})
        from {module} import quickjson
        assert "json.decoder" not in sys.modules
        try:
            quickjson.loads({text!r})
        except ValueError:
            sys.exit(42)"""
    done = subprocess.run([sys.executable, "-ISc", program], capture_output=True, text=True, check=False)
    assert done.returncode == 42, done.stderr
