"""Writes docs/compatibility.md: every row of the contract's tables of cases and known bugs, with its tests.

The rows are in tests/data/contract_rows.json, with the reason where one does not apply; which tests prove one is said
by their marks, @pytest.mark.contract("row").
"""

from __future__ import annotations

import ast
import json
import sys
from collections.abc import Iterator
from pathlib import Path

ROOT = Path(__file__).parent.parent
ROWS = ROOT / "tests" / "data" / "contract_rows.json"
TARGET = ROOT / "docs" / "compatibility.md"
TABLES = {
    "L.1": "rkt's functional tests, one row a file",
    "L.2": "Ready pod manifests (rkt_run_pod_manifest)",
    "L.3": "Volumes (rkt_volume)",
    "M": "rkt's known bugs and limits: what is better here",
    "M.5": "Limits of rkt's bundled stage1",
    "M.6": "What rkt 1.30 made worse",
}
INTRODUCTION = """# Compatibility with rkt

Each case of rkt's functional tests, and each of its known bugs, in a few words: with the tests that prove it here, or
with the reason why it does not apply, or marked as open. Written by `python tools/compatibility.py` from the marks of
the tests; a test fails when this page is not what it writes.
"""


def marks() -> dict[str, list[str]]:
    """Row -> ids of the tests that are marked with it."""
    found: dict[str, list[str]] = {}
    for path in sorted((ROOT / "tests").rglob("test_*.py")):
        for name, row in _marks_of(ast.parse(path.read_text(), str(path))):
            found.setdefault(row, []).append(f"{path.relative_to(ROOT)}::{name}")
    return found


def _marks_of(module: ast.Module) -> Iterator[tuple[str, str]]:
    for node in module.body:
        if not isinstance(node, ast.FunctionDef):
            continue
        for decorator in node.decorator_list:
            if isinstance(decorator, ast.Call) and ast.unparse(decorator.func) == "pytest.mark.contract":
                yield from ((node.name, ast.literal_eval(row)) for row in decorator.args)


def page() -> str:
    """The text of docs/compatibility.md. Raises ValueError for a mark of a table's row that there is not."""
    rows: dict[str, dict[str, str]] = json.loads(ROWS.read_text())
    proven = marks()
    if unknown := sorted(row for row in proven if table(row) in TABLES and row not in rows):
        raise ValueError(f"no such rows in {ROWS.name}: {', '.join(unknown)}")
    parts = [INTRODUCTION, _summary(rows, proven)]
    for name, title in TABLES.items():
        parts += [f"## {name}: {title}\n", "| row | what | here |\n|---|---|---|"]
        parts.append("\n".join(_row(row, rows[row], proven.get(row, [])) for row in rows if table(row) == name) + "\n")
    others = sorted((row, tests) for row, tests in proven.items() if table(row) not in TABLES)
    parts += ["## Other parts of the contract\n", "| part | tests |\n|---|---|"]
    parts.append("\n".join(f"| {row} | {_cell(tests)} |" for row, tests in others))
    return "\n".join(parts) + "\n"


def table(row: str) -> str:
    """The table that a row is of: the first word of its name."""
    return row.partition(" ")[0]


def _summary(rows: dict[str, dict[str, str]], proven: dict[str, list[str]]) -> str:
    tested = [row for row in rows if row in proven]
    reasoned = [row for row in rows if row not in proven and "reason" in rows[row]]
    still = len(rows) - len(tested) - len(reasoned)
    return f"{len(rows)} rows: {len(tested)} with tests, {len(reasoned)} that do not apply, {still} open.\n"


def _row(name: str, row: dict[str, str], tests: list[str]) -> str:
    answer = _cell(tests) if tests else row.get("reason", "**open**")
    if tests and "reason" in row:
        answer += f"; {row['reason']}"
    return f"| {name.partition(' ')[2]} | {row['what']} | {answer} |"


def _cell(tests: list[str]) -> str:
    return ", ".join(f"`{test.removeprefix('tests/')}`" for test in tests)


if __name__ == "__main__":
    TARGET.write_text(page())
    sys.stdout.write(_summary(json.loads(ROWS.read_text()), marks()))
